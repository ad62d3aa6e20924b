"""Whoever missed more than waits for a slow reader has all of it by one connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn
from uuid import uuid4

import msgspec
import pytest

from app.realtime.channel import Channel
from app.realtime.laggards import Laggards
from app.realtime.log import MAX_RECOVERY, PORTION, Event
from app.realtime.models import Stream, StreamEvent
from app.realtime.protocol import MemberLeft, VoiceSummoned
from app.realtime.socket import QUEUE_BYTES, Socket
from tests.realtime.hub import Board, a_board, until
from tests.realtime.reader import Reader, a_socket

pytestmark = pytest.mark.usefixtures("live_db")

SIP = 700_000
"""Bytes that the client takes in before the next pause."""


class Sipping(Reader):
    """Reads so much, then nothing until it `sips` again."""

    def __init__(self) -> None:
        super().__init__()
        self.socket = a_socket(self, reading=False)
        self._taken = 0
        self.most = 0

    def write(self, frame: bytes) -> None:
        super().write(frame)
        self._taken += len(frame)
        if self._taken >= SIP:
            self.socket.paused()

    def sip(self) -> None:
        self.most = max(self.most, self.socket._bytes)
        self._taken = 0
        self.socket.resumed()

    def offsets(self, stream: str) -> list[int]:
        heard = map(msgspec.json.decode, self.got)
        return [one["o"] for one in heard if one.get("s") == stream and "o" in one]

    def resyncs(self) -> list[str]:
        heard = map(msgspec.json.decode, self.got)
        return [one["d"]["s"] for one in heard if one.get("op") == "resync"]

    async def reads_until(self, true: Callable[[], bool]) -> None:
        def sipped() -> bool:
            self.sip()
            return true()

        await until(sipped, "it reads")


def letters(number: int, size: int = 20_000) -> list[VoiceSummoned]:
    return [VoiceSummoned("x" * size, "", "")] * number


async def missed(board: Board, number: int) -> tuple[str, tuple[str, int]]:
    """A stream with so many long events, and the position before all of them."""
    stream = f"user:{uuid4()}"
    await board.emit(stream, letters(number))
    row = await board.do(lambda: Stream.objects.get(name=stream))
    return stream, (row.epoch, 0)


def on_a_board(work: Callable[[Board, Sipping], Awaitable[None]]) -> None:
    async def play() -> None:
        async with a_board() as board:
            reader = Sipping()
            await work(board, reader)
            assert reader.closed == []

    asyncio.run(play())


MANY = 300
"""Of letters(): 6 MB, where 4 are kept for one who does not read."""


def test_what_a_slow_reader_missed_comes_as_they_read_and_live_events_after_it() -> None:
    async def work(board: Board, reader: Sipping) -> None:
        stream, start = await missed(board, MANY)
        other, beginning = await missed(board, 1)
        (answer,) = await board.sub(reader.socket, stream, start)
        assert (answer.o, answer.recovered) == (MANY, True)
        await board.sub(reader.socket, other, beginning)
        # While they are behind: the stream goes on, and so do all others.
        await board.emit(stream, letters(3))
        await board.emit(other, letters(1))
        await reader.reads_until(lambda: len(reader.offsets(stream)) >= MANY // 2)
        await board.emit(stream, letters(3))
        await reader.reads_until(lambda: len(reader.offsets(stream)) >= MANY + 6)
        await board.emit(stream, letters(2))
        await reader.reads_until(lambda: len(reader.offsets(stream)) >= MANY + 8)
        # Which of its streams has its turn first is not said.
        await reader.reads_until(lambda: len(reader.offsets(other)) >= 2)
        assert reader.offsets(stream) == list(range(1, MANY + 9))
        assert reader.offsets(other) == [1, 2]
        assert reader.resyncs() == []
        # Half of the queue is left for what cannot wait elsewhere.
        assert reader.most <= QUEUE_BYTES // 2 + 200_000

    on_a_board(work)


def test_more_than_is_ever_replayed_at_first_may_gather_while_somebody_reads() -> None:
    async def work(board: Board, reader: Sipping) -> None:
        stream, start = await missed(board, MANY)
        await board.sub(reader.socket, stream, start)
        await board.emit(stream, letters(MAX_RECOVERY, 10))
        total = MANY + MAX_RECOVERY
        await reader.reads_until(lambda: len(reader.offsets(stream)) >= total)
        assert reader.offsets(stream) == list(range(1, total + 1))
        assert reader.resyncs() == []

    on_a_board(work)


def test_who_is_behind_in_several_streams_catches_up_in_all() -> None:
    async def work(board: Board, reader: Sipping) -> None:
        streams = [await missed(board, MANY // 2) for _ in range(3)]
        for stream, start in streams:
            await board.sub(reader.socket, stream, start)
        for stream, _ in streams:
            await board.emit(stream, letters(1))
        for stream, _ in streams:
            whole = list(range(1, MANY // 2 + 2))
            await reader.reads_until(lambda: len(reader.offsets(stream)) >= len(whole))  # noqa: B023
            assert reader.offsets(stream) == whole

    on_a_board(work)


def test_who_may_listen_no_more_gets_no_further_portion() -> None:
    async def work(board: Board, reader: Sipping) -> None:
        stream, start = await missed(board, MANY)
        await board.sub(reader.socket, stream, start)
        board.refused.add(stream)
        await reader.reads_until(lambda: bool(reader.resyncs()))
        assert reader.resyncs() == [stream]
        heard = len(reader.offsets(stream))
        assert 0 < heard < MANY // 2
        assert stream not in reader.socket.streams
        assert stream not in board.hub.streams()

    on_a_board(work)


def test_who_is_removed_while_behind_is_let_go_at_once() -> None:
    async def work(board: Board, reader: Sipping) -> None:
        stream, start = await missed(board, MANY)
        await board.sub(reader.socket, stream, start)
        await board.emit(stream, [MemberLeft(reader.socket.user, "", "")])
        await until(lambda: stream not in reader.socket.streams, "unread, but let go")
        assert stream not in board.hub.streams()
        await reader.reads_until(lambda: bool(reader.resyncs()))
        assert len(reader.offsets(stream)) < MANY // 2

    on_a_board(work)


def test_what_was_pruned_meanwhile_is_never_skipped() -> None:
    async def work(board: Board, reader: Sipping) -> None:
        stream, start = await missed(board, MANY)
        await board.sub(reader.socket, stream, start)
        gone = StreamEvent.objects.filter(stream=stream, offset=MANY // 2)
        await board.do(gone.delete)
        await reader.reads_until(lambda: bool(reader.resyncs()))
        heard = reader.offsets(stream)
        assert heard == list(range(1, len(heard) + 1))
        assert MANY // 2 - PORTION <= len(heard) < MANY // 2

    on_a_board(work)


def test_a_history_that_began_anew_is_not_mixed_with_the_old_one() -> None:
    async def work(board: Board, reader: Sipping) -> None:
        stream, start = await missed(board, MANY)
        await board.sub(reader.socket, stream, start)
        await board.do(lambda: Stream.objects.filter(name=stream).update(epoch="0" * 16))
        await reader.reads_until(lambda: bool(reader.resyncs()))
        assert len(reader.offsets(stream)) < MANY // 2

    on_a_board(work)


def test_who_leaves_a_stream_while_behind_hears_no_more_of_it() -> None:
    async def work(board: Board, reader: Sipping) -> None:
        stream, start = await missed(board, MANY)
        other, beginning = await missed(board, MANY // 2)
        await board.sub(reader.socket, stream, start)
        await board.sub(reader.socket, other, beginning)
        board.unsub(reader.socket, stream)
        await reader.reads_until(lambda: len(reader.offsets(other)) >= MANY // 2)
        assert len(reader.offsets(stream)) < MANY // 2
        assert set(board.hub.streams()) == {other}

    on_a_board(work)


@pytest.mark.parametrize("again", [0, MANY - 5, None], ids=["the start", "near the end", "the top"])
def test_who_asks_for_another_position_goes_on_from_there(again: int | None) -> None:
    async def work(board: Board, reader: Sipping) -> None:
        stream, start = await missed(board, MANY)
        await board.sub(reader.socket, stream, start)
        board.portions.clear()
        while reader.socket._queue:
            reader.sip()
        reader.got.clear()
        await asyncio.sleep(0.1)  # a portion has been read, of where they were
        await board.sub(reader.socket, stream, None if again is None else (start[0], again))
        board.portions.set()
        await board.emit(stream, letters(1))
        await reader.reads_until(lambda: MANY + 1 in reader.offsets(stream))
        since = MANY if again is None else again
        assert reader.offsets(stream) == list(range(since + 1, MANY + 2))

    on_a_board(work)


def test_who_had_everything_may_ask_for_all_of_it_again() -> None:
    async def work(board: Board, reader: Sipping) -> None:
        stream, start = await missed(board, MANY)
        await board.sub(reader.socket, stream)
        await board.sub(reader.socket, stream, start)
        await board.emit(stream, letters(1))
        await reader.reads_until(lambda: MANY + 1 in reader.offsets(stream))
        assert reader.offsets(stream) == list(range(1, MANY + 2))

    on_a_board(work)


def test_what_is_committed_but_not_handed_out_yet_comes_once_with_everybody_elses() -> None:
    channel = Channel("e", offset=3)
    laggards = Laggards({"s": channel}, read_on=never, lost=never)
    reader = Reader()
    socket = a_socket(reader)
    laggards.give(channel, socket, 1, [Event("s", "e", at, "t", {}) for at in range(1, 6)])
    assert [msgspec.json.decode(one)["o"] for one in reader.got] == [2, 3]
    assert channel.sockets == {socket}
    assert channel.behind == {}


def never(*_: object) -> NoReturn:
    raise AssertionError


def test_while_the_database_is_away_a_recovery_waits() -> None:
    async def work(board: Board, reader: Sipping) -> None:
        stream, start = await missed(board, MANY)
        await board.sub(reader.socket, stream, start)
        board.failures = 2
        await reader.reads_until(lambda: len(reader.offsets(stream)) >= MANY)
        assert board.failures == 0
        assert reader.offsets(stream) == list(range(1, MANY + 1))

    on_a_board(work)


def test_a_socket_that_closes_while_it_subscribes_is_not_kept() -> None:
    async def work(board: Board, reader: Sipping) -> None:
        stream, start = await missed(board, 1)
        gone: Socket = a_socket(Reader())
        asking = asyncio.create_task(board.sub(gone, stream, start))
        await asyncio.sleep(0)
        gone.lost()
        assert await asking == []
        assert stream not in board.hub.streams()

    on_a_board(work)
