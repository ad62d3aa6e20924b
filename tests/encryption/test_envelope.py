"""The format alone: what opens, what does not, and what nobody may learn from a failure."""

import base64
import hashlib
import os
import subprocess
import sys
import traceback
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from app.encryption import envelope
from app.encryption.envelope import Fault, SealError
from tests.encryption.rows import changed

KEY = bytes(range(32))
CIPHER = AESGCM(KEY)
DEK_ID = UUID("11111111-2222-4333-8444-555555555555").bytes
ORGANIZATION, CONVERSATION, ROW = uuid4(), uuid4(), uuid4()
LABEL = envelope.label("chat_message", "body")
PLACE = envelope.place_in(LABEL, ORGANIZATION, ROW, CONVERSATION, 3)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def seal(text: str = "meet me at noon") -> envelope.Sealed:
    return envelope.seal(CIPHER, DEK_ID, PLACE, text)


def fault_of(token: str, place: bytes = PLACE, cipher: AESGCM = CIPHER) -> Fault:
    with pytest.raises(SealError) as raised:
        envelope.unseal(cipher, envelope.decode(token), place)
    return raised.value.code


@given(texts)
def test_what_was_sealed_opens_where_it_was_sealed(text: str) -> None:
    sealed = seal(text)
    opened = envelope.unseal(CIPHER, envelope.decode(sealed.token), PLACE)
    assert opened == (text, sealed.salt)
    assert opened.commitment == sealed.commitment


def test_the_format_is_the_documented_one() -> None:
    """Rebuilt from docs/sealing.md with nothing of ours."""
    sealed = seal("ünïcode")
    version, body = sealed.token.split(".", 1)
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    parts = (
        b"parley/v1",
        ORGANIZATION.bytes,
        b"chat_message",
        b"body",
        ROW.bytes,
        CONVERSATION.bytes,
        (3).to_bytes(8, "big"),
        DEK_ID,
    )
    aad = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    content = AESGCM(KEY).decrypt(raw[16:28], raw[28:], aad)
    assert version == "cv1"
    assert "=" not in body
    assert raw[:16] == DEK_ID
    assert content == sealed.salt + "ünïcode".encode()
    assert len(raw) == 16 + 12 + 16 + len("ünïcode".encode()) + 16
    expected = hashlib.sha256(b"parley/commitment/v1\0" + content).digest()
    assert sealed.commitment == expected


@given(st.integers(0, 2**16))
def test_one_flipped_bit_anywhere_is_noticed(bit: int) -> None:
    raw = bytearray(envelope.decode(seal().token))
    bit %= len(raw) * 8
    raw[bit // 8] ^= 1 << bit % 8
    token = "cv1." + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    assert fault_of(token) is Fault.REFUSED


@given(
    st.integers(0, 3),
    st.integers(0, 2**16),
    st.lists(st.characters(codec="utf-8"), min_size=2, max_size=2, unique=True),
)
def test_one_changed_character_anywhere_is_noticed(
    length: int, position: int, others: list[str]
) -> None:
    """Also in the spare bits of the last character, which base64 itself ignores."""
    token = changed(seal("x" * length).token, position, others)
    assert fault_of(token) in {Fault.REFUSED, Fault.MALFORMED}


@given(st.integers(0, 2**16), st.text("Ab_-= \n", min_size=1, max_size=4))
def test_a_truncated_or_lengthened_token_is_noticed(length: int, more: str) -> None:
    token = seal().token
    for other in (token[: length % len(token)], token + more):
        assert fault_of(other) in {Fault.REFUSED, Fault.MALFORMED}


@pytest.mark.parametrize("stranger", [*" \n!=+/.", "é", "\0"])
def test_a_token_with_strange_characters_between_is_noticed(stranger: str) -> None:
    """A base64 decoder skips them, so the same bytes would have many spellings."""
    token = seal().token
    for count in range(1, 9):
        other = token[:50] + stranger * count + token[50:]
        assert fault_of(other) is Fault.MALFORMED


def test_the_other_base64_alphabet_is_no_second_spelling() -> None:
    token = next(t for t in (seal().token for _ in range(100)) if "-" in t and "_" in t)
    for ours, theirs in (("-", "+"), ("_", "/")):
        assert fault_of(token.replace(ours, theirs)) is Fault.MALFORMED


@given(st.text(max_size=100))
def test_an_ordinary_text_is_no_token(text: str) -> None:
    for candidate in (text, "cv1." + text):
        with pytest.raises(SealError) as raised:
            envelope.unseal(CIPHER, envelope.decode(candidate), PLACE)
        assert raised.value.code in {Fault.MALFORMED, Fault.REFUSED}


@pytest.mark.parametrize(
    "elsewhere",
    [
        envelope.place_in(LABEL, uuid4(), ROW, CONVERSATION, 3),
        envelope.place_in(envelope.label("chat_note", "body"), ORGANIZATION, ROW, CONVERSATION, 3),
        envelope.place_in(
            envelope.label("chat_message", "title"), ORGANIZATION, ROW, CONVERSATION, 3
        ),
        envelope.place_in(LABEL, ORGANIZATION, uuid4(), CONVERSATION, 3),
        envelope.place_in(LABEL, ORGANIZATION, ROW, uuid4(), 3),
        envelope.place_in(LABEL, ORGANIZATION, ROW, None, 3),
        envelope.place_in(LABEL, ORGANIZATION, ROW, CONVERSATION, 2),
    ],
    ids=["organization", "table", "column", "row", "conversation", "none", "revision"],
)
def test_a_token_does_not_open_anywhere_else(elsewhere: bytes) -> None:
    assert fault_of(seal().token, elsewhere) is Fault.REFUSED


def test_a_token_does_not_open_with_another_key() -> None:
    assert fault_of(seal().token, cipher=AESGCM(os.urandom(32))) is Fault.REFUSED


@given(
    st.lists(
        st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=2, max_size=2, unique=True
    )
)
def test_no_two_columns_have_the_same_label(names: list[tuple[str, str]]) -> None:
    try:
        first, second = (envelope.label(*pair) for pair in names)
    except UnicodeEncodeError:  # no table is named so
        return
    assert first != second


def test_equal_texts_have_different_tokens_and_commitments() -> None:
    first, second = seal("yes"), seal("yes")
    assert first.token != second.token
    assert first.commitment != second.commitment


def test_a_row_without_a_primary_key_cannot_be_sealed_for() -> None:
    with pytest.raises(SealError, match="primary key"):
        envelope.place_in(LABEL, ORGANIZATION, None, CONVERSATION, 1)


def test_a_lone_surrogate_is_refused_without_carrying_the_text() -> None:
    with pytest.raises(SealError) as raised:
        seal("hunter2 \ud800")
    told = "".join(traceback.format_exception(raised.value))
    assert raised.value.code is Fault.MALFORMED
    assert raised.value.__suppress_context__
    assert "hunter2" not in str(raised.value) + repr(raised.value) + told.split("Traceback")[0]


def test_neither_sealed_nor_opened_shows_its_text() -> None:
    sealed = seal("hunter2")
    opened = envelope.unseal(CIPHER, envelope.decode(sealed.token), PLACE)
    assert "hunter2" not in f"{sealed} {sealed!r} {opened} {opened!r}"


def test_the_module_runs_without_django() -> None:
    """An auditor needs this file and `cryptography`, nothing else."""
    program = (
        "import sys, app.encryption.envelope;"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in {'django', 'channels'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
