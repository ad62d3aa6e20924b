"""Checkpoints are what C2SP, Go's sumdb/note and openssl understand, and nothing looser."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.checkpoint import (
    BadNote,
    Checkpoint,
    PublicKey,
    Signer,
    open_checkpoint,
    open_note,
)

NAME = "parley.example/log/0b5b4a8e-3d5c-4f0e-9d0e-6b1c53a0f001"
SEED = bytes(range(32))
ROOT = bytes(range(100, 132))

# The example of Go's golang.org/x/mod/sumdb/note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETERS_NOTE = (
    f"{PETERS_TEXT}\n\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


@pytest.fixture
def signer() -> Signer:
    return Signer(NAME, SEED)


def test_a_note_of_another_implementation_opens() -> None:
    assert open_note(PETERS_NOTE, [PublicKey.parse(PETER)]) == PETERS_TEXT


def test_a_checkpoint_comes_back_as_it_was_signed(signer: Signer) -> None:
    note = signer.sign(1234, ROOT)
    assert note.startswith(f"{NAME}\n1234\n{base64.b64encode(ROOT).decode()}\n\n\u2014 {NAME} ")
    key = PublicKey.parse(signer.public.vkey)
    assert open_checkpoint(note, [key]) == Checkpoint(NAME, 1234, ROOT)


def test_signing_is_deterministic_so_the_bytes_are_known(signer: Signer) -> None:
    assert signer.public.raw.hex() == (
        "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"  # RFC 8032 by openssl
    )
    assert signer.sign(1, ROOT) == signer.sign(1, ROOT)


@given(st.data())
def test_no_changed_character_goes_unnoticed(data: st.DataObject) -> None:
    signer = Signer(NAME, SEED)
    note = signer.sign(1234, ROOT)
    at = data.draw(st.integers(0, len(note) - 1))
    other = data.draw(st.characters().filter(lambda c: c != note[at]))
    with pytest.raises(BadNote):
        open_checkpoint(note[:at] + other + note[at + 1 :], [signer.public])


def test_a_witness_s_signature_beside_ours_is_passed_over(signer: Signer) -> None:
    witness = Signer("witness.example/w", bytes(32))
    line = witness.sign(7, ROOT).splitlines()[-1]
    note = f"{signer.sign(7, ROOT)}{line}\n"
    assert open_checkpoint(note, [signer.public]).size == 7
    with pytest.raises(BadNote, match="does not hold"):  # the witness signed another text
        open_checkpoint(note, [signer.public, witness.public])


def test_a_note_by_another_key_of_the_same_name_does_not_open(signer: Signer) -> None:
    mallory = Signer(NAME, bytes(32))
    with pytest.raises(BadNote, match="not signed by a known key"):
        open_checkpoint(mallory.sign(7, ROOT), [signer.public])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n7\n",
        "origin\n07\n" + base64.b64encode(ROOT).decode() + "\n",
        "origin\n-7\n" + base64.b64encode(ROOT).decode() + "\n",
        "origin\n\u0667\n" + base64.b64encode(ROOT).decode() + "\n",
        "origin\n7\n" + base64.b64encode(ROOT[:31]).decode() + "\n",
        "origin\n7\n!!!!\n",
        "\n7\n" + base64.b64encode(ROOT).decode() + "\n",
        "origin\n7\n" + base64.b64encode(ROOT).decode(),
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(BadNote):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        PETER.replace("Peter", "Paul"),
        PETER.replace("+A", "+B"),
        PETER[:-4],
        PETER.replace("PeterNeumann", "Peter Neumann"),
    ],
)
def test_a_malformed_key_is_refused(vkey: str) -> None:
    with pytest.raises(BadNote):
        PublicKey.parse(vkey)


@pytest.mark.parametrize(
    "note",
    [
        "text\n",
        "text\n\n",
        "text\n\n\u2014 name\n",
        "text\n\n\u2014 name AAAA\n",
        "text\n\n- name AAAAAAAA\n",
        "te\txt\n\n\u2014 name AAAAAAAA\n",
        "text\n\n" + "\u2014 name AAAAAAAA\n" * 101,
        "a" * 70_000,
    ],
)
def test_a_malformed_note_is_refused(note: str) -> None:
    with pytest.raises(BadNote):
        open_note(note, [PublicKey.parse(PETER)])
