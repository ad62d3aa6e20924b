"""One open WebSocket: a bounded queue out, token buckets in, its subscriptions, its seat."""

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Literal, Protocol

from app import metrics
from app.realtime import protocol
from app.realtime.frames import text_frame
from app.realtime.protocol import Close
from app.realtime.rooms import Seat
from app.realtime.services import Principal
from app.realtime.wire import Outlet

if TYPE_CHECKING:
    from app.audit.context import Origin

QUEUE_FRAMES = 1024
QUEUE_BYTES = 4 * 1024 * 1024
MAX_UNDER_WAY = 64
"""Commands of one socket that may wait to be carried out; above it nothing more is read."""


class Bucket:
    """A token bucket: `rate` a second, `burst` at once."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = float(burst), time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        tokens = self._tokens + (now - self._at) * self._rate
        self._at = now
        self._tokens = min(tokens, self._burst)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Keeper(Protocol):
    """Who the socket's frames are for."""

    def received(self, socket: "Socket", frame: bytes) -> None: ...
    def lost(self, socket: "Socket") -> None: ...
    def drain(self) -> Any: ...


class Socket:
    """A `Sink`. What is offered is written, or queued while the client does not read: a slow
    reader loses typing first, then its connection.

    Being cut off loses nothing: the client comes back with its positions and recovers.
    """

    __slots__ = (
        "_bytes",
        "_keeper",
        "_outlet",
        "_queue",
        "_writable",
        "backlog",
        "bucket",
        "closing",
        "heard_at",
        "opening",
        "origin",
        "presence",
        "principal",
        "seat",
        "signals",
        "streams",
        "typing_at",
        "under_way",
        "user",
    )
    longest = protocol.MAX_SIGNAL_BYTES

    def __init__(self, keeper: Keeper, origin: str = "", whence: "Origin | None" = None) -> None:
        self._keeper = keeper
        self._outlet: Outlet | None = None
        self._queue: deque[bytes] | None = None
        self._bytes = 0
        self._writable = True
        self.origin = sys.intern(origin)
        self.opening = whence
        self.closing = False
        self.principal: Principal = None  # type: ignore[assignment]  # until the ticket is redeemed
        self.user = ""
        self.streams: set[str] = set()
        self.bucket = Bucket(protocol.COMMANDS_PER_SECOND, protocol.COMMAND_BURST)
        self.signals = Bucket(protocol.SIGNALS_PER_SECOND, protocol.SIGNAL_BURST)
        self.seat: Seat | None = None
        self.presence: Literal["active", "away"] | None = None
        self.typing_at = 0.0
        self.heard_at = time.monotonic()
        self.under_way = 0
        self.backlog: deque[protocol.AnyCommand] | None = None

    def opened(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def belongs_to(self, principal: Principal) -> None:
        self.principal, self.user = principal, str(principal.user)

    # Out.

    def offer(self, message: bytes, *, ephemeral: bool = False) -> None:
        """Write or queue a message for this socket alone."""
        self.hand(text_frame(message), ephemeral=ephemeral)

    def hand(self, frame: bytes, *, ephemeral: bool = False) -> None:
        """Write or queue a frame that was made for many: see `offer`."""
        if self.closing or self._outlet is None:
            return
        if self._writable and not self._queue:
            self._outlet.write(frame)
            return
        if self._queue is None:
            self._queue = deque()
        fill = max(len(self._queue) / QUEUE_FRAMES, self._bytes / QUEUE_BYTES)
        if ephemeral and fill >= 0.5:
            metrics.SHED.add()
            return
        if fill >= 1:
            self.close(Close.SLOW)
            return
        self._queue.append(frame)
        self._bytes += len(frame)

    def close(self, code: Close, last: bytes | None = None) -> None:
        """Close with `code`, after `last`; what is queued is dropped, as it can be recovered."""
        if self.closing or self._outlet is None:
            return
        self.closing = True
        metrics.CLOSES.add(str(int(code)))
        self._queue = self.backlog = None
        self._outlet.close(code, text_frame(last) if last is not None else None)

    def detached(self, stream: str) -> None:
        """The hub stopped handing us `stream`."""
        self.streams.discard(stream)

    # In.

    def began(self) -> None:
        """A command waits to be carried out: with many of them nothing more is read."""
        self.under_way += 1
        if self.under_way == MAX_UNDER_WAY and self._outlet is not None:
            self._outlet.hold()

    def ended(self) -> None:
        self.under_way -= 1
        if self.under_way == MAX_UNDER_WAY - 1 and not self.closing and self._outlet is not None:
            self._outlet.go_on()

    def stop_reading(self) -> None:
        if self._outlet is not None:
            self._outlet.hold()

    # What the wire tells.

    def received(self, message: bytes) -> None:
        self.heard_at = time.monotonic()
        if not self.closing:
            self._keeper.received(self, message)

    def too_long(self) -> None:
        text = f"A frame has at most {protocol.MAX_FRAME_BYTES} bytes."
        self.close(Close.BAD_FRAME, protocol.refusal(0, protocol.Code.BAD_REQUEST, text))

    def paused(self) -> None:
        self._writable = False

    def resumed(self) -> None:
        self._writable = True
        while self._queue and self._writable and self._outlet is not None:
            frame = self._queue.popleft()
            self._bytes -= len(frame)
            self._outlet.write(frame)

    def lost(self) -> None:
        self.closing = True
        self._outlet = self._queue = None
        self._keeper.lost(self)

    def going(self) -> None:
        self._keeper.drain()
