"""RFC 6455 as a server reads it, whatever the pieces in which the bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.frames import Opcode as Theirs

from app.realtime.frames import (
    FrameReader,
    Opcode,
    Violation,
    close_frame,
    close_status,
    payload_of,
    payloads_of,
    text_frame,
)

LONGEST = 70_000


MASK = b"\x01\x80\xff\x37"  # the same in each process: tests are named after these bytes


def sent(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A frame as another implementation makes it, masked as a client's."""
    whole = Frame(Theirs(opcode), payload, fin=fin).serialize(mask=False)
    header = whole[: len(whole) - len(payload)]
    masked = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))
    return bytes((header[0], header[1] | 0x80)) + header[2:] + MASK + masked


def read(data: bytes, longest: int = LONGEST) -> tuple[list[tuple[int, bytes]], Violation]:
    reader = FrameReader(longest)
    return list(reader.feed(data)), reader.violation


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 69_999])
def test_a_message_of_any_length_is_read(length: int) -> None:
    payload = b"x" * length
    assert read(sent(1, payload)) == ([(Opcode.TEXT, payload)], Violation.NONE)


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 40))
def test_pieces_make_no_difference(payloads: list[bytes], size: int) -> None:
    data = b"".join(sent(2, payload) for payload in payloads)
    reader = FrameReader(LONGEST)
    found: list[tuple[int, bytes]] = []
    for at in range(0, len(data), size):
        found += reader.feed(data[at : at + size])
    assert found == [(Opcode.BINARY, payload) for payload in payloads]
    assert reader.violation == Violation.NONE


def test_a_message_in_fragments_is_one_and_a_ping_may_come_in_between() -> None:
    data = sent(1, "é".encode()[:1], fin=False) + sent(9, b"p") + sent(0, "é".encode()[1:])
    assert read(data) == ([(Opcode.PING, b"p"), (Opcode.TEXT, "é".encode())], Violation.NONE)


@pytest.mark.parametrize(
    ("data", "violation"),
    [
        (b"\x81\x02hi", Violation.PROTOCOL),  # not masked
        (b"\xc1\x80\0\0\0\0", Violation.PROTOCOL),  # no extension was negotiated
        (b"\x83\x80\0\0\0\0", Violation.PROTOCOL),  # a reserved opcode
        (b"\x8b\x80\0\0\0\0", Violation.PROTOCOL),  # a reserved control opcode
        (b"\x09\x80\0\0\0\0", Violation.PROTOCOL),  # a control frame in fragments
        (b"\x89\xfe\x00\x80" + b"\0" * 132, Violation.PROTOCOL),  # a long control frame
        (sent(0, b"x"), Violation.PROTOCOL),  # goes on with nothing
        (sent(1, b"x", fin=False) + sent(1, b"y"), Violation.PROTOCOL),  # begins in between
        (sent(1, b"\xff\xfe"), Violation.NOT_UTF8),
        (sent(1, b"\xed\xa0\x80"), Violation.NOT_UTF8),  # a lone surrogate
        (sent(1, b"\xc3", fin=False) + sent(0, b"x"), Violation.NOT_UTF8),
        (sent(1, b"x" * (LONGEST + 1)), Violation.TOO_LONG),
        (b"\x81\xff\x7f" + b"\xff" * 11, Violation.TOO_LONG),  # before the payload has come
        (sent(1, b"x" * 40_000, fin=False) + sent(0, b"x" * 40_000), Violation.TOO_LONG),
    ],
)
def test_what_is_against_the_rules_fails_the_connection(data: bytes, violation: Violation) -> None:
    reader = FrameReader(LONGEST)
    assert list(reader.feed(data)) == []
    assert reader.violation == violation
    assert list(reader.feed(sent(1, b"more"))) == []


def test_what_came_before_a_violation_counts() -> None:
    assert read(sent(1, b"good") + b"\x81\x02hi") == ([(1, b"good")], Violation.PROTOCOL)


@given(st.binary(max_size=400))
def test_any_bytes_are_messages_or_a_violation(data: bytes) -> None:
    for opcode, payload in read(data)[0]:
        assert opcode in set(Opcode)
        assert len(payload) <= len(data)


@given(st.integers(0, 70_000))
def test_our_frames_are_what_another_implementation_makes(length: int) -> None:
    payload = b"x" * length
    frame = text_frame(payload)
    assert frame == Frame(Theirs.TEXT, payload).serialize(mask=False)
    assert payload_of(frame) == payload


@given(st.lists(st.sampled_from([0, 1, 125, 126, 65_535, 65_536])))
def test_frames_in_one_piece_are_told_apart(lengths: list[int]) -> None:
    payloads = [bytes([at % 256]) * length for at, length in enumerate(lengths)]
    assert list(payloads_of(b"".join(map(text_frame, payloads)))) == payloads


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (b"", 1000),
        (b"\x03\xe8", 1000),
        (b"\x0f\xa0bye", 4000),
        (b"\x03", 1002),  # half a code
        (b"\x03\xed", 1002),  # 1005 is never sent
        (b"\x00\x05", 1002),
        (b"\x03\xe8\xff", 1007),
    ],
)
def test_a_close_is_answered_in_kind(payload: bytes, status: int) -> None:
    assert close_status(payload) == status
    assert payload_of(close_frame(status)) == status.to_bytes(2, "big")
