"""2,000 sockets lose their gateway at once, and come to another: until each has all it missed."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from random import SystemRandom
from statistics import median

import uvloop

from benchmarks.figures import Figure
from benchmarks.gateway.cast import Cast
from benchmarks.gateway.connection import Closed
from benchmarks.gateway.followers import ALIVE, Follower, all_of, arrive, wishes
from benchmarks.gateway.servers import Gateway, used
from tests.live import LiveDatabase
from tests.stack import running_stack

SOCKETS, PEOPLE, CONVERSATION = 2000, 500, 10
MISSED = 10
RETRY_SECONDS = (0.5, 1.5)
ROUNDS = 2
_AT_ONCE = 250


def measure(scale: float) -> Iterator[Figure]:
    stack, count = running_stack(), int(SOCKETS * min(1, scale))
    last: list[float] = []
    half: list[float] = []
    spent: list[float] = []
    with (
        stack.fresh_database() as database,
        LiveDatabase(database).acting_as("app"),
        Gateway.running(LiveDatabase(database), stack.redis, stack) as one,
        Gateway.running(LiveDatabase(database), stack.redis, stack) as other,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        gateways = [one, other]
        cast = Cast(PEOPLE)
        cast.rooms(CONVERSATION)
        sockets: list[Follower] = []
        for start in range(0, count, _AT_ONCE):
            wanted = wishes(cast, range(start, min(count, start + _AT_ONCE)), CONVERSATION)
            sockets += runner.run(arrive(one.port, wanted))
            for socket in sockets:
                socket.write(ALIVE)
        for _ in range(ROUNDS if scale >= 1 else 1):
            tickets = [ticket for ticket, _ in wishes(cast, range(count), CONVERSATION)]
            runner.run(asyncio.sleep(0.1))
            gateways[0].kill()
            cast.talk(MISSED)
            before = used(gateways[1:])
            sockets, times = runner.run(_return(gateways[1].port, tickets, sockets))
            spent.append(used(gateways[1:]) - before)
            last.append(max(times))
            half.append(median(times))
            gateways[0].start()
            gateways.reverse()
    yield Figure(
        f"{count:,} sockets at once: the last is whole after",
        "s",
        last,
        30,
        "at most",
        remark=f"half of them after {median(half):.1f} s; {median(spent):.1f} s of the server's "
        f"processor; each had missed {MISSED} messages",
    )


async def _return(
    port: int, tickets: Sequence[str], lost: Sequence[Follower]
) -> tuple[list[Follower], list[float]]:
    """All come back at once; returns them, and after how many seconds each was whole."""
    began = time.perf_counter()

    async def come(ticket: str, before: Follower) -> tuple[Follower, float]:
        while True:
            socket = Follower()
            try:
                await socket.enter(port, ticket)
                break
            except Closed:  # full for the moment: clients wait and try again, so do we
                await asyncio.sleep(SystemRandom().uniform(*RETRY_SECONDS))
        await socket.recover(before.positions)
        return socket, time.perf_counter() - began

    back = await all_of(list(map(come, tickets, lost)))
    return [socket for socket, _ in back], [seconds for _, seconds in back]
