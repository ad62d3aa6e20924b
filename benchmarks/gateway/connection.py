"""One WebSocket of the load generator: as little as carries frames, so that servers are the limit.

permessage-deflate is not asked for. Frames are counted whole; a ping is answered.
"""

import asyncio
import base64
import secrets
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from benchmarks.figures import Incorrect
from benchmarks.gateway.frames import CLOSE, PING, PONG, masked, split
from dev.ports import LOOPBACK

TIMEOUT = 30.0


class Closed(Incorrect):
    """The server ended it; the text has the close code."""


class Connection(asyncio.Protocol):
    """`await open(…)` it, then write masked frames; texts arrive at `on_texts`, many at a time."""

    def __init__(self) -> None:
        self.on_texts: Callable[[list[bytes]], None] = lambda _: None
        self.on_close: Callable[[Closed], None] = lambda _: None
        self.closed: Closed | None = None
        self._rest = b""
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = b""
        self._transport: asyncio.Transport

    async def open(self, port: int, path: str, *, protocol: str = "") -> None:
        """Connect to a server of this machine. Raises Closed where it does not upgrade."""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        asked = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"{asked}\r\n"
        ).encode()
        await asyncio.get_running_loop().create_connection(lambda: self, LOOPBACK, port)
        async with asyncio.timeout(TIMEOUT):
            await self._opened

    @staticmethod
    def framed(payload: bytes) -> bytes:
        """Return what is written for a text."""
        return masked(payload)

    def write(self, frames: bytes | memoryview) -> None:
        """Send frames that are masked already."""
        self._transport.write(frames)

    def abort(self) -> None:
        """Cut the connection without a word."""
        self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        if not self._opened.done():
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.connection_lost(Closed(head.split(b"\r\n")[0].decode()))
                return
            self._opened.set_result(None)
        texts, others, self._rest = split(data)
        if texts:
            self.on_texts(texts)
        for opcode, payload in others:
            if opcode == PING:
                self._transport.write(masked(payload, PONG))
            elif opcode == CLOSE:
                self.closed = Closed(f"code {int.from_bytes(payload[:2], 'big')}")

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = self.closed or (error if isinstance(error, Closed) else Closed("cut"))
        if not self._opened.done():
            self._opened.set_exception(self.closed)
        self.on_close(self.closed)


class Refused(Incorrect):
    """The server answered a command with an error."""


class Member(Connection):
    """A socket that speaks `rt.v1`: `ask` for a command's `ok`; pushes go to `on_push`."""

    def __init__(self) -> None:
        super().__init__()
        self.on_texts = self.heard
        self.on_close = self._lost
        self.on_push: Callable[[dict[str, Any]], None] = lambda _: None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0

    async def enter(self, port: int, ticket: str) -> None:
        """Open the socket and bring the ticket."""
        await self.open(port, "/ws", protocol="rt.v1")
        await self.ask("connect", ticket=ticket, client="bench/1")

    async def ask(self, op: str, **data: Any) -> dict[str, Any]:
        """Send a command and return its `ok`. Raises Refused, Closed."""
        if self.closed:
            raise self.closed
        self._last += 1
        number, answer = self._last, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self.write(masked(command(number, op, **data)))
        async with asyncio.timeout(TIMEOUT):
            return dict(await answer)

    def heard(self, texts: Sequence[bytes]) -> None:
        """Take frames: replies to who waits for them, the others as pushes."""
        for text in texts:
            frame = msgspec.json.decode(text)
            answer = self._waiting.pop(frame["id"], None) if "id" in frame else None
            if answer is None:
                self.on_push(frame)
            elif answer.done():  # nobody waits for it any more
                continue
            elif "err" in frame:
                answer.set_exception(Refused(frame["err"]))
            else:
                answer.set_result(frame["ok"])

    def _lost(self, closed: Closed) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(closed)
        self._waiting.clear()


def command(number: int, op: str, **data: Any) -> bytes:
    """Return the JSON of a command."""
    return msgspec.json.encode({"id": number, "op": op, "d": data})
