"""Leases in a real Redis: the scripts do what the simulation believes, and Redis may go away."""

from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.voice import leases
from app.voice.leases import Away
from app.voice.lifetimes import GAP_MS, LEASE_MS, SWEEP_MS, Holder, Turn
from dev.redis_server import RedisServer
from tests.voice.lease_table import LeaseTable

pytestmark = pytest.mark.usefixtures("lease_server")

PIDS = [UUID(int=number) for number in range(3)]
USERS = [UUID(int=100 + number) for number in range(2)]

holder = st.builds(
    Holder,
    st.sampled_from(PIDS),
    st.integers(1, 3),
    st.sampled_from(USERS),
    st.sampled_from(["", str(UUID(int=200)), str(UUID(int=201))]),
)
step = st.one_of(
    st.tuples(st.just("grant"), st.lists(holder, max_size=3)),
    st.tuples(st.just("renew"), st.lists(holder, max_size=3)),
    st.tuples(st.just("drop"), st.lists(holder, max_size=2)),
    st.tuples(st.just("later"), st.sampled_from([2 * SWEEP_MS, GAP_MS, LEASE_MS])),
    st.tuples(st.just("turn"), st.none()),
    st.tuples(st.just("swept"), st.none()),
)


def earlier(client: Any, ms: int) -> None:
    """As if all that stands in Redis had been written `ms` before: its clock cannot be moved."""
    for pid, value in client.hgetall(leases.LEASES).items():
        gen, until, rest = value.split(b"|", 2)
        client.hset(leases.LEASES, pid, b"|".join([gen, str(int(until) - ms).encode(), rest]))
    for field, value in client.hgetall(leases.SWEEPS).items():
        client.hset(leases.SWEEPS, field, str(max(0, int(value) - ms)))


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, max_size=12))
def test_the_scripts_do_as_the_model(steps: list[tuple[str, object]]) -> None:
    now = 10**12
    table = LeaseTable(lambda: now)
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.delete(leases.LEASES, leases.SWEEPS)
        for name, given_ in steps:
            match name, given_:
                case "later", int(ms):
                    earlier(client, ms)
                    now += ms
                case "drop", list(holders):
                    pids = [one.pid for one in holders]
                    leases.drop(pids)
                    table.drop(pids)
                case "grant", list(holders):
                    leases.grant(holders)
                    table.grant(holders)
                case "renew", list(holders):
                    assert leases.renew(holders) == table.renew(holders)
                case "turn", _:
                    assert leases.turn() is table.turn()
                case "swept", _:
                    leases.swept()
                    table.swept()
        there, model = leases.read(), table.read()
    assert there.leases.keys() == model.leases.keys()
    for pid, lease in model.leases.items():
        found = there.leases[pid]
        assert (found.gen, found.session) == (lease.gen, lease.session)
        assert there.ended(pid, lease.gen) == model.ended(pid, lease.gen)


def test_a_lease_of_somebody_else_is_not_renewed() -> None:
    mine = Holder(uuid4(), 1, USERS[0])
    leases.grant([mine])
    assert leases.renew([mine, Holder(mine.pid, 1, USERS[1])]) == [True, False]


def test_of_two_processes_one_has_the_turn() -> None:
    assert leases.turn() is Turn.AFTER_A_GAP
    assert leases.turn() is Turn.NOT_YET


def test_while_redis_is_away_nothing_is_said_and_nothing_breaks(lease_server: RedisServer) -> None:
    mine = Holder(uuid4(), 1, USERS[0])
    lease_server.stop()
    leases.grant([mine])
    leases.drop([mine.pid])
    for ask in (leases.turn, leases.read, leases.swept, lambda: leases.renew([mine])):
        with pytest.raises(Away):
            ask()
