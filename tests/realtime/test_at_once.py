"""Whose texts open on the loop is handed out in that step; all else goes by a thread, in order."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import msgspec
import pytest

from app.realtime import hints
from app.realtime.hub import AT_ONCE
from app.realtime.log import Event
from app.realtime.protocol import VoiceSummoned
from tests.realtime.hub import Board, _emit, a_board, until
from tests.realtime.reader import Reader, a_socket

pytestmark = pytest.mark.usefixtures("live_db")


class Openings:
    """Opens at once what `may` allows, and knows what it was asked for and who used a thread."""

    def __init__(self, board: Board) -> None:
        self.may: Callable[[Event], bool] = lambda _: True
        self.asked: list[int] = []
        self.in_thread: list[int] = []
        # Else what is committed may be read from the log before its hint is heard.
        board.hub._check = lambda streams: None  # type: ignore[method-assign]  # noqa: ARG005
        board.hub._open_at_once = self._at_once
        board.hub._open_bodies = lambda events: self.in_thread.extend(one.offset for one in events)

    def _at_once(self, events: Sequence[Event]) -> bool:
        self.asked += [event.offset for event in events]
        return all(map(self.may, events))


class Elsewhere:
    """Another process: commits to a stream, and its hints are heard here when it says so."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.stream = f"user:{uuid4()}"

    async def commits(self, number: int) -> list[hints.Hint]:
        kept: list[hints.Hint] = []
        with patch.object(hints, "publish", kept.extend):
            events = [VoiceSummoned("c", "", "")] * number
            await self._board.do(partial(_emit, self.stream, events))
        return [hints.Hint(hint.channel, hint.payload) for hint in kept]


def on_a_board(
    work: Callable[[Board, Openings, Elsewhere, Callable[[int], Awaitable[None]]], Awaitable[None]],
) -> None:
    async def play() -> None:
        async with a_board() as board:
            reader, elsewhere = Reader(), Elsewhere(board)
            socket = a_socket(reader)
            await elsewhere.commits(1)
            openings = Openings(board)
            await board.sub(socket, elsewhere.stream)

            async def heard(last: int) -> None:
                await until(lambda: len(reader.got) >= last - 1, f"{last} arrive")
                offsets: list[Any] = [msgspec.json.decode(one)["o"] for one in reader.got]
                assert offsets == list(range(2, last + 1))

            await work(board, openings, elsewhere, heard)

    asyncio.run(play())


def test_what_opens_at_once_takes_no_thread() -> None:
    async def work(board: Board, openings: Openings, elsewhere: Elsewhere, heard: Any) -> None:
        for last in (2, 3, 4):
            board.hub._hear(await elsewhere.commits(1))
            await heard(last)
        assert (openings.asked, openings.in_thread) == ([2, 3, 4], [])

    on_a_board(work)


def test_what_does_not_open_at_once_goes_by_a_thread_and_overtakes_nothing() -> None:
    async def work(board: Board, openings: Openings, elsewhere: Elsewhere, heard: Any) -> None:
        openings.may = lambda event: event.offset != 2
        first, second = await elsewhere.commits(1), await elsewhere.commits(1)
        board.hub._hear(first)
        await until(lambda: openings.asked == [2], "its round has begun")
        board.hub._hear(second)
        await heard(3)
        assert (openings.asked, openings.in_thread) == ([2, 3], [2])

    on_a_board(work)


def test_many_texts_keep_the_loop_from_nobody() -> None:
    async def work(board: Board, openings: Openings, elsewhere: Elsewhere, heard: Any) -> None:
        board.hub._hear(await elsewhere.commits(AT_ONCE + 1))
        await heard(AT_ONCE + 2)
        assert openings.asked == []
        assert len(openings.in_thread) == AT_ONCE + 1

    on_a_board(work)
