"""The WebSocket itself, so that tests can put another thing in its place."""

import socket
from typing import Protocol, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from app.realtime.protocol import VERSION

ABNORMAL = 1006
CLOSE_SECONDS = 2.0


class Closed(Exception):
    """The socket is closed; `code` is the other side's, or 1006."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Transport(Protocol):
    """What a connection needs of a socket. `send` and `receive` raise Closed."""

    async def send(self, frame: str) -> None: ...

    async def receive(self) -> str | bytes: ...

    async def close(self) -> None: ...


class WebSocket:
    """A real one, in both directions without compression and without pings of its own."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    @classmethod
    async def open(
        cls, url: str, origin: str | None = None, *, sock: socket.socket | None = None
    ) -> Self:
        """Over `sock` if it is given, connected. Raises OSError, or a WebSocketException."""
        return cls(
            await connect(
                url,
                subprotocols=[Subprotocol(VERSION)],
                origin=Origin(origin) if origin else None,
                compression=None,
                proxy=None,
                ping_interval=None,
                close_timeout=CLOSE_SECONDS,
                sock=sock,
            )
        )

    async def send(self, frame: str) -> None:
        try:
            await self.socket.send(frame)
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    async def receive(self) -> str | bytes:
        try:
            return await self.socket.recv()
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    async def close(self) -> None:
        await self.socket.close()


def _closed(closed: ConnectionClosed) -> Closed:
    return Closed(closed.rcvd.code if closed.rcvd else ABNORMAL)
