"""The library against a real server."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from app.accounts.models import User
from app.accounts.services import sign_out
from app.realtime.client import Client, Position, Refused, Reload, Stopped, Stream
from app.realtime.client.streams import Started
from app.realtime.protocol import Close, Code, Durable
from tests.chat.talk import room, say
from tests.realtime.client.member import client_of
from tests.server import WebServer

TIMEOUT = 30.0


async def durable(stream: Stream, count: int) -> list[Durable]:
    """The next so many durable events."""
    found: list[Durable] = []
    async with asyncio.timeout(TIMEOUT):
        while len(found) < count:
            happening = await anext(stream)
            assert not isinstance(happening, Reload)
            if isinstance(happening, Durable):
                found.append(happening)
    return found


async def started(stream: Stream) -> Position:
    async with asyncio.timeout(TIMEOUT):
        happening = await anext(stream)
    assert isinstance(happening, Started)
    return happening.position


def test_what_one_sends_the_other_gets_once_and_in_order(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    a, b = client_of(alice, server.base_url), client_of(bob, server.base_url)

    async def talk() -> None:
        async with a, b:
            stream = b.follow(f"conversation:{ward.pk}")
            top = await started(stream)
            acks = [await a.send(str(ward.pk), f"number {number}") for number in range(20)]
            events = await durable(stream, 20)
        assert [event.o for event in events] == [top.offset + 1 + n for n in range(20)]
        assert [event.d["id"] for event in events] == [ack.id for ack in acks]
        assert [event.d["body"] for event in events] == [f"number {n}" for n in range(20)]

    asyncio.run(talk())
