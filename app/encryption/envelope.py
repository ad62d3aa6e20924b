"""The sealed form of a text: its format, what it is bound to, and its commitment.

Pure: no Django, no Channels, no database; an auditor can run this module alone.
A token opens only with its data key and only at the place (organization, table, column, row,
conversation, revision) it was sealed for. No error here ever carries what somebody wrote.
"""

import binascii
import hashlib
import os
from enum import StrEnum
from functools import cache
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "cv1."
KEY_BYTES = 32
DEK_ID_BYTES = 16
NONCE_BYTES = 12  # NIST SP 800-38D, 8.2.2: random, hence the limit on the uses of a key
SALT_BYTES = 16
TAG_BYTES = 16
_HEAD_BYTES = DEK_ID_BYTES + NONCE_BYTES
_SHORTEST = _HEAD_BYTES + SALT_BYTES + TAG_BYTES


class Fault(StrEnum):
    """Why something could not be sealed or opened; `SealError.code`."""

    MALFORMED = "malformed"  # not a token at all, or a text that UTF-8 cannot hold
    REFUSED = "refused"  # changed, or moved here from somewhere else
    MOVED = "moved"  # our own code changed the place of a text without assigning it anew
    ERASED = "erased"  # the data key was destroyed: the content is gone for good
    UNKNOWN_KEY = "unknown_key"  # no such data key
    KEY_UNAVAILABLE = "unavailable"  # the key encryption key does not unwrap the data key now
    EXHAUSTED = "exhausted"  # the data key has been used as often as is safe


class SealError(Exception):
    """A text could not be sealed or opened; `code` says why. Never carries content."""

    def __init__(self, code: Fault, message: str) -> None:
        self.code = code
        super().__init__(message)

    def at(self, where: str) -> "SealError":
        """The same error, which says where as well: table, row and column."""
        self.args = (f"{where}: {self}",)
        return self

    @property
    def erased(self) -> bool:
        """True when the content was erased on purpose, rather than damaged."""
        return self.code is Fault.ERASED


class Opened(NamedTuple):
    """A text and the salt of its commitment; its repr shows neither."""

    text: str
    salt: bytes

    @property
    def commitment(self) -> bytes:
        """32 bytes, see `commitment`."""
        return commitment(self.salt, self.text)

    def __repr__(self) -> str:
        return "<opened>"


class Sealed(NamedTuple):
    """A token with what the trail needs to commit to its content; its repr shows no content."""

    token: str
    salt: bytes
    text: str

    @property
    def commitment(self) -> bytes:
        """32 bytes, see `commitment`; the trail holds its hex."""
        return commitment(self.salt, self.text)

    def __repr__(self) -> str:
        return "<sealed>"


def commitment(salt: bytes, text: str) -> bytes:
    """SHA-256("parley/commitment/v1" ‖ 0x00 ‖ salt[16] ‖ utf8(text)): binds, tells nothing.

    The salt is sealed with the text, so destroying the data key makes the commitment
    unguessable even for a short text, while proofs over it still hold.
    """
    return hashlib.sha256(b"parley/commitment/v1\0" + salt + text.encode()).digest()


def prefixed(part: bytes) -> bytes:
    """Length (4 bytes, big-endian) and bytes, so that no two lists of parts look alike."""
    return len(part).to_bytes(4, "big") + part


# Sealing is on the path of every message: what does not change is put together once, and a
# NamedTuple is made as its own __new__ makes it, which is written in Python and costs twice that.
_made = tuple.__new__
_HEAD = prefixed(b"parley/v1") + (16).to_bytes(4, "big")
_LENGTH_0 = (0).to_bytes(4, "big")
_LENGTH_16 = (16).to_bytes(4, "big")
_REVISIONS = [prefixed(revision.to_bytes(8, "big")) for revision in range(32)]


@cache
def label(table: str, column: str) -> bytes:
    """The part of a place that all rows of one column share; made once for each field."""
    return prefixed(table.encode()) + prefixed(column.encode())


def place_in(
    label: bytes, organization: UUID, pk: object, conversation: UUID | None, revision: int
) -> bytes:
    """The associated data without its last part, the data key's id: where a text belongs.

    UUIDs count as their 16 bytes, any other primary key as the UTF-8 of its `str`, no
    conversation as the empty part, the revision as 8 bytes, big-endian.
    """
    if type(pk) is UUID:
        row = _LENGTH_16 + pk.bytes
    elif pk is None or pk == "":
        raise SealError(Fault.MOVED, "a row needs its primary key before its text is sealed")
    else:
        row = prefixed(str(pk).encode())
    scope = _LENGTH_0 if conversation is None else _LENGTH_16 + conversation.bytes
    number = _REVISIONS[revision] if revision < 32 else prefixed(revision.to_bytes(8, "big"))
    return _HEAD + organization.bytes + label + row + scope + number


def column_in(label: bytes, organization: UUID) -> bytes:
    """The part of a place that all rows of a column of one organization share."""
    return _HEAD + organization.bytes + label + _LENGTH_16


def row_in(column: bytes, pk: bytes, conversation: bytes, revision: int) -> bytes:
    """As `place_in`, for ids that are the 16 bytes of UUIDs; `column` is from `column_in`."""
    number = _REVISIONS[revision] if revision < 32 else prefixed(revision.to_bytes(8, "big"))
    return column + pk + _LENGTH_16 + conversation + number


def seal(cipher: AESGCM, dek_id: bytes, place: bytes, text: str) -> Sealed:
    """Seal `text` for `place` under the data key `dek_id`, whose cipher is given."""
    try:
        content = text.encode()
    except UnicodeEncodeError:
        # `from None`: that error holds the whole text.
        raise SealError(Fault.MALFORMED, "the text holds a lone surrogate") from None
    fresh = os.urandom(NONCE_BYTES + SALT_BYTES)
    nonce, salt = fresh[:NONCE_BYTES], fresh[NONCE_BYTES:]
    body = cipher.encrypt(nonce, salt + content, place + _LENGTH_16 + dek_id)
    return _made(Sealed, (PREFIX + _encode(dek_id + nonce + body), salt, text))


def decode(token: str) -> bytes:
    """The bytes of a token; only the one canonical spelling is accepted."""
    body = token[4:]
    if token[:4] == PREFIX and body[-1:] in _LAST[len(body) & 3]:
        try:
            raw = binascii.a2b_base64(body.encode("ascii").translate(_FROM_URL) + b"==")
        except ValueError:
            raw = b""
        # a2b skips what is not base64, so a token with anything else in it comes out short.
        if len(raw) == len(body) * 3 // 4 >= _SHORTEST:
            return raw
    raise SealError(Fault.MALFORMED, "this is not a sealed text")


def dek_id_of(raw: bytes) -> bytes:
    """The id of the data key, 16 bytes, of a decoded token."""
    return raw[:DEK_ID_BYTES]


def dek_id_in(token: str) -> bytes | None:
    """The id that a token names, read from its head alone; None when there is none.

    Good for looking keys up ahead; whether the token is whole, `decode` finds out.
    """
    head = token[4:28]  # 18 bytes
    if token[:4] != PREFIX or len(head) != 24 or not head.isascii():
        return None
    try:
        return binascii.a2b_base64(head.encode("ascii").translate(_FROM_URL))[:DEK_ID_BYTES]
    except ValueError:
        return None


def unseal(cipher: AESGCM, raw: bytes, place: bytes) -> Opened:
    """Open a decoded token; raises `SealError` (refused) unless it was sealed for `place`."""
    content = content_of(cipher, raw, place)
    return _made(Opened, (content[SALT_BYTES:].decode(), content[:SALT_BYTES]))


def content_of(cipher: AESGCM, raw: bytes, place: bytes) -> bytes:
    """What `unseal` opens, as it was sealed: salt ‖ utf8(text). Raises as `unseal`."""
    aad = place + _LENGTH_16 + raw[:DEK_ID_BYTES]
    try:
        return cipher.decrypt(raw[DEK_ID_BYTES:_HEAD_BYTES], raw[_HEAD_BYTES:], aad)
    except InvalidTag:
        raise SealError(
            Fault.REFUSED, "a sealed text was changed, or does not belong to its row"
        ) from None


def reseal(cipher: AESGCM, raw: bytes, place: bytes, successor: AESGCM, dek_id: bytes) -> str:
    """The token of the same text at the same place under another data key, `dek_id`.

    Its salt stays, and so does its commitment. Raises as `unseal`.
    """
    content = unseal(cipher, raw, place)
    nonce = os.urandom(NONCE_BYTES)
    aad = place + _LENGTH_16 + dek_id
    body = successor.encrypt(nonce, content.salt + content.text.encode(), aad)
    return PREFIX + _encode(dek_id + nonce + body)


def head_of(dek_id: bytes) -> str:
    """The 25 characters that every token of this data key begins with.

    21 of them are base64 of 126 of the id's 128 bits: none of another key begins so, in practice.
    """
    return PREFIX + _encode(dek_id)[:21]


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# By length modulo 4: the last characters whose spare bits are zero.
_LAST = (_ALPHABET, "", _ALPHABET[::16], _ALPHABET[::4])
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")


def _encode(raw: bytes) -> str:
    encoded = binascii.b2a_base64(raw, newline=False).translate(_TO_URL)
    return encoded.rstrip(b"=").decode("ascii")
