"""Who reads too slowly for a change of presence sees the whole once they read again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import msgspec
import pytest

from app import metrics
from app.realtime.presence import Presence
from app.realtime.socket import QUEUE_BYTES, Socket
from tests.realtime.hub import Board, a_board, until
from tests.realtime.reader import Reader, a_socket

pytestmark = pytest.mark.usefixtures("live_db")


@asynccontextmanager
async def a_room() -> AsyncIterator[tuple[Board, Presence, UUID]]:
    """A hub with presence, and an organization."""
    async with a_board() as board:
        presence = Presence(board.hub)
        looking = asyncio.create_task(presence.run())
        try:
            yield board, presence, uuid4()
        finally:
            looking.cancel()
            await asyncio.wait({looking})


def told(reader: Reader) -> list[tuple[bool, dict[str, str]]]:
    heard = [msgspec.json.decode(one) for one in reader.got if one.startswith(b"{")]
    return [(one["d"]["whole"], one["d"]["users"]) for one in heard if one["t"] == "presence"]


def stop_reading(socket: Socket) -> None:
    """So much waits that what is ephemeral is shed."""
    socket.paused()
    socket.offer(b"x" * (QUEUE_BYTES // 2))


async def next_shed() -> None:
    before = metrics.SHED.values[()]
    await until(lambda: metrics.SHED.values[()] > before, "something was shed")


def test_who_was_reading_too_slowly_sees_everybody_again_once_they_read() -> None:
    async def play() -> None:
        async with a_room() as (board, presence, organization):
            reader, other = Reader(), Reader()
            slow, quick = (a_socket(one, organization=organization) for one in (reader, other))
            for socket in (slow, quick):
                await board.sub(socket, f"presence:{organization}")
            await until(lambda: bool(told(reader)) and bool(told(other)), "both see nobody")
            stop_reading(slow)
            bob, carol = (a_socket(Reader(), organization=organization) for _ in range(2))
            presence.shown(bob, "active")
            await next_shed()
            await next_shed()  # still too much, and tried again
            slow.resumed()
            await until(lambda: len(told(reader)) > 1, "the slow one sees bob")
            presence.shown(carol, "away")
            await until(lambda: len(told(reader)) > 2, "and carol")
            shown = {bob.user: "active"}
            assert told(reader) == [(True, {}), (True, shown), (False, {carol.user: "away"})]
            await until(lambda: len(told(other)) > 2, "the quick one too")
            assert told(other) == [(True, {}), (False, shown), (False, {carol.user: "away"})]

    asyncio.run(play())


def test_who_subscribes_while_too_much_waits_sees_everybody_once_they_read() -> None:
    async def play() -> None:
        async with a_room() as (board, presence, organization):
            reader, first = Reader(), Reader()
            stream = f"presence:{organization}"
            await board.sub(a_socket(first, organization=organization), stream)
            bob, slow = (a_socket(one, organization=organization) for one in (Reader(), reader))
            presence.shown(bob, "active")
            await until(lambda: bob.user in str(told(first)), "bob is known here")
            stop_reading(slow)
            await board.sub(slow, stream)
            slow.resumed()
            await until(lambda: bool(told(reader)), "the slow one sees bob")
            assert told(reader) == [(True, {bob.user: "active"})]

    asyncio.run(play())


def test_who_listens_no_more_is_told_nothing_and_not_kept() -> None:
    async def play() -> None:
        async with a_room() as (board, presence, organization):
            reader, other = Reader(), Reader()
            stream = f"presence:{organization}"
            slow, quick = (a_socket(one, organization=organization) for one in (reader, other))
            for socket in (slow, quick):
                await board.sub(socket, stream)
            await until(lambda: bool(told(reader)), "they listen")
            stop_reading(slow)
            bob, carol = (a_socket(Reader(), organization=organization) for _ in range(2))
            presence.shown(bob, "active")
            await next_shed()
            board.unsub(slow, stream)
            slow.resumed()
            presence.shown(carol, "active")
            await until(lambda: carol.user in str(told(other)), "a later look")
            assert told(reader) == [(True, {})]
            board.unsub(quick, stream)
            await until(lambda: not presence._told, "nobody listens")
            assert not presence._stale

    asyncio.run(play())
