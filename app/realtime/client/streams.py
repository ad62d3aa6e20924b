"""Where the client stands in each stream, and that it misses nothing.

A stream yields each durable event once, in the order of its offsets. A duplicate is dropped;
a gap is asked for again from the last position; where the server cannot give the exact
suffix, Reload asks for a reload, never for a part. Who reads slowly loses nothing either:
what no longer fits is dropped, and asked for again once the rest has been read.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from app.realtime.client.errors import ConnectionLost, Refused
from app.realtime.client.link import Link
from app.realtime.protocol import Code, Durable, Ephemeral

QUEUE = 2_000
AT_ONCE = 6
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to `offset` of `epoch` is known."""

    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Reload:
    """The state has to be loaded by REST; then `Stream.reset` with the position of that."""


@dataclass(frozen=True, slots=True)
class Started:
    """Followed from its top, `position`: what was loaded before may be old."""

    position: Position


@dataclass(frozen=True, slots=True)
class Placed:
    """Another command gave the whole state, and subscribed to what follows it."""

    state: Any


Happening = Durable | Ephemeral | Reload | Started | Placed


class Phase(Enum):
    IDLE = "idle"  # nothing is asked: no connection, or its turn has not come
    ASKING = "asking"
    LIVE = "live"
    RELOADING = "reloading"  # until `reset`
    FULL = "full"  # until what is queued has been read


class Stream(AsyncIterator[Happening]):
    """Iterate over it; the iteration raises Refused or Stopped when nothing more will come.

    `position` is that of the last event queued; what was handled, the reader knows.
    """

    placed_by_others = False
    """Another command than `sub` subscribes to it on each socket, and then calls `placed`."""

    def __init__(
        self, name: str, position: Position | None, ask: Callable[["Stream"], None]
    ) -> None:
        self.name = name
        self.position = position
        self.phase = Phase.IDLE
        self.link: Link | None = None  # where it was asked for last
        self._ask = ask
        self._queue: deque[Happening] = deque()
        self._error: Exception | None = None
        self._ready = asyncio.Event()

    def reset(self, position: Position) -> None:
        """The state was loaded at `position`: go on from there."""
        self.position = position
        self.phase = Phase.IDLE
        self._ask(self)

    async def __anext__(self) -> Happening:
        while not self._queue:
            if self._error:
                raise self._error
            if self.phase is Phase.FULL:
                self.phase = Phase.IDLE
                self._ask(self)
            self._ready.clear()
            await self._ready.wait()
        return self._queue.popleft()

    # What the connection brings.

    def received(self, event: Durable) -> None:
        """Queue the event if it is the next one."""
        at = self.position
        if self.phase in {Phase.RELOADING, Phase.FULL}:
            return
        if at is None:  # from before the reply, whose position counts it already
            return
        if event.e == at.epoch and event.o <= at.offset:
            return
        if event.e != at.epoch or event.o != at.offset + 1:
            if self.phase is Phase.LIVE:
                self.phase = Phase.IDLE
                self._ask(self)
            return
        if len(self._queue) >= QUEUE:
            self.phase = Phase.FULL
            return
        self.position = Position(event.e, event.o)
        self._put(event)

    def heard(self, event: Ephemeral) -> None:
        """Queue an ephemeral event, unless the reader is behind."""
        if len(self._queue) < QUEUE // 2:
            self._put(event)

    def subscribed(self, position: Position, *, recovered: bool) -> None:
        """The server's answer: `position` is the stream's top."""
        if self.position is not None and not recovered:
            self.lost()
            return
        if self.position is None:
            self._put(Started(position))
            self.position = position
        self.phase = Phase.LIVE

    def placed(self, position: Position, state: Any) -> None:
        """The state is known at `position`, and later events follow."""
        self.phase, self.position = Phase.LIVE, position
        self._put(Placed(state))

    def lost(self) -> None:
        """It cannot be continued."""
        if self.phase is not Phase.RELOADING:
            self.phase = Phase.RELOADING
            self._put(Reload())

    def ended(self, error: Exception) -> None:
        """Nothing more will come."""
        self._error = self._error or error
        self._ready.set()

    def _put(self, happening: Happening) -> None:
        self._queue.append(happening)
        self._ready.set()


class Streams:
    """All that one client follows. `spawn` runs a coroutine in the background."""

    def __init__(
        self,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        link: Callable[[], Link | None],
    ) -> None:
        self._spawn = spawn
        self._streams: dict[str, Stream] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)
        self.link = link

    def follow(self, name: str, position: Position | None) -> Stream:
        """Follow `name` from `position` on, or from its top."""
        if name in self._streams:
            raise ValueError(f"{name} is followed already")
        stream = self._streams[name] = Stream(name, position, self.ask)
        self.ask(stream)
        return stream

    def adopt(self, stream: Stream) -> None:
        """Hand on to `stream` what comes for it; to ask for it is its maker's business."""
        self._streams[stream.name] = stream

    async def leave(self, stream: Stream) -> None:
        """Follow it no more."""
        if not self.forget(stream):
            return
        link = self.link()
        if link is not None:
            # A courtesy: a closed socket has done it already.
            with suppress(ConnectionLost, Refused):
                await link.request("unsub", {"s": stream.name})

    def forget(self, stream: Stream) -> bool:
        """Hand nothing more on to it; False where that was so already."""
        known = self._streams.get(stream.name) is stream
        if known:
            del self._streams[stream.name]
        return known

    def resume(self) -> None:
        """There is a new socket: ask for everything from where we stand."""
        for stream in self._streams.values():
            if stream.phase in {Phase.ASKING, Phase.LIVE}:
                stream.phase = Phase.IDLE
            if not stream.placed_by_others:
                self.ask(stream)

    def received(self, frame: dict[str, Any]) -> None:
        """Take a push: an event, or a word on a stream."""
        name = frame.get("s") or frame.get("d", {}).get("s")
        stream = self._streams.get(name)
        if stream is None:
            return
        if frame.get("op") == "resync":
            stream.lost()
        elif "o" in frame:
            stream.received(Durable(name, frame["e"], frame["o"], frame["t"], frame["d"]))
        elif "t" in frame:
            stream.heard(Ephemeral(name, frame["t"], frame["d"]))

    def stop(self, error: Exception) -> None:
        for stream in self._streams.values():
            stream.ended(error)

    def ask(self, stream: Stream) -> None:
        """Ask for what follows its position, if there is a socket."""
        link = self.link()
        if link is not None and stream.phase is Phase.IDLE:
            stream.phase, stream.link = Phase.ASKING, link
            self._spawn(self._asked(stream, link))

    async def _asked(self, stream: Stream, link: Link) -> None:
        async with self._turn:
            while self._is_due(stream, link):
                try:
                    await self._request(stream, link)
                except ConnectionLost:
                    return  # the next socket asks again
                except Refused as refused:
                    if refused.retry:
                        await asyncio.sleep(RETRY_SECONDS)
                    elif refused.code == Code.UNRECOVERABLE:
                        stream.lost()
                    else:
                        self._streams.pop(stream.name, None)
                        stream.ended(refused)
                        return

    async def _request(self, stream: Stream, link: Link) -> None:
        at = stream.position
        place = {"e": at.epoch, "o": at.offset} if at else {}

        def answered(ok: dict[str, Any]) -> None:
            if self._is_due(stream, link):
                stream.subscribed(Position(ok["e"], ok["o"]), recovered=ok["recovered"])

        await link.request("sub", {"s": stream.name, **place}, answered=answered)

    def _is_due(self, stream: Stream, link: Link) -> bool:
        """Whether the answer on `link` is still the one that counts."""
        return (
            self._streams.get(stream.name) is stream
            and stream.link is link
            and stream.phase is Phase.ASKING
        )
