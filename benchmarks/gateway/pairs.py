"""Pairs of sockets that keep messages in flight between them: each answers what it hears."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from benchmarks.gateway.counting import RING, Counter, arrived, numbered
from benchmarks.gateway.turns import Meter, Turn

_LOOK = 0.02


class Wire(Protocol):
    """What carries messages to a server: a WebSocket, or an XMPP stream."""

    on_texts: Callable[[list[bytes]], None]

    def framed(self, payload: bytes) -> bytes: ...

    def write(self, frames: bytes | memoryview) -> None: ...

    def abort(self) -> None: ...


class Mouth:
    """Says numbered messages, over and over. `message(number)` makes a payload; all of them must
    be of the same size."""

    def __init__(self, connection: Wire, message: Callable[[str], bytes]) -> None:
        frames = [connection.framed(message(numbered(number))) for number in range(RING)]
        if len({len(frame) for frame in frames}) != 1:
            raise ValueError("payloads of one size")
        # Twice around, so that any run of up to RING frames is one piece of it.
        self._ring, self._size = memoryview(b"".join(frames * 2)), len(frames[0])
        self._connection = connection
        self._next = 0

    def say(self, count: int) -> None:
        """Write the next `count` messages (at most RING) at once."""
        start = self._next * self._size
        self._connection.write(self._ring[start : start + count * self._size])
        self._next = (self._next + count) % RING


class Side(Counter):
    """One end, which says such messages."""

    def __init__(self, connection: Wire, message: Callable[[str], bytes]) -> None:
        super().__init__()
        self._mouth = Mouth(connection, message)
        self.connection = connection
        self.left = 0
        """How many more it may say in this turn."""
        self.sent = 0

    def say(self, count: int) -> None:
        """Say so many, or what is left."""
        if count := min(count, self.left):
            self._mouth.say(count)
            self.sent += count
            self.left -= count

    def heard(self, texts: Sequence[bytes]) -> None:
        """Count messages, and answer them with as many."""
        if messages := self.count(texts):
            self.say(messages)


async def relay(
    sides: Sequence[Side], used: Callable[[], float], *, seconds: float, window: int, most: int
) -> Turn:
    """Keep `window` messages of each side in flight for so long, or until one has said `most`, then
    let all arrive: all of them, and their cost from the first to the last. Raises Incorrect."""
    before = [side.connection.on_texts for side in sides]
    meter = Meter(lambda: sum(side.received for side in sides), used)
    for side in sides:
        side.connection.on_texts = side.heard
        side.left = most
        side.say(window)
    until = time.monotonic() + seconds
    while all(side.left for side in sides) and time.monotonic() < until:
        await asyncio.sleep(_LOOK)
    for side in sides:
        side.left = 0
    # Two and two hear each other: what one sent, the other received.
    others = [side for two in zip(sides[::2], sides[1::2], strict=True) for side in two[::-1]]
    await arrived(sides, [other.sent for other in others])
    result = meter.read()
    for side, heard in zip(sides, before, strict=True):
        side.connection.on_texts = heard
    return result
