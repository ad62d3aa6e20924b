"""Durable sends to a room of twenty live members, beside Synapse on the same PostgreSQL.

Parley commits, seals, indexes and records each message in the trail; Synapse commits it. At both,
all twenty hear all of it: by one socket each here, by a `/sync` long poll each there. Rates are
acknowledged sends for a processor second of the server's processes, PostgreSQL not included (its
own share is told beside); latencies are of an open model, from when a message was to be sent.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import uvloop

from app.realtime.protocol import COMMANDS_PER_SECOND
from benchmarks.figures import Figure, p99
from benchmarks.gateway.cast import Cast
from benchmarks.gateway.sending import Crowd, Load, Times
from benchmarks.gateway.sends import LATE, MEMBERS
from benchmarks.gateway.servers import Gateway, Peer, Server, database_seconds, used
from benchmarks.gateway.turns import Turn, rate, ratio
from benchmarks.peers.homeserver import Guest, homeserver, room_of
from benchmarks.peers.matrix import Visitors
from tests.live import LiveDatabase
from tests.stack import running_stack

UNDER_WAY = 4
"""Messages that each of the twenty keeps under way when the server is to be full."""
EACH_THERE, EACH_HERE = 8, 50
"""How many each of the twenty sends in a turn: what takes either of them long enough."""
ROUNDS = 5
A_SECOND, OPEN_SECONDS = 5.0, 8.0
TIMES_AS_MANY, TIMES_AS_SOON = 100.0, 25.0


@dataclass
class House:
    """A server with its people, and the turns that they had."""

    name: str
    server: Server
    people: Load
    each: int
    rested: float = 0
    turns: list[Turn] = field(default_factory=list)
    databases: list[float] = field(default_factory=list)
    times: list[Times] = field(default_factory=list)

    async def fill(self) -> None:
        """As many sends as the server takes, within what our sockets may say (10 a second)."""
        await asyncio.sleep(self.rested - time.monotonic())
        before = database_seconds()
        spent = partial(used, [self.server])
        result, times = await self.people.exhaust(self.each, spent, under_way=UNDER_WAY)
        self.turns.append(result)
        self.databases.append((database_seconds() - before) / len(times.acknowledged) * 1e6)
        self.rested = time.monotonic() + self.each / COMMANDS_PER_SECOND

    async def offer(self) -> None:
        """A few sends a second."""
        _, times = await self.people.offer(A_SECOND, partial(used, [self.server]), OPEN_SECONDS)
        self.times.append(times)

    @property
    def delivered(self) -> list[float]:
        """The median of each turn at a few sends a second, in ms."""
        return [median(times.delivered) * 1000 for times in self.times]


def measure(scale: float) -> Iterator[Figure]:
    stack, rounds = running_stack(), max(1, round(ROUNDS * scale))
    with (
        stack.fresh_database() as database,
        LiveDatabase(database).acting_as("app"),
        stack.fresh_database(template="template0") as theirs,
        Gateway.running(LiveDatabase(database), stack.redis, stack) as gateway,
        Peer.running("synapse", homeserver(theirs.superuser_url)) as synapse,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        visitors, crowd = Visitors(), Crowd()
        guests = [Guest(synapse.port, f"guest{number}") for number in range(MEMBERS)]
        runner.run(visitors.seat(room_of(guests), guests, UNDER_WAY))
        cast = Cast(MEMBERS)
        [(room, people)] = cast.rooms(MEMBERS)
        tickets = [cast.ticket(person) for person in people]
        runner.run(crowd.seat([gateway.port], room, tickets))
        houses = [
            House("Synapse", synapse, visitors, EACH_THERE),
            House("Parley", gateway, crowd, EACH_HERE),
        ]
        for work in (House.fill, House.offer):
            for _ in range(1 + rounds):  # the first is not counted: caches fill
                for house in houses:
                    runner.run(crowd.stay())
                    runner.run(work(house))
    yield from _figures(*houses)


def _figures(synapse: House, parley: House) -> Iterator[Figure]:
    for house in (synapse, parley):
        del house.turns[0], house.databases[0], house.times[0]
        yield rate(f"{house.name}, sends to {MEMBERS}, full", "a CPU second", house.turns)
        yield Figure("of that, PostgreSQL beside it", "µs of CPU a send", house.databases)
    name = f"sends to {MEMBERS} against Synapse"
    yield ratio(name, parley.turns, synapse.turns, TIMES_AS_MANY)
    late = max(p99(times.late) for house in (synapse, parley) for times in house.times)
    for house in (synapse, parley):
        name = f"{house.name}, {A_SECOND:g} sends a second: delivered, p50"
        yield Figure(name, "ms", house.delivered)
    yield Figure(
        "delivered sooner than by Synapse, p50",
        "times",
        [theirs / ours for theirs, ours in zip(synapse.delivered, parley.delivered, strict=True)],
        TIMES_AS_SOON,
        remark=f"the generator late by {late * 1000:.1f} ms (p99)",
        void=late > LATE,
    )
