"""A member at a socket, for tests: speaks `rt.v1` over a real connection, blocking."""

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from app.accounts.models import SessionKind, User
from app.accounts.services import sign_in
from app.accounts.tokens import SessionRefreshToken
from tests.cast import PASSWORD

TIMEOUT = 15.0


class Refused(Exception):
    """The reply was an error; `code` is the protocol's."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.code = error["code"]


def bearer(user: User) -> str:
    """Sign in as a program would; returns an access token."""
    session = sign_in(email=user.email, password=PASSWORD, kind=SessionKind.API)
    return SessionRefreshToken.for_session(session).pair().access


def ticket(base_url: str, token: str) -> str:
    request = urllib.request.Request(
        f"{base_url}/api/realtime/ticket",
        method="POST",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        return str(json.load(response)["ticket"])


class Speaker:
    """One socket. Pushes that arrive while waiting for a reply are kept in `pushes`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.pushes: list[dict[str, Any]] = []
        self._next = 1

    def ask(self, op: str, **data: Any) -> dict[str, Any]:
        """Send a command and return its `ok`. Raises Refused."""
        return self.reply(self.post(op, **data))

    def post(self, op: str, **data: Any) -> int:
        """Send a command without waiting; returns its id."""
        number, self._next = self._next, self._next + 1
        self.socket.send(json.dumps({"id": number, "op": op, "d": data}))
        return number

    def reply(self, number: int) -> dict[str, Any]:
        while True:
            frame = self.frame()
            if frame.get("id") == number:
                if "err" in frame:
                    raise Refused(frame["err"])
                return dict(frame["ok"])
            self.pushes.append(frame)

    def frame(self, timeout: float = TIMEOUT) -> dict[str, Any]:
        return dict(json.loads(self.socket.recv(timeout=timeout)))

    def push(self, kind: str, timeout: float = TIMEOUT) -> dict[str, Any]:
        """The next push of that type (or control frame of that op)."""
        deadline = time.monotonic() + timeout
        while True:
            for position, frame in enumerate(self.pushes):
                if kind in (frame.get("t"), frame.get("op")):
                    return self.pushes.pop(position)
            self.pushes.append(self.frame(max(0.01, deadline - time.monotonic())))

    def sub(self, stream: str, epoch: str | None = None, offset: int | None = None) -> Any:
        return self.ask("sub", s=stream, e=epoch, o=offset)

    def send(self, conversation: Any, body: str, **more: Any) -> dict[str, Any]:
        identity = more.pop("id", str(uuid4()))
        return self.ask("send", conversation=str(conversation), id=identity, body=body, **more)

    def close_code(self, timeout: float = TIMEOUT) -> int | None:
        """Read until the server closes; returns its code."""
        try:
            while True:
                self.pushes.append(self.frame(timeout))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


@contextmanager
def opened(base_url: str, *, origin: str | None = None) -> Iterator[Speaker]:
    """A socket that has said nothing yet; the server's hello is read."""
    url = base_url.replace("http", "ws") + "/ws"
    with connect(url, subprotocols=["rt.v1"], origin=origin, compression=None) as socket:  # type: ignore[list-item, arg-type]
        speaker = Speaker(socket)
        assert speaker.frame()["op"] == "hello"
        yield speaker


@contextmanager
def connected(base_url: str, user: User, token: str | None = None) -> Iterator[Speaker]:
    """A member's socket, signed in."""
    with opened(base_url) as speaker:
        speaker.ask("connect", ticket=ticket(base_url, token or bearer(user)), client="test/1")
        yield speaker
