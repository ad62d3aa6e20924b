"""Hints over Redis: what was committed, told at once to every process.

A hint may be lost, doubled or late: the log of streams is in PostgreSQL. Content
travels sealed. Redis being away costs a publisher at most `_TIMEOUT` once a second.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import redis
from django.conf import settings

from app import metrics
from app.realtime.log import Event

logger = logging.getLogger(__name__)

STREAM_CHANNEL = "parley:stream:"
CONTROL_CHANNEL = "parley:control"
LOG_CHANNEL = "parley:log"
_TIMEOUT = 0.5
_PAUSE = 1.0


class Hint(NamedTuple):
    """A channel's name and a payload of UTF-8 JSON; hubs of this process are given the events
    themselves, with their texts opened."""

    channel: str
    payload: bytes
    events: Sequence[Event] = ()


local_listeners: list[Callable[[Sequence[Hint]], bool]] = []
"""Hubs in this process: they hear of their own commits even without Redis. Each says whether it
tells the other processes as well, by the connection that it has: redis-py's way of publishing took
an eighth of the processor time of a send by itself."""


class _Outage:
    """While Redis is away nobody waits for it; who missed a hint is told when it is back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._unheard: set[str] = set()
        self._retrying = False

    def lasts(self) -> bool:
        return time.monotonic() < self._closed_until

    def begins(self) -> None:
        self._closed_until = time.monotonic() + _PAUSE

    def missed(self, channels: Iterable[str]) -> None:
        """Remember the streams whose hints were not published, and tell of them later."""
        streams = {
            name.removeprefix(STREAM_CHANNEL)
            for name in channels
            if name.startswith(STREAM_CHANNEL)
        }
        with self._lock:
            self._unheard |= streams
            if self._retrying or not self._unheard:
                return
            self._retrying = True
        self._later()

    def _later(self) -> None:
        timer = threading.Timer(_PAUSE, self._tell)
        timer.daemon = True  # a position check finds what this one forgets
        timer.start()

    def _tell(self) -> None:
        with self._lock:
            streams = sorted(self._unheard)
        try:
            redis_client().publish(CONTROL_CHANNEL, json.dumps({"check": streams}))
        except redis.RedisError:
            self._later()
            return
        with self._lock:
            self._unheard -= set(streams)
            self._retrying = bool(self._unheard)
        if self._retrying:
            self._later()


_outage = _Outage()


@lru_cache(maxsize=1)
def redis_client() -> redis.Redis:
    """The process's own; asked from threads, and soon tired of waiting, as rows may be locked."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
    )


def missed(channels: Iterable[str]) -> None:
    """Hints on these channels may be lost: have the streams' logs read everywhere, soon."""
    _outage.missed(channels)


def publish(hints: Sequence[Hint]) -> None:
    """Tell the hubs of this process and those of all others."""
    told = [listener(hints) for listener in list(local_listeners)]
    if any(told):
        return
    if _outage.lasts():
        _outage.missed(hint.channel for hint in hints)
        return
    try:
        with metrics.HINT.timed(), redis_client().pipeline(transaction=False) as pipe:
            for hint in hints:
                pipe.publish(hint.channel, hint.payload)
            pipe.execute()
    except redis.RedisError as error:
        _outage.begins()
        _outage.missed(hint.channel for hint in hints)
        logger.warning("redis_unavailable", extra={"error": type(error).__name__})


def control(**message: Any) -> None:
    """Tell every gateway something: `revoke=[session, …]` or `check=[stream, …]`."""
    publish([Hint(CONTROL_CHANNEL, json.dumps(message).encode())])
