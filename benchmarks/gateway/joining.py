"""Somebody joins a call of five others, in 50 rooms at the same moment: until all five offers
are with those they are for.

Fills the rooms first, one seat in each of them at a time; then the sixth leave and come again.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any
from uuid import UUID

import uvloop

from app.accounts.models import User
from benchmarks.figures import Figure, Incorrect, p99
from benchmarks.gateway.calls import ROOM, Seat, renewed
from benchmarks.gateway.cast import Cast
from benchmarks.gateway.connection import TIMEOUT
from benchmarks.gateway.followers import all_of
from benchmarks.gateway.frames import masked
from benchmarks.gateway.servers import Gateway, used
from tests.live import LiveDatabase
from tests.stack import running_stack

ROOMS, ROUNDS = 50, 5
QUIET_SECONDS = 1.0


class Joiner(Seat):
    """Offers to whoever is there, and notes which offers arrived at it."""

    def __init__(self, person: User, conversation: UUID) -> None:
        super().__init__(person, conversation)
        self.on_push = self._pushed
        self.heard_from: set[str] = set()
        self._heard = asyncio.Event()

    def _pushed(self, frame: dict[str, Any]) -> None:
        if frame.get("t") == "voice.signalled":
            self.heard_from.add(frame["d"]["sender"])
            self._heard.set()

    async def hears(self, sender: str) -> None:
        while sender not in self.heard_from:
            self._heard.clear()
            await self._heard.wait()

    async def join_and_offer(self, others: Sequence["Joiner"]) -> float:
        """Return after how many milliseconds the last of the others had our offer."""
        began = time.perf_counter()
        place = await self.join()
        there = [one for one in place["participants"] if one["pid"] != self.pid]
        for one in there:
            self.write(masked(self.offer_to(one["pid"], one["gen"])("first")))
        if len(there) != len(others):
            raise Incorrect(f"{len(there)} of {len(others)} were there")
        by_pid = {other.pid: other for other in others}
        async with asyncio.timeout(TIMEOUT):
            await asyncio.gather(*(by_pid[one["pid"]].hears(self.pid) for one in there))
        return (time.perf_counter() - began) * 1000


def measure(scale: float) -> Iterator[Figure]:
    stack = running_stack()
    with (
        stack.fresh_database() as database,
        LiveDatabase(database).acting_as("app"),
        Gateway.running(LiveDatabase(database), stack.redis, stack) as gateway,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        cast = Cast(ROOMS * ROOM)
        rooms = cast.rooms(ROOM)
        calls: list[list[Joiner]] = [[] for _ in rooms]
        filling = []
        for place in range(ROOM):
            tickets = [cast.ticket(people[place]) for _, people in rooms]
            runner.run(_enter(gateway.port, place, rooms, tickets, calls))
            filling += runner.run(_last_joins(calls))
        again, spent = [], []
        for _ in range(max(2, round(ROUNDS * scale))):
            runner.run(_last_leave(calls))
            before = used([gateway])
            again.append(runner.run(_last_joins(calls)))
            spent.append((used([gateway]) - before) / ROOMS * 1000)
    name = f"joining to the last offer, {ROOMS} rooms at once"
    yield Figure(f"{name}, as the rooms fill: p99", "ms", [p99(filling)])
    yield Figure(
        f"{name}, a call of {ROOM}: p99",
        "ms",
        [p99(each) for each in again],
        300,
        "at most",
        remark=f"median {median(time for each in again for time in each):.0f} ms; "
        f"{median(spent):.1f} ms of the server's processor a joining",
    )


async def _enter(
    port: int,
    place: int,
    rooms: Sequence[tuple[UUID, Sequence[User]]],
    tickets: Sequence[str],
    calls: Sequence[list[Joiner]],
) -> None:
    """One person more of each room connects."""
    await renewed([seat for seats in calls for seat in seats])
    for (conversation, people), ticket, seats in zip(rooms, tickets, calls, strict=True):
        joiner = Joiner(people[place], conversation)
        await joiner.enter(port, ticket)
        seats.append(joiner)


async def _last_joins(calls: Sequence[Sequence[Joiner]]) -> list[float]:
    return await all_of([seats[-1].join_and_offer(seats[:-1]) for seats in calls])


async def _last_leave(calls: Sequence[Sequence[Joiner]]) -> None:
    await renewed([seat for seats in calls for seat in seats])
    await asyncio.gather(*(seats[-1].leave() for seats in calls))
    await asyncio.sleep(QUIET_SECONDS)
