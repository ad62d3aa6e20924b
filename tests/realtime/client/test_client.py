"""The library against a real server."""

import asyncio
from uuid import uuid4

import pytest
from django.db import connection

from app.accounts.models import Session, User
from app.accounts.services import end_session
from app.chat.models import Conversation
from app.realtime.client import Position, Refused, Reload, Stopped, Stream
from app.realtime.client.streams import Started
from app.realtime.protocol import Close, Code, Durable
from tests.chat.talk import room, say
from tests.realtime.client.member import client_of
from tests.server import WebServer

TIMEOUT = 60.0


def stream_of(conversation: Conversation) -> str:
    return f"conversation:{conversation.pk}"


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
            stream = b.follow(stream_of(ward))
            top = await started(stream)
            acks = [await a.send(str(ward.pk), f"number {number}") for number in range(20)]
            events = await durable(stream, 20)
        assert [event.o for event in events] == [top.offset + 1 + n for n in range(20)]
        assert [event.d["id"] for event in events] == [ack.id for ack in acks]
        assert [event.d["body"] for event in events] == [f"number {n}" for n in range(20)]

    asyncio.run(talk())


def test_mattermost_16505_who_was_offline_gets_what_was_said_meanwhile_and_then_what_is_said(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    before = client_of(bob, server.base_url)
    held: list[Position] = []

    async def leave() -> None:
        async with before:
            held.append(await started(before.follow(stream_of(ward))))

    asyncio.run(leave())
    for number in range(30):
        say(alice, ward, f"while away {number}")
    a, b = client_of(alice, server.base_url), client_of(bob, server.base_url)

    async def come_back() -> None:
        async with a, b:
            stream = b.follow(stream_of(ward), held[0])
            missed = await durable(stream, 30)
            await a.send(str(ward.pk), "live")
            [live] = await durable(stream, 1)
        texts = [event.d["body"] for event in [*missed, live]]
        assert texts == [*(f"while away {number}" for number in range(30)), "live"]

    asyncio.run(come_back())


def test_a_position_of_another_history_asks_for_a_reload_and_goes_on_from_there(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    ack = say(alice, ward, "known by REST")
    b = client_of(bob, server.base_url)

    async def listen() -> None:
        async with b:
            stream = b.follow(stream_of(ward), Position("another", 3))
            async with asyncio.timeout(TIMEOUT):
                assert await anext(stream) == Reload()
            top = await b.request("sub", s=stream_of(ward))
            stream.reset(Position(top["e"], ack.offset))
            sent = await b.send(str(ward.pk), "after it")
            [event] = await durable(stream, 1)
        assert event.d["id"] == sent.id

    asyncio.run(listen())


def test_a_stream_of_others_is_refused_and_so_is_a_send_that_makes_no_sense(
    server: WebServer, alice: User, bob: User, mallory: User
) -> None:
    ward = room(alice, bob)
    m = client_of(mallory, server.base_url)

    async def try_it() -> None:
        async with m, asyncio.timeout(TIMEOUT):
            with pytest.raises(Refused) as refused:
                await anext(m.follow(stream_of(ward)))
            assert refused.value.code == Code.NOT_FOUND
            with pytest.raises(Refused):
                await m.send(str(ward.pk), "not mine")

    asyncio.run(try_it())


def test_the_same_send_again_is_the_same_message(server: WebServer, alice: User, bob: User) -> None:
    ward = room(alice, bob)
    a = client_of(alice, server.base_url)

    async def twice() -> None:
        async with a:
            id_ = str(uuid4())
            first = await a.send(str(ward.pk), "once", id_=id_)
            assert await a.send(str(ward.pk), "once", id_=id_) == first

    asyncio.run(twice())


def test_an_ended_session_stops_the_client_and_all_who_wait(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    a = client_of(alice, server.base_url)
    session = Session.objects.get(user=alice)

    def sign_alice_out() -> None:
        end_session(user=alice, session_id=session.pk)
        connection.close()  # this thread's

    async def work() -> None:
        async with a:
            stream = a.follow(stream_of(ward))
            await started(stream)
            await asyncio.to_thread(sign_alice_out)
            async with asyncio.timeout(TIMEOUT):
                with pytest.raises(Stopped) as stopped:
                    await anext(stream)
                assert stopped.value.code == Close.REVOKED
                with pytest.raises(Stopped):
                    await a.send(str(ward.pk), "too late")

    asyncio.run(work())
