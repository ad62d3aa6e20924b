"""Hints over Redis: what was committed, told at once to every process.

A hint may be lost, doubled or late: the log of streams is in PostgreSQL. Content
travels sealed. Redis being away costs a publisher at most `_TIMEOUT` once a second.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings

logger = logging.getLogger(__name__)

STREAM_CHANNEL = "parley:stream:"
CONTROL_CHANNEL = "parley:control"
LOG_CHANNEL = "parley:log"
_TIMEOUT = 0.5
_PAUSE = 1.0

Hint = tuple[str, bytes]
"""A channel's name and a payload of UTF-8 JSON."""

local_listeners: list[Callable[[Sequence[Hint]], None]] = []
"""Hubs in this process: they hear of their own commits even without Redis."""


class _Breaker:
    """After a failure, lets nobody wait for Redis for `_PAUSE` seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed_until = 0.0

    def open(self) -> bool:
        return time.monotonic() >= self._closed_until

    def trip(self) -> None:
        with self._lock:
            self._closed_until = time.monotonic() + _PAUSE


_breaker = _Breaker()


@lru_cache(maxsize=1)
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
    )


def publish(hints: Sequence[Hint]) -> None:
    """Tell the hubs of this process and, in one round trip, those of all others."""
    for listener in list(local_listeners):
        listener(hints)
    if not hints or not _breaker.open():
        return
    try:
        with _client().pipeline(transaction=False) as pipe:
            for channel, payload in hints:
                pipe.publish(channel, payload)
            pipe.execute()
    except redis.RedisError as error:
        _breaker.trip()
        logger.warning("redis_unavailable", extra={"error": type(error).__name__})


def control(**message: Any) -> None:
    """Tell every gateway to do something to its sockets: see `Gateway.on_control`."""
    publish([(CONTROL_CHANNEL, json.dumps(message).encode())])
