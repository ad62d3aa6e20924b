"""The backpressure rule: what a slow reader loses first, and that nothing grows without a bound."""

import asyncio
from typing import Any
from uuid import uuid4

from app.audit.context import Origin
from app.realtime.protocol import Close
from app.realtime.services import Principal
from app.realtime.socket import QUEUE_BYTES, QUEUE_FRAMES, Bucket, Socket


class Reader:
    """The client's end: takes frames only while it is `reading`."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.reading = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        await self.reading.wait()
        self.got.append(message)


def a_socket(reader: Reader) -> Socket:
    return Socket(reader.send, Principal(uuid4(), uuid4(), uuid4(), Origin()))


async def test_a_slow_reader_loses_typing_first() -> None:
    reader = Reader()
    socket = a_socket(reader)
    for _ in range(QUEUE_FRAMES // 2):
        socket.offer(b"durable")
    socket.offer(b"typing", ephemeral=True)
    socket.offer(b"last durable")
    reader.reading.set()
    writer = asyncio.create_task(socket.write())
    await asyncio.sleep(0.05)
    writer.cancel()
    texts = [message["text"] for message in reader.got]
    assert "typing" not in texts
    assert texts[-1] == "last durable"
    assert len(texts) == QUEUE_FRAMES // 2 + 1


async def test_a_reader_that_does_not_keep_up_is_cut_off_with_a_code_to_come_back() -> None:
    reader = Reader()
    socket = a_socket(reader)
    for _ in range(QUEUE_FRAMES + 500):
        socket.offer(b"durable")
    assert socket.closing
    reader.reading.set()
    await asyncio.wait_for(socket.write(), 1)
    assert reader.got == [{"type": "websocket.close", "code": Close.SLOW}]


async def test_the_queue_is_bounded_in_bytes_too() -> None:
    socket = a_socket(Reader())
    for _ in range(8):
        socket.offer(b"x" * (QUEUE_BYTES // 4))
    assert socket.closing


async def test_the_last_word_goes_before_the_close() -> None:
    reader = Reader()
    reader.reading.set()
    socket = a_socket(reader)
    socket.offer(b"queued")
    socket.close(Close.REVOKED, b"bye")
    socket.close(Close.SLOW)
    socket.offer(b"too late")
    await asyncio.wait_for(socket.write(), 1)
    assert reader.got == [
        {"type": "websocket.send", "text": "bye"},
        {"type": "websocket.close", "code": Close.REVOKED},
    ]


def test_a_bucket_allows_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=0.001, burst=5)
    assert [bucket.take() for _ in range(7)] == [True] * 5 + [False] * 2
