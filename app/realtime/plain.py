"""A socket over plain ASGI `receive` and `send`: the gateway under any other server."""

import asyncio
import logging
from typing import Any

from app.realtime import frames
from app.realtime.wire import CLOSE_SECONDS, Sink

logger = logging.getLogger(__name__)


class PlainOutlet:
    """An `Outlet`; one frame is under way at a time, the others wait in the sink's queue."""

    def __init__(self, receive: Any, send: Any, sink: Sink) -> None:
        self._receive, self._send, self._sink = receive, send, sink
        self._frame: bytes | None = None
        self._close: tuple[int, bytes | None] | None = None
        self._wake = asyncio.Event()
        self._readable = asyncio.Event()
        self._readable.set()

    def write(self, frame: bytes) -> None:
        self._frame = frame
        self._sink.paused()
        self._wake.set()

    def close(self, code: int, last: bytes | None) -> None:
        self._close = self._close or (code, last)
        self._wake.set()

    def hold(self) -> None:
        self._readable.clear()

    def go_on(self) -> None:
        self._readable.set()

    async def serve(self) -> None:
        """Read and write until either ends."""
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and self._close is not None:
                await asyncio.wait({writer}, timeout=CLOSE_SECONDS)
        finally:
            self._sink.lost()
            for task in (reader, writer):
                task.cancel()
            for outcome in await asyncio.gather(reader, writer, return_exceptions=True):
                # An OSError is a client that is gone.
                if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
                    logger.error("socket_failed", extra={"error": type(outcome).__name__})

    async def _read(self) -> None:
        while True:
            await self._readable.wait()
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            frame = _payload(message)
            if len(frame) > self._sink.longest:
                self._sink.too_long()
            elif self._close is None:
                self._sink.received(frame)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._frame is not None:
                frame, self._frame = self._frame, None
                await self._text(frame)
                if self._close is None:
                    self._sink.resumed()
            if self._close is not None and self._frame is None:
                code, last = self._close
                if last is not None:
                    await self._text(last)
                await self._send({"type": "websocket.close", "code": int(code)})
                return

    async def _text(self, written: bytes) -> None:
        for payload in frames.payloads_of(written):
            await self._send({"type": "websocket.send", "text": payload.decode()})


def _payload(message: dict[str, Any]) -> bytes:
    text: str | None = message.get("text")
    # An unpaired surrogate is no UTF-8: let the decoder refuse it, not us.
    return text.encode("utf-8", "surrogatepass") if text is not None else bytes(message["bytes"])
