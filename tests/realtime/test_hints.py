"""Hints while Redis is away: nobody waits for it, and it hears afterwards what it missed."""

import json
import time

import pytest
from redis import Redis

from app.realtime import hints
from dev.redis_server import RedisServer


def test_streams_whose_hints_were_lost_are_told_of_when_redis_is_back(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for us to be subscribed by then; a hub that comes later asks by itself.
    monkeypatch.setattr(hints, "_PAUSE", 4.0)
    redis_server.stop()
    started = time.monotonic()
    for name in ("conversation:a", "conversation:b", "conversation:a"):
        hints.publish([hints.Hint(hints.STREAM_CHANNEL + name, b"[]")])
    assert time.monotonic() - started < 5 * hints._TIMEOUT, "publishers waited for Redis"
    redis_server.start()
    told: set[str] = set()
    with Redis.from_url(redis_server.url) as client, client.pubsub() as pubsub:
        pubsub.subscribe(hints.CONTROL_CHANNEL)
        deadline = time.monotonic() + 15
        while told != {"conversation:a", "conversation:b"} and time.monotonic() < deadline:
            message = pubsub.get_message(ignore_subscribe_messages=True, timeout=1)
            if message is not None:
                told |= set(json.loads(message["data"]).get("check", []))
    assert told == {"conversation:a", "conversation:b"}
