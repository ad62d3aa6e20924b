"""Sends to rooms of twenty live members: sealed, in the trail, indexed, committed, delivered.

Rates are acknowledged sends for a processor second of the gateway, deliveries to all twenty
included. Latencies are of an open model: from when a message was to be sent.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from statistics import median

import uvloop
from django.db import connection

from benchmarks.figures import Figure, Incorrect, p99
from benchmarks.gateway.cast import Cast
from benchmarks.gateway.sending import Crowd, Times
from benchmarks.gateway.servers import Gateway, database_seconds, used
from benchmarks.gateway.turns import Turn, rate
from tests.live import LiveDatabase
from tests.stack import running_stack

ROOMS, MEMBERS = 10, 20
UNDER_WAY = 2
"""Messages that each of the 200 keeps under way when the server is to be full."""
ROUNDS, SECONDS = 5, 2.0
PARTS = (0.25, 0.5, 0.75)
"""Of the rate at which the server is full."""
OPEN_SECONDS = 6.0
A_CPU_SECOND, ACKNOWLEDGED_MS = 5000, 50
LATE = 0.010
"""Seconds: where one send in a hundred was later than that, the generator was measured."""


def measure(scale: float) -> Iterator[Figure]:
    stack, rounds = running_stack(), max(1, round(ROUNDS * scale))
    with (
        stack.fresh_database() as database,
        LiveDatabase(database).acting_as("app"),
        Gateway.running(LiveDatabase(database), stack.redis, stack) as gateway,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        spent = partial(used, [gateway])
        cast = Cast(ROOMS * MEMBERS)
        crowd = Crowd()
        for room, people in cast.rooms(MEMBERS):
            tickets = [cast.ticket(person) for person in people]
            runner.run(crowd.seat([gateway.port], room, tickets))
        said = 0
        turns: list[Turn] = []
        databases = []
        for number in range(1 + rounds):
            before = database_seconds()
            result, times = runner.run(crowd.saturate(spent, SECONDS, under_way=UNDER_WAY))
            said += len(times.acknowledged)
            if number:  # the first is not counted: keys are made, caches fill
                turns.append(result)
                databases.append((database_seconds() - before) / len(times.acknowledged) * 1e6)
        sends = rate(f"sends, {ROOMS} rooms of {MEMBERS}, full", "a CPU second", turns)
        void = any(one.void for one in turns)
        yield replace(sends, limit=A_CPU_SECOND, void=void)
        yield Figure("of that, PostgreSQL beside it", "µs of CPU a send", databases)
        full = sorted(one.done / one.wall for one in turns)[len(turns) // 2]
        for part in PARTS:
            seconds = max(2.0, OPEN_SECONDS * scale)
            result, times = runner.run(crowd.offer(part * full, spent, seconds))
            said += len(times.acknowledged)
            yield from _latencies(f"sends at {part:.0%} of full", part, result, times)
        _compare_with_database(said)


def _latencies(name: str, part: float, result: Turn, times: Times) -> Iterator[Figure]:
    late = p99(times.late)
    remark = (
        f"{result.done / result.wall:,.0f} a second, {result.rate:,.0f} a CPU second; "
        f"p50 {median(times.acknowledged) * 1000:.1f}; delivered p50 "
        f"{median(times.delivered) * 1000:.1f}, p99 {p99(times.delivered) * 1000:.1f}; "
        f"the generator late by {late * 1000:.1f} (p99)"
    )
    limit = ACKNOWLEDGED_MS if part == 0.5 else None
    figure = p99(times.acknowledged) * 1000
    yield Figure(
        f"{name}: acknowledged, p99", "ms", [figure], limit, "at most", remark, late > LATE
    )


def _compare_with_database(said: int) -> None:
    """Everything that was acknowledged is there whole. Raises Incorrect."""
    with connection.cursor() as cursor:
        cursor.execute(_WHOLE)
        (found,) = cursor.fetchone()
    if found != said:
        raise Incorrect(f"{said} were acknowledged, {found} are there with all that they need")


_WHOLE = """
SELECT count(*) FROM chat_message m
JOIN chat_messageversion v ON v.message_id = m.id AND v.revision = 1 AND v.body LIKE 'cv1.%'
JOIN audit_entry e ON e.id = v.entry_id AND e.target_id = m.id::text
JOIN chat_searchtokens t ON t.message_id = m.id AND cardinality(t.words) > 0
JOIN realtime_streamevent s
    ON s.stream = 'conversation:' || m.conversation_id AND s."offset" = m."offset"
"""
