"""One HTTP connection of the load generator: the next request when the last is answered."""

import asyncio
from collections.abc import Callable
from typing import cast

from benchmarks.figures import Incorrect
from dev.ports import LOOPBACK

_END = b"\r\n\r\n"


def request(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """A POST of JSON."""
    head = {"Host": LOOPBACK, "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in (head | headers).items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


class Poster(asyncio.Protocol):
    """Posts what `make` makes, again and again while `going`; each must be answered with 201."""

    def __init__(self, port: int, make: Callable[[], bytes]) -> None:
        self._port, self._make = port, make
        self._transport: asyncio.Transport
        self._open = False
        self._rest = b""
        self.done, self.going, self.waiting = 0, False, False
        self.fault: Incorrect | None = None

    async def begin(self) -> None:
        """Go on until `going` is taken back; connects where a connection has ended."""
        self.going = True
        if not self._open:
            await asyncio.get_running_loop().create_connection(lambda: self, LOOPBACK, self._port)
        self._post()

    def _post(self) -> None:
        self.waiting = True
        self._transport.write(self._make())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._rest = cast(asyncio.Transport, transport), b""
        self._open = True

    def data_received(self, data: bytes) -> None:
        self._rest += data
        head, found, body = self._rest.partition(_END)
        if not found:
            return
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        if len(body) < length:
            return
        self._rest, self.waiting = b"", False
        if b" 201 " not in lines[0]:
            self.fault = Incorrect(f"{lines[0].decode()}: {body[:300].decode(errors='replace')}")
        else:
            self.done += 1
            if self.going:
                self._post()

    def connection_lost(self, error: Exception | None) -> None:
        self._open = False
        if self.waiting:
            self.fault = Incorrect("a connection was cut with a request under way")
