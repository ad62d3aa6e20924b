"""The backpressure rule: what a slow reader loses first, and that nothing grows without a bound."""

import time

from app.realtime.frames import payload_of, text_frame
from app.realtime.protocol import Close
from app.realtime.socket import MAX_UNDER_WAY, QUEUE_BYTES, QUEUE_FRAMES, Bucket
from tests.realtime.reader import Reader, a_socket


def test_a_slow_reader_loses_typing_first() -> None:
    reader = Reader()
    socket = a_socket(reader, reading=False)
    for _ in range(QUEUE_FRAMES // 4):
        assert socket.hint(text_frame(b"presence"))
        socket.offer(b"durable")
    assert not socket.hint(text_frame(b"typing"))
    socket.offer(b"last durable")
    assert reader.got == []
    socket.resumed()
    assert b"typing" not in reader.got
    assert reader.got[-1] == b"last durable"
    assert len(reader.got) == QUEUE_FRAMES // 2 + 1


def test_what_was_queued_goes_first() -> None:
    reader = Reader()
    socket = a_socket(reader, reading=False)
    socket.offer(b"one")
    socket.resumed()
    socket.offer(b"two")
    assert reader.got == [b"one", b"two"]


def test_a_reader_that_pauses_again_gets_no_more_than_it_takes() -> None:
    reader = Reader()
    socket = a_socket(reader, reading=False)
    for number in range(3):
        socket.offer(b"%d" % number)
    reader.write = lambda frame: (reader.got.append(payload_of(frame)), socket.paused())  # type: ignore[assignment, method-assign, func-returns-value]
    socket.resumed()
    assert reader.got == [b"0"]
    socket.resumed()
    assert reader.got == [b"0", b"1"]


def test_a_reader_that_does_not_keep_up_is_cut_off_with_a_code_to_come_back() -> None:
    reader = Reader()
    socket = a_socket(reader, reading=False)
    for _ in range(QUEUE_FRAMES + 500):
        socket.offer(b"durable")
    assert socket.closing
    assert reader.closed == [(Close.SLOW, None)]
    socket.resumed()
    assert reader.got == []


def test_the_queue_is_bounded_in_bytes_too() -> None:
    socket = a_socket(Reader(), reading=False)
    for _ in range(8):
        socket.offer(b"x" * (QUEUE_BYTES // 4))
    assert socket.closing


def test_the_last_word_goes_before_the_close() -> None:
    reader = Reader()
    socket = a_socket(reader, reading=False)
    socket.offer(b"queued")
    socket.close(Close.REVOKED, b"bye")
    socket.close(Close.SLOW)
    socket.offer(b"too late")
    assert reader.got == []
    assert reader.closed == [(Close.REVOKED, b"bye")]


def test_nothing_more_is_read_from_who_has_much_under_way() -> None:
    reader = Reader()
    socket = a_socket(reader)
    for _ in range(MAX_UNDER_WAY - 1):
        socket.began()
    assert not reader.held
    socket.began()
    assert reader.held
    socket.ended()
    assert not reader.held


def test_a_bucket_allows_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=2, burst=5)
    now = time.monotonic() + 100
    assert [bucket.take(now) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [bucket.take(now + 0.75) for _ in range(2)] == [True, False]
    assert [bucket.take(now + 1.0) for _ in range(2)] == [True, False]
