"""Leases in Redis, by Redis' own clock: who in a room gave a sign of life lately.

PostgreSQL is the truth about who is there; what is lost here is granted anew. One hash holds
for each pid `gen|until (ms)|user|session`. Nothing in it expires by itself, so that "ended"
and "lost" are told apart. `grant` and `drop` are called while the participant's row is locked
(docs/decisions, "Leases are in Redis"): then a lease that runs belongs to somebody who is there.
"""

import logging
import time
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import redis
from django.conf import settings

from app.voice.lifetimes import GAP_MS, LEASE_MS, SWEEP_MS, Holder, Lease, Reading, Turn

logger = logging.getLogger(__name__)

LEASES = "parley:voice:leases"
SWEPT = "parley:voice:swept"
_TIMEOUT = 0.5
_PAUSE = 1.0

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
_UNTIL = _NOW + "local until_ = string.format('|%d|', now + ARGV[1])"
# A generation never goes back, and a lease is never shortened.
_GRANT = (
    _UNTIL
    + """
for i = 2, #ARGV, 4 do
    local pid, gen, user, session = ARGV[i], tonumber(ARGV[i+1]), ARGV[i+2], ARGV[i+3]
    local held = redis.call('HGET', KEYS[1], pid)
    local had, kept = -1, ''
    if held then
        had = tonumber(string.match(held, '^(%d+)|'))
        kept = string.match(held, '|([^|]*)$')
    end
    if gen >= had then
        if session == '' then session = kept end
        redis.call('HSET', KEYS[1], pid, gen .. until_ .. user .. '|' .. session)
    end
end
"""
)
# Only what still runs: what has ended is decided under the row's lock.
_RENEW = (
    _UNTIL
    + """
local done = {}
for i = 2, #ARGV, 4 do
    local pid, gen, user, session = ARGV[i], ARGV[i+1], ARGV[i+2], ARGV[i+3]
    local held = redis.call('HGET', KEYS[1], pid)
    local renewed = 0
    if held then
        local g, ends, u = string.match(held, '^(%d+)|(%d+)|([^|]*)|')
        if g == gen and u == user and tonumber(ends) > now then
            redis.call('HSET', KEYS[1], pid, gen .. until_ .. user .. '|' .. session)
            renewed = 1
        end
    end
    done[#done + 1] = renewed
end
return done
"""
)
_DROP = """
for i = 1, #ARGV, 2 do
    local held = redis.call('HGET', KEYS[1], ARGV[i])
    if held and tonumber(string.match(held, '^(%d+)|')) <= tonumber(ARGV[i+1]) then
        redis.call('HDEL', KEYS[1], ARGV[i])
    end
end
"""
_TURN = (
    _NOW
    + """
local swept = redis.call('GET', KEYS[1])
if swept and now - swept < tonumber(ARGV[1]) and now >= tonumber(swept) then return 0 end
redis.call('SET', KEYS[1], string.format('%d', now))
if swept and now - swept < tonumber(ARGV[2]) and now >= tonumber(swept) then return 1 end
return 2
"""
)
_READ = _NOW + "return {string.format('%d', now), redis.call('HGETALL', KEYS[1])}"
_READ_SOME = _NOW + "return {string.format('%d', now), redis.call('HMGET', KEYS[1], unpack(ARGV))}"


class Away(Exception):
    """Redis does not answer: nothing can be said of any lease."""


def grant(holders: Sequence[Holder]) -> None:
    """Let these leases run for their full time from now. Redis being away is no failure."""
    if holders:
        _forgiven(_GRANT, LEASES, LEASE_MS, *_flat(holders))


def drop(places: Sequence[tuple[UUID, int]]) -> None:
    """Forget the leases of these (pid, generation)s, but not of a later generation."""
    if places:
        _forgiven(_DROP, LEASES, *[part for pid, gen in places for part in (str(pid), gen)])


def renew(holders: Sequence[Holder]) -> list[bool]:
    """Prolong, in one round trip, those leases that run; False for all others. Raises Away."""
    return [bool(one) for one in _run(_RENEW, LEASES, LEASE_MS, *_flat(holders))]


def read(pids: Collection[UUID] | None = None) -> Reading:
    """The leases of these, or all there are. Raises Away."""
    if pids is None:
        now, flat = _run(_READ, LEASES)
        found = dict(zip(flat[::2], flat[1::2], strict=True))
    else:
        names = [str(pid) for pid in pids]
        now, values = _run(_READ_SOME, LEASES, *names)
        found = {name.encode(): value for name, value in zip(names, values, strict=True) if value}
    return Reading(int(now), {UUID(pid.decode()): _lease(value) for pid, value in found.items()})


def turn() -> Turn:
    """Ask for the turn to sweep, which one process has each SWEEP_MS. Raises Away."""
    return Turn(_run(_TURN, SWEPT, SWEEP_MS, GAP_MS))


def _flat(holders: Sequence[Holder]) -> list[str | int]:
    return [part for one in holders for part in (str(one.pid), one.gen, str(one.user), one.session)]


def _lease(value: bytes) -> Lease:
    gen, until, _, session = value.decode().split("|")
    return Lease(int(gen), int(until), session)


@lru_cache(maxsize=1)
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
    )


_closed_until = 0.0


def _run(script: str, key: str, *arguments: str | int) -> Any:
    """Run `script`. Raises Away; after that for `_PAUSE` seconds without asking, as rows are
    locked meanwhile."""
    global _closed_until  # noqa: PLW0603 - as there is one client a process
    if time.monotonic() < _closed_until:
        raise Away
    try:
        return _client().eval(script, 1, key, *arguments)
    except redis.RedisError as error:
        _closed_until = time.monotonic() + _PAUSE
        logger.warning("redis_unavailable", extra={"error": type(error).__name__})
        raise Away from error


def _forgiven(script: str, key: str, *arguments: str | int) -> None:
    try:
        _run(script, key, *arguments)
    except Away:
        return  # the sweep grants anew what is missing, and forgets what is left over
