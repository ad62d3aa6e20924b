"""Files sealed in parts: what may be done to the parts, and that it is refused."""

import os
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from app.encryption import stream
from app.encryption.envelope import Fault, SealError
from app.encryption.stream import (
    OVERHEAD_BYTES,
    PART_BYTES,
    FilePlace,
    Layout,
    new_key,
    open_part,
    seal_part,
)

PLACE = FilePlace(UUID(int=1), UUID(int=2), UUID(int=3), "content")
KEY = bytes(range(32))
TEXTS = [b"first", b"second", b"third"]


def sealed(place: FilePlace = PLACE, key: bytes = KEY) -> list[bytes]:
    return [
        seal_part(key, place, index, last=index == 2, content=text)
        for index, text in enumerate(TEXTS)
    ]


def opened(parts: list[bytes], place: FilePlace = PLACE, key: bytes = KEY) -> list[bytes]:
    """As a reader does who knows how many parts there are to be: the last of these is the last."""
    return [
        open_part(key, place, index, last=index == len(parts) - 1, sealed=part)
        for index, part in enumerate(parts)
    ]


def test_what_was_sealed_opens() -> None:
    assert opened(sealed()) == TEXTS


def test_the_format_is_the_documented_one() -> None:
    """Rebuilt from docs/attachments.md, without our code."""
    part = seal_part(KEY, PLACE, 5, last=True, content=b"x-ray")
    pieces = [
        b"parley/file/v1",
        UUID(int=1).bytes,
        UUID(int=2).bytes,
        UUID(int=3).bytes,
        b"content",
        (5).to_bytes(8, "big"),
        b"\x01",
    ]
    associated = b"".join(len(piece).to_bytes(4, "big") + piece for piece in pieces)
    assert part[:4] == b"cf1."
    assert AESGCM(KEY).decrypt(part[4:16], part[16:], associated) == b"x-ray"
    assert len(part) == len(b"x-ray") + OVERHEAD_BYTES


HARMS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "the last part is cut off": lambda parts: parts[:2],
    "the first part is cut off": lambda parts: parts[1:],
    "two parts are exchanged": lambda parts: [parts[1], parts[0], parts[2]],
    "a part is repeated": lambda parts: [parts[0], parts[0], parts[2]],
    "a part is appended": lambda parts: [*parts, parts[2]],
    "a bit of the content is changed": lambda parts: [parts[0], flipped(parts[1], 20), parts[2]],
    "a bit of the nonce is changed": lambda parts: [parts[0], flipped(parts[1], 5), parts[2]],
    "a bit of the tag is changed": lambda parts: [parts[0], flipped(parts[1], -1), parts[2]],
    "a part is shortened": lambda parts: [parts[0], parts[1][:-1], parts[2]],
    "a part is emptied": lambda parts: [parts[0], b"", parts[2]],
    "a part has another beginning": lambda parts: [parts[0], b"x" + parts[1][1:], parts[2]],
}


def flipped(part: bytes, at: int) -> bytes:
    changed = bytearray(part)
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("harm", HARMS)
def test_parts_that_were_tampered_with_are_refused(harm: str) -> None:
    with pytest.raises(SealError) as refused:
        opened(HARMS[harm](sealed()))
    assert refused.value.code in {Fault.REFUSED, Fault.MALFORMED}


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, organization=uuid4()),
        replace(PLACE, conversation=uuid4()),
        replace(PLACE, attachment=uuid4()),
        replace(PLACE, role="preview"),
    ],
    ids=["organization", "conversation", "attachment", "role"],
)
def test_a_part_of_another_file_is_refused_even_under_the_same_key(elsewhere: FilePlace) -> None:
    with pytest.raises(SealError) as refused:
        opened(sealed(elsewhere))
    assert refused.value.code == Fault.REFUSED


MOVED = {
    "the last part is cut off": [b"first", b"second"],
    "the first part is cut off": [b"second", b"third"],
    "two parts are exchanged": [b"second", b"first", b"third"],
    "a part is repeated": [b"first", b"first", b"third"],
    "a part is appended": [b"first", b"second", b"third", b"third"],
}


@pytest.mark.parametrize("harm", MOVED)
def test_without_their_places_parts_could_be_moved_about(
    harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FilePlace, "associated", lambda *_: b"anywhere")
    assert opened(HARMS[harm](sealed())) == MOVED[harm]


def test_without_its_place_a_part_could_come_from_another_file_of_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FilePlace, "associated", lambda *_: b"anywhere")
    assert opened(sealed(replace(PLACE, attachment=uuid4()))) == TEXTS


class WithoutTags:
    """The same cipher (NIST SP 800-38D: GCM encrypts as CTR from counter 2), its tag unread."""

    def __init__(self, key: bytes) -> None:
        self._raw = key

    def decrypt(self, nonce: bytes, data: bytes, _: bytes) -> bytes:
        counter = modes.CTR(nonce + (2).to_bytes(4, "big"))
        return Cipher(algorithms.AES(self._raw), counter).decryptor().update(data[:-16])


CHANGED = {
    "a bit of the content is changed": lambda text: text == flipped(b"second", 4),
    "a bit of the nonce is changed": lambda text: text != b"second",
    "a bit of the tag is changed": lambda text: text == b"second",
    "a part is shortened": lambda text: text == b"secon",
}


@pytest.mark.parametrize("harm", CHANGED)
def test_without_its_tag_a_changed_part_would_be_read(
    harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = HARMS[harm](sealed())
    monkeypatch.setattr(stream, "AESGCM", WithoutTags)
    first, second, third = opened(parts)
    assert (first, third) == (b"first", b"third")
    assert CHANGED[harm](second)


def test_a_part_does_not_open_with_another_key() -> None:
    with pytest.raises(SealError):
        opened(sealed(key=new_key()))


def test_the_same_part_sealed_twice_shows_no_equality() -> None:
    one, other = (seal_part(KEY, PLACE, 0, last=True, content=b"same") for _ in range(2))
    assert one[4:16] != other[4:16]
    assert one[16:] != other[16:]


@given(st.integers(min_value=0, max_value=20 * PART_BYTES))
def test_a_layout_covers_the_file_exactly(size: int) -> None:
    layout = Layout(size)
    lengths = [layout.length(index) for index in layout]
    assert sum(lengths) == size
    assert all(length == PART_BYTES for length in lengths[:-1])
    assert [layout.is_last(index) for index in layout] == [False] * (len(lengths) - 1) + [True]
    assert lengths == [0] or all(lengths)


@pytest.mark.parametrize("index", [-1, 1])
def test_there_is_no_part_outside_of_the_file(index: int) -> None:
    with pytest.raises(IndexError):
        Layout(10).length(index)


def test_a_refusal_tells_nothing_of_the_content() -> None:
    secret = os.urandom(16).hex().encode()
    part = seal_part(KEY, PLACE, 0, last=True, content=secret)
    with pytest.raises(SealError) as refused:
        open_part(KEY, PLACE, 1, last=True, sealed=part)
    assert secret.decode() not in str(refused.value)
