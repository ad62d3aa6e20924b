"""Leases in Redis, by Redis' own clock: who in a room gave a sign of life lately.

PostgreSQL is the truth about who is there; what is lost here is granted anew. One hash holds
for each pid `gen|until (ms)|user|session`. Nothing in it expires by itself, so that "ended"
and "lost" are told apart. `grant` and `drop` are called while the participant's row is locked
(docs/decisions/0016-leases-are-in-redis.md): then whoever has a running lease is there.
"""

import logging
import time
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import redis

from app.realtime.hints import redis_client
from app.voice.lifetimes import GAP_MS, LEASE_MS, SWEEP_MS, Holder, Lease, Reading, Turn

logger = logging.getLogger(__name__)

LEASES = "parley:voice:leases"
SWEEPS = "parley:voice:sweeps"
_PAUSE = 0.5

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
_UNTIL = _NOW + "local until_ = string.format('|%d|', now + ARGV[1])"
# Whoever grants holds the row's lock, so it says more than what may stand here: what a process
# wrote that died before its commit.
_GRANT = (
    _UNTIL
    + """
for i = 2, #ARGV, 4 do
    local pid, gen, user, session = ARGV[i], ARGV[i+1], ARGV[i+2], ARGV[i+3]
    if session == '' then
        session = string.match(redis.call('HGET', KEYS[1], pid) or '', '|([^|]*)$') or ''
    end
    redis.call('HSET', KEYS[1], pid, gen .. until_ .. user .. '|' .. session)
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
_DROP = "for i = 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end"
_TURN = (
    _NOW
    + """
local begun = tonumber(redis.call('HGET', KEYS[1], 'begun') or -1)
if begun >= 0 and now >= begun and now - begun < tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'begun', string.format('%d', now))
local done = tonumber(redis.call('HGET', KEYS[1], 'done') or -1)
if done >= 0 and now >= done and now - done < tonumber(ARGV[2]) then return 1 end
return 2
"""
)
_SWEPT = _NOW + "redis.call('HSET', KEYS[1], 'done', string.format('%d', now))"
_READ = _NOW + "return {string.format('%d', now), redis.call('HGETALL', KEYS[1])}"
_READ_SOME = _NOW + "return {string.format('%d', now), redis.call('HMGET', KEYS[1], unpack(ARGV))}"


class Away(Exception):
    """Redis does not answer: nothing can be said of any lease."""


def grant(holders: Sequence[Holder]) -> None:
    """Let these leases run for their full time from now. Redis being away is no failure."""
    if holders:
        _forgiven(_GRANT, LEASES, LEASE_MS, *_flat(holders))


def drop(pids: Sequence[UUID]) -> None:
    """Forget the leases of people who have left."""
    if pids:
        _forgiven(_DROP, LEASES, *map(str, pids))


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
    return Turn(_run(_TURN, SWEEPS, SWEEP_MS, GAP_MS))


def swept() -> None:
    """Whoever is there has a lease: said by who had the turn, and only once it is so. Who dies
    before leaves a gap. Raises Away."""
    _run(_SWEPT, SWEEPS)


def _flat(holders: Sequence[Holder]) -> list[str | int]:
    return [part for one in holders for part in (str(one.pid), one.gen, str(one.user), one.session)]


def _lease(value: bytes) -> Lease:
    gen, until, _, session = value.decode().split("|")
    return Lease(int(gen), int(until), session)


_closed_until = 0.0


def _run(script: str, key: str, *arguments: str | int) -> Any:
    """Run `script`. Raises Away; after that for `_PAUSE` seconds without asking, as rows are
    locked meanwhile."""
    global _closed_until  # noqa: PLW0603 - as there is one client a process
    if time.monotonic() < _closed_until:
        raise Away
    try:
        return redis_client().eval(script, 1, key, *arguments)
    except redis.RedisError as error:
        _closed_until = time.monotonic() + _PAUSE
        logger.warning("redis_unavailable", extra={"error": type(error).__name__})
        raise Away from error


def _forgiven(script: str, key: str, *arguments: str | int) -> None:
    try:
        _run(script, key, *arguments)
    except Away:
        return  # the sweep grants anew what is missing, and forgets what is left over
