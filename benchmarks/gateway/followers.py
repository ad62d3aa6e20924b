"""Sockets that follow streams, and come back to them where they stood."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, TypeVar

from app.realtime.services import conversation_stream, user_stream
from benchmarks.figures import Incorrect
from benchmarks.gateway.cast import Cast
from benchmarks.gateway.connection import TIMEOUT, Member
from benchmarks.gateway.frames import masked

ALIVE = masked(b'{"id":0,"op":"ping"}')
"""A frame numbered 0 gets no answer; without any for 35 s the gateway closes the socket."""

Outcome = TypeVar("Outcome")
Position = tuple[str, int]


class Follower(Member):
    """Knows how far it has each stream; `fault` says if an event was missing or double."""

    def __init__(self) -> None:
        super().__init__()
        self.on_push = self._pushed
        self.positions: dict[str, Position] = {}
        self._tops: dict[str, int] = {}
        self._moved = asyncio.Event()
        self.fault: Incorrect | None = None

    async def follow(self, streams: Iterable[str]) -> None:
        """Follow these from their tops."""
        for stream in streams:
            answer = await self.ask("sub", s=stream)
            self.positions[stream] = (answer["e"], answer["o"])

    async def recover(self, positions: dict[str, Position]) -> None:
        """Follow from these positions, and return when all that was missed is here."""
        self.positions = dict(positions)
        for stream, (epoch, offset) in positions.items():
            answer = await self.ask("sub", s=stream, e=epoch, o=offset)
            if not answer["recovered"]:
                raise Incorrect(f"{stream} was not recovered from {offset}")
            self._tops[stream] = answer["o"]
        async with asyncio.timeout(TIMEOUT):
            while not self._is_whole():
                self._moved.clear()
                await self._moved.wait()

    def _is_whole(self) -> bool:
        """Whether it has each stream up to where that was when it came back."""
        if failure := self.fault or self.closed:
            raise failure
        return all(self.positions[stream][1] >= top for stream, top in self._tops.items())

    def _pushed(self, frame: dict[str, Any]) -> None:
        if "o" in frame and frame["s"] in self.positions:
            epoch, offset = self.positions[frame["s"]]
            if frame["o"] != offset + 1 or frame["e"] != epoch:
                self.fault = Incorrect(f"{frame['s']}: {frame['o']} came after {offset}")
            self.positions[frame["s"]] = (frame["e"], frame["o"])
        self._moved.set()


Wish = tuple[str, Sequence[str]]
"""A ticket, and the streams to follow with it."""


def wishes(cast: Cast, sockets: range, size: int) -> list[Wish]:
    """Tickets for the sockets of these numbers, in turns over all people, with their streams.

    `size` is that of the conversations, which `Cast.rooms` made of the people in their order.
    """
    found: list[Wish] = []
    for number in sockets:
        person = cast.people[number % len(cast.people)]
        room, _ = cast.conversations[(number % len(cast.people)) // size]
        found.append((cast.ticket(person), [user_stream(person.pk), conversation_stream(room)]))
    return found


async def arrive(port: int, wanted: Sequence[Wish], at_once: int = 64) -> list[Follower]:
    """Open these sockets, some at once."""
    few = asyncio.Semaphore(at_once)

    async def enter(wish: Wish) -> Follower:
        ticket, streams = wish
        async with few:
            follower = Follower()
            await follower.enter(port, ticket)
            await follower.follow(streams)
        return follower

    return await asyncio.gather(*map(enter, wanted))


async def all_of(work: Sequence[Awaitable[Outcome]]) -> list[Outcome]:
    """Run all at once. Raises Incorrect where some were refused, closed or not in time."""
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    failed = [one for one in outcomes if isinstance(one, BaseException)]
    if failed:
        if not isinstance(failed[0], Incorrect | TimeoutError):
            raise failed[0]
        first = f"{type(failed[0]).__name__} {failed[0]}"
        raise Incorrect(f"{len(failed)} of {len(outcomes)} did not arrive: {first}")
    return [one for one in outcomes if not isinstance(one, BaseException)]
