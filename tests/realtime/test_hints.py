"""Hints while Redis is away: nobody waits for it, and it hears afterwards what it missed."""

import asyncio
import json
import os
import signal
import time

import pytest
from redis import Redis

from app.realtime import hints
from app.realtime.follower import Follower
from app.realtime.log import Event
from dev.redis_server import RedisServer


def test_streams_whose_hints_were_lost_are_told_of_when_redis_is_back(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for us to be subscribed by then; a hub that comes later asks by itself.
    monkeypatch.setattr(hints, "_PAUSE", 4.0)
    redis_server.stop()
    started = time.monotonic()
    for name in ("conversation:a", "conversation:b", "conversation:a"):
        hints.publish([_hint(name)])
    assert time.monotonic() - started < 5 * hints._TIMEOUT, "publishers waited for Redis"
    redis_server.start()
    assert told_of(redis_server, 2) == {"conversation:a", "conversation:b"}


async def test_what_redis_did_not_confirm_is_told_again(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "_PAUSE", 4.0)
    follower = Follower(
        redis_server.url, streams=list, heard=lambda *_: None, caught_up_from=lambda _: None
    )
    running = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(10):
            while not follower.connected:
                await asyncio.sleep(0.01)
        follower.tell([_hint("conversation:confirmed")])
        await asyncio.sleep(0.2)
        os.kill(redis_server.process.pid, signal.SIGSTOP)
        follower.tell([_hint("conversation:a"), _hint("conversation:b")])
        await asyncio.sleep(0.2)
        redis_server.process.stop(signal.SIGKILL)
        redis_server.start()
        told = await asyncio.to_thread(told_of, redis_server, 2)
    finally:
        running.cancel()
    assert told == {"conversation:a", "conversation:b"}


async def test_what_this_process_told_it_does_not_hear_again(redis_server: RedisServer) -> None:
    heard: list[bytes] = []
    stream = "conversation:a"
    ours, theirs = (
        hints.Hint(hints.STREAM_CHANNEL + stream, b'[["%s",1,"t",{}]]' % epoch, [_event(epoch)])
        for epoch in (b"a" * 16, b"b" * 16)
    )
    follower = Follower(
        redis_server.url,
        streams=lambda: [stream],
        heard=lambda _, payload: heard.append(payload),
        caught_up_from=lambda _: None,
    )
    running = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(10):
            while not follower.connected:
                await asyncio.sleep(0.01)
            await follower.listening(stream)
            follower.tell([ours])
            await asyncio.to_thread(_publish, redis_server, theirs)
            while theirs.payload not in heard:
                await asyncio.sleep(0.01)
        assert heard == [theirs.payload]
    finally:
        running.cancel()


def _event(epoch: bytes) -> Event:
    return Event("conversation:a", epoch.decode(), 1, "t", {})


def _publish(redis_server: RedisServer, hint: hints.Hint) -> None:
    with Redis.from_url(redis_server.url) as client:
        client.publish(hint.channel, hint.payload)


def _hint(stream: str) -> hints.Hint:
    return hints.Hint(hints.STREAM_CHANNEL + stream, b"[]")


def told_of(redis_server: RedisServer, number: int) -> set[str]:
    """So many streams whose logs all are told to read, as soon as Redis says so."""
    told: set[str] = set()
    with Redis.from_url(redis_server.url) as client, client.pubsub() as pubsub:
        pubsub.subscribe(hints.CONTROL_CHANNEL)
        deadline = time.monotonic() + 15
        while len(told) < number and time.monotonic() < deadline:
            message = pubsub.get_message(ignore_subscribe_messages=True, timeout=1)
            if message is not None:
                told |= set(json.loads(message["data"]).get("check", []))
    return told
