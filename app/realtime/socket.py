"""One open WebSocket: a bounded queue out, token buckets in, its subscriptions, its seat."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
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

    def take(self, now: float) -> bool:
        """Take one, at this moment of the monotonic clock; False if there is none."""
        tokens = self._tokens + (now - self._at) * self._rate
        self._at = now
        if tokens < 1:
            self._tokens = tokens
            return False
        self._tokens = (tokens if tokens < self._burst else self._burst) - 1
        return True


def _drop(frame: bytes) -> None:
    """What `Socket.hand` is before the opening and from the closing on."""


class Keeper(Protocol):
    """Who keeps the socket."""

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
        "_drained",
        "_keeper",
        "_outlet",
        "_queue",
        "backlog",
        "bucket",
        "closing",
        "hand",
        "heard",
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
    hand: Callable[[bytes], None]
    """Writes a frame, which may be made for many, or queues it while the client does not read."""
    heard: Callable[["Socket", bytes], None]
    """Takes what the client says: the keeper, until that says who does."""

    def __init__(self, keeper: Keeper, origin: str = "", whence: "Origin | None" = None) -> None:
        self._keeper = keeper
        self._outlet: Outlet | None = None
        self._queue: deque[bytes] | None = None
        self._bytes = 0
        self._drained: Callable[[Socket], None] | None = None
        self.hand = _drop
        self.heard = keeper.received
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
        self.hand = outlet.write

    def belongs_to(self, principal: Principal) -> None:
        self.principal, self.user = principal, str(principal.user)

    # Out.

    def offer(self, message: bytes) -> None:
        """Write or queue a message for this socket alone."""
        self.hand(text_frame(message))

    def offer_all(self, messages: Iterable[bytes]) -> None:
        """The same for several, in one piece."""
        self.hand(b"".join(map(text_frame, messages)))

    def hint(self, frame: bytes) -> bool:
        """Do as `hand` with what is ephemeral; False if it was shed, as too much waits already."""
        if not self.has_room():
            metrics.SHED.add()
            return False
        self.hand(frame)
        return True

    def has_room(self) -> bool:
        """Whether what can wait elsewhere may be handed now; the other half is for what cannot."""
        return self._fill() < 0.5

    def when_drained(self, tell: "Callable[[Socket], None]") -> None:
        """Have `tell` called once, when nothing is queued; never again after a close."""
        if self._queue:
            self._drained = tell
        elif not self.closing:
            tell(self)

    def _fill(self) -> float:
        if not self._queue:
            return 0.0
        return max(len(self._queue) / QUEUE_FRAMES, self._bytes / QUEUE_BYTES)

    def _wait(self, frame: bytes) -> None:
        """What `hand` is while the client does not read."""
        if self._fill() >= 1:
            self.close(Close.SLOW)
            return
        if self._queue is None:
            self._queue = deque()
        self._queue.append(frame)
        self._bytes += len(frame)

    def close(self, code: Close, last: bytes | None = None) -> None:
        """Close with `code`, after `last`; what is queued is dropped, as it can be recovered."""
        if self.closing or self._outlet is None:
            return
        self.closing = True
        metrics.CLOSES.add(str(int(code)))
        self.hand = _drop
        self._queue = self.backlog = self._drained = None
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
            self.heard(self, message)

    def too_long(self) -> None:
        text = f"A frame has at most {protocol.MAX_FRAME_BYTES} bytes."
        self.close(Close.BAD_FRAME, protocol.refusal(0, protocol.Code.BAD_REQUEST, text))

    def paused(self) -> None:
        if not self.closing:
            self.hand = self._wait

    def resumed(self) -> None:
        if self.closing or self._outlet is None:
            return
        self.hand = write = self._outlet.write
        while self._queue:
            frame = self._queue.popleft()
            self._bytes -= len(frame)
            write(frame)
            if self.hand is not write:
                break  # paused again
        if self._drained is not None and not self._queue:
            tell, self._drained = self._drained, None
            tell(self)

    def lost(self) -> None:
        self.closing = True
        self.hand = _drop
        self._outlet = self._queue = self._drained = None
        self._keeper.lost(self)

    def going(self) -> None:
        self._keeper.drain()
