"""Whoever reads more slowly than the log tells what they missed: they get it as they read.

Only so much of it waits in a socket's queue; the rest stays in PostgreSQL, and is read again a
portion at a time, each authorised anew, when the queue has drained. Meanwhile live events are
not handed to them: they stand in the log as well. So one connection is enough for any size,
and the queue keeps room for all else.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from random import SystemRandom
from typing import Any

from app import metrics
from app.errors import DomainError
from app.realtime.channel import Channel, Subscriber, covers, joined, runs
from app.realtime.log import Event

logger = logging.getLogger(__name__)

ReadOn = Callable[[Subscriber, str, str, int], Coroutine[Any, Any, Sequence[Event]]]
"""The next events of a stream, of an epoch, after an offset, for who may listen to it still.
Raises DomainError if they may not."""


class Laggards:
    """`run` until cancelled; everything else from the same event loop."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        read_on: ReadOn,
        *,
        lost: Callable[[Subscriber, str], None],
    ) -> None:
        self._channels, self._read_on, self._lost = channels, read_on, lost
        self._drained: dict[Subscriber, None] = {}  # in the order of their turns
        self._wake = asyncio.Event()

    def give(
        self, channel: Channel, socket: Subscriber, offset: int, events: Sequence[Event]
    ) -> None:
        """Hand `socket`, who has all up to `offset`, what follows, as much of it as it takes now.

        With all that was handed out to others it is one of them.
        """
        # What is committed, but was not handed out to the others yet, comes with theirs.
        later = [event for event in events if offset < event.offset <= channel.offset]
        for run in runs(later):
            if not socket.has_room():
                break
            socket.hand(joined(run))
            offset = run[-1].offset
        channel.behind.pop(socket, None)
        channel.sockets.discard(socket)
        if offset == channel.offset:
            channel.sockets.add(socket)
        else:
            channel.behind[socket] = offset
            socket.when_drained(self._ready)

    def _ready(self, socket: Subscriber) -> None:
        self._drained[socket] = None
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._drained:
                socket = next(iter(self._drained))
                del self._drained[socket]
                try:
                    await self._go_on(socket)
                except Exception as error:
                    # As in the hub: whatever the reason, the log is read again.
                    metrics.HUB_FAILURES.add()
                    logger.warning("recovery_waits", extra={"error": type(error).__name__})
                    await asyncio.sleep(SystemRandom().uniform(0.2, 0.5))
                    self._ready(socket)

    async def _go_on(self, socket: Subscriber) -> None:
        """Hand out a portion of one stream; the next has its turn when that has drained."""
        behind = (name for name in socket.streams if self._offset(socket, name) is not None)
        stream = next(behind, None)
        if stream is None:
            return
        channel = self._channels[stream]
        offset = channel.behind[socket]
        try:
            events = await self._read_on(socket, stream, channel.epoch, offset)
        except DomainError:
            events = ()
        if self._channels.get(stream) is channel and channel.behind.get(socket) == offset:
            if events and covers(offset, events[-1].offset, events):
                self.give(channel, socket, offset, events)
            else:
                self._lost(socket, stream)
        # Else it left the stream meanwhile, or asked for another position.
        socket.when_drained(self._ready)

    def _offset(self, socket: Subscriber, stream: str) -> int | None:
        channel = self._channels.get(stream)
        return channel.behind.get(socket) if channel else None
