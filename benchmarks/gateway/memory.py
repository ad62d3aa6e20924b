"""What an idle socket holds: connected, following its user's stream and one conversation."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import uvloop

from benchmarks.figures import Figure
from benchmarks.gateway.cast import Cast
from benchmarks.gateway.connection import Connection
from benchmarks.gateway.followers import ALIVE, Follower, arrive, wishes
from benchmarks.gateway.servers import Gateway, Peer, held
from tests.live import LiveDatabase
from tests.stack import running_stack

PEOPLE, CONVERSATION = 640, 10
STEPS, STEP = 5, 1000
SETTLE_SECONDS = 2.0
_AT_ONCE = 250


def measure(scale: float) -> Iterator[Figure]:
    stack, step = running_stack(), max(_AT_ONCE, int(STEP * scale))
    with (
        stack.fresh_database() as database,
        LiveDatabase(database).acting_as("app"),
        Gateway.running(LiveDatabase(database), stack.redis, stack) as gateway,
        Peer.running("ws") as peer,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        cast = Cast(PEOPLE)
        cast.rooms(CONVERSATION)
        sockets: list[Follower] = []
        seen = []
        for _ in range(STEPS):
            for _ in range(0, step, _AT_ONCE):
                wanted = wishes(cast, range(len(sockets), len(sockets) + _AT_ONCE), CONVERSATION)
                sockets += runner.run(arrive(gateway.port, wanted))
                for socket in sockets:
                    socket.write(ALIVE)
            runner.run(asyncio.sleep(SETTLE_SECONDS))
            seen.append((len(sockets), held(gateway)))
        theirs = [(0, held(peer))]
        for count in range(step, STEPS * step + 1, step):
            runner.run(_listening(peer.port, step))
            theirs.append((count, held(peer)))
        lost = sum(socket.closed is not None for socket in sockets)
    yield Figure("bare ws, memory of an idle socket", "KiB", _slopes(theirs[1:]))
    yield Figure(
        f"memory of a socket, of {seen[-1][0]:,}",
        "KiB",
        _slopes(seen),
        26,
        "at most",
        remark=f"{seen[0][1] / 2**20:.0f} MiB at {seen[0][0]:,}, {seen[-1][1] / 2**20:.0f} MiB at "
        f"{seen[-1][0]:,}; {lost} sockets lost",
        void=lost > 0,
    )


def _slopes(seen: list[tuple[int, int]]) -> list[float]:
    """KiB a socket, from each step to the next: what the process holds by itself is in none."""
    return [
        (after - before) / (more - fewer) / 1024
        for (fewer, before), (more, after) in pairwise(seen)
    ]


async def _listening(port: int, count: int) -> None:
    for _ in range(count):
        await Connection().open(port, "/listen")
    await asyncio.sleep(SETTLE_SECONDS / 2)
