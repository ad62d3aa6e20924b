"""A gateway is killed under members in calls, who go on at another: connected, with every message
that they missed, and in their places again."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from statistics import median

import uvloop

from app.realtime.services import conversation_stream
from benchmarks.figures import Figure, p99
from benchmarks.gateway.calls import ROOM, Seat, renewed, seated
from benchmarks.gateway.cast import Cast
from benchmarks.gateway.followers import Follower, all_of
from benchmarks.gateway.servers import Gateway, used
from tests.live import LiveDatabase
from tests.stack import running_stack

CALLS, MISSED, ROUNDS = 17, 10, 5


class Talker(Seat, Follower):
    """In a call, and following what is said in its conversation."""

    async def start(self) -> None:
        await self.follow([conversation_stream(self.conversation)])

    async def go_on(self, port: int, ticket: str, before: "Talker") -> float:
        """Return after how many milliseconds all of it is as it was before."""
        began = time.perf_counter()
        self.pid, self.gen, self.device = before.pid, before.gen, before.device
        await self.enter(port, ticket)
        await self.resume()
        await self.recover(before.positions)
        return (time.perf_counter() - began) * 1000


def measure(scale: float) -> Iterator[Figure]:
    stack = running_stack()
    with (
        stack.fresh_database() as database,
        LiveDatabase(database).acting_as("app"),
        Gateway.running(LiveDatabase(database), stack.redis, stack) as one,
        Gateway.running(LiveDatabase(database), stack.redis, stack) as other,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        gateways = [one, other]
        cast = Cast(CALLS * ROOM)
        rooms = cast.rooms(ROOM)
        with_tickets = [
            (room, [(one, cast.ticket(one)) for one in people]) for room, people in rooms
        ]
        calls = runner.run(seated(with_tickets, [one.port], Talker))
        talkers = [talker for seats in calls for talker in seats]
        runner.run(_start(talkers))
        rounds, spent = [], []
        for _ in range(max(2, round(ROUNDS * scale))):
            tickets = [cast.ticket(talker.person) for talker in talkers]
            runner.run(renewed(talkers))
            gateways[0].kill()
            cast.talk(MISSED)
            before = used(gateways[1:])
            talkers, times = runner.run(_go_on(gateways[1].port, tickets, talkers))
            rounds.append(times)
            spent.append((used(gateways[1:]) - before) / len(talkers) * 1000)
            gateways[0].start()
            gateways.reverse()
    yield Figure(
        f"resuming {len(talkers)} places at another gateway at once: p99",
        "ms",
        [p99(each) for each in rounds],
        1000,
        "at most",
        remark=f"median {median(time for each in rounds for time in each):.0f} ms; "
        f"{median(spent):.1f} ms of the server's processor each; each had missed {MISSED} messages",
    )


async def _start(talkers: Sequence[Talker]) -> None:
    await asyncio.gather(*(talker.start() for talker in talkers))


async def _go_on(
    port: int, tickets: Sequence[str], lost: Sequence[Talker]
) -> tuple[list[Talker], list[float]]:
    back = [Talker(before.person, before.conversation) for before in lost]
    coming = [
        talker.go_on(port, ticket, before)
        for talker, ticket, before in zip(back, tickets, lost, strict=True)
    ]
    return back, await all_of(coming)
