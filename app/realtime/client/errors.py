"""How a command may fail."""

from typing import Any


class Refused(Exception):
    """The server's answer to a command that it did not carry out; `code` is the protocol's."""

    def __init__(self, failure: dict[str, Any]) -> None:
        super().__init__(failure["message"])
        self.code = int(failure["code"])
        self.retry = bool(failure["retry"])


class ConnectionLost(Exception):
    """No reply came: the command may have been carried out, or not."""


class Stopped(Exception):
    """There is no point in coming back: the session has ended, or the server put us out.

    `code` is that of the closing (45xx), the status of HTTP where no ticket was to be had, or 0
    where the client was closed.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"stopped: {code}")
        self.code = code
