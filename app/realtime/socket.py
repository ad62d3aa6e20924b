"""One open WebSocket: a bounded queue out, a token bucket in, its subscriptions."""

import asyncio
import time
from collections import deque
from typing import Any

from app.realtime import protocol
from app.realtime.rooms import Seat
from app.realtime.services import Principal

QUEUE_FRAMES = 1024
QUEUE_BYTES = 4 * 1024 * 1024


class Bucket:
    """A token bucket: `rate` a second, `burst` at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = float(burst), time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Socket:
    """What the hub offers is queued; a slow reader loses typing first, then its connection.

    Being cut off loses nothing: the client comes back with its positions and recovers.
    """

    def __init__(self, send: Any, principal: Principal) -> None:
        self._send = send
        self.principal = principal
        self.user = str(principal.user)
        self.streams: set[str] = set()
        self.bucket = Bucket(protocol.COMMANDS_PER_SECOND, protocol.COMMAND_BURST)
        self.signals = Bucket(protocol.SIGNALS_PER_SECOND, protocol.SIGNAL_BURST)
        self.seat: Seat | None = None
        self.typing_at = 0.0
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._ready = asyncio.Event()
        self._close_code: int | None = None
        self.closed = asyncio.Event()

    def offer(self, frame: bytes, *, ephemeral: bool = False) -> None:
        """Queue `frame`; above half of the bounds ephemeral ones are shed, at them we close."""
        if self._close_code is not None:
            return
        fill = max(len(self._queue) / QUEUE_FRAMES, self._queued_bytes / QUEUE_BYTES)
        if ephemeral and fill >= 0.5:
            return
        if fill >= 1:
            self.close(protocol.Close.SLOW)
            return
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        self._ready.set()

    def detached(self, stream: str) -> None:
        """The hub stopped handing us `stream`."""
        self.streams.discard(stream)

    def close(self, code: protocol.Close, last: bytes | None = None) -> None:
        """Close with `code`, after `last`; what is queued is dropped, as it can be recovered."""
        if self._close_code is None:
            self._queue.clear()
            if last is not None:
                self._queue.append(last)
            self._close_code = int(code)
            self._ready.set()

    @property
    def closing(self) -> bool:
        return self._close_code is not None

    async def write(self) -> None:
        """Send what is queued until the socket closes, from either side."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._queue:
                frame = self._queue.popleft()
                self._queued_bytes -= len(frame)
                await self._send({"type": "websocket.send", "text": frame.decode()})
            if self._close_code is not None:
                await self._send({"type": "websocket.close", "code": self._close_code})
                self.closed.set()
                return
