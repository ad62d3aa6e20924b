"""Signed checkpoints: C2SP signed-note, tlog-checkpoint and vkey, with Ed25519 (type 0x01).

    <origin>\\n<size>\\n<base64 root>\\n\\n— <key name> <base64(key hash[4] ‖ signature[64])>\\n

https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint. Pure.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

_DASH = "\u2014 "  # em dash and a space begin a signature line
_LARGEST_NOTE = 64 * 1024
_MOST_SIGNATURES = 100


class BadNote(ValueError):
    """The note, or the key, is malformed, or no signature of a known key holds."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The origin's tree has this size and this root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The signed text, up to and with the newline before the blank line."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a checkpoint's text; extension lines are allowed and ignored. Raises BadNote."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] != "" or not all(lines[:-1]):
            raise BadNote("a checkpoint has an origin, a size and a root")
        origin, size, root = lines[0], lines[1], _unbase64(lines[2])
        if not (size.isascii() and size.isdecimal()) or (size != "0" and size[0] == "0"):
            raise BadNote("the size is not a decimal number")
        if len(root) != 32:
            raise BadNote("the root is not 32 bytes")
        return cls(origin, int(size), root)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A named key that verifies notes; `vkey` is its text form."""

    kind: ClassVar[bytes] = b"\x01"
    """The signature type: plain Ed25519 over the text."""

    name: str
    raw: bytes

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(c.isspace() for c in self.name):
            raise BadNote("a key's name has neither spaces nor a plus")
        if len(self.raw) != 32:
            raise BadNote("an Ed25519 public key has 32 bytes")

    @property
    def id(self) -> bytes:
        """The key hash: first four bytes of SHA-256(name ‖ newline ‖ kind ‖ public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + self.kind + self.raw).digest()[:4]

    @property
    def vkey(self) -> str:
        """`name+hash+base64(kind ‖ public key)`, as Go's sumdb/note reads it."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self.kind + self.raw).decode()}"

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Raises BadNote if it is malformed or its hash does not fit."""
        parts = vkey.split("+", 2)  # base64 may contain a plus, a name may not
        if len(parts) != 3:
            raise BadNote("a vkey has three parts")
        name, id_, raw = parts[0], parts[1], _unbase64(parts[2])
        if raw[:1] != cls.kind:
            raise BadNote("a key of another kind")
        key = cls(name, raw[1:])
        if key.id.hex() != id_:
            raise BadNote("the key's hash does not fit the key")
        return key

    def accepts(self, text: str, signature: bytes) -> bool:
        """Whether `signature` is this key's over the note's text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class Signer:
    """Holds a signing key; only the sealer has one."""

    def __init__(self, name: str, seed: bytes) -> None:
        """`seed` is the 32 bytes of RFC 8032 section 5.1.5. Raises BadNote for a bad name."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(name, self._key.public_key().public_bytes_raw())

    def sign(self, size: int, root: bytes) -> str:
        """The signed note for this tree; its origin is the key's name."""
        text = Checkpoint(self.public.name, size, root).text()
        signature = self.public.id + self._key.sign(text.encode())
        return f"{text}\n{_DASH}{self.public.name} {base64.b64encode(signature).decode()}\n"


def open_checkpoint(note: str, keys: Iterable[PublicKey]) -> Checkpoint:
    """Return the checkpoint in a note that `open_note` accepts. Raises BadNote."""
    return Checkpoint.parse(open_note(note, keys))


def open_note(note: str, keys: Iterable[PublicKey]) -> str:
    """Return the signed text if a known key signed it and no known key's signature fails.

    Signatures by others (witnesses) are passed over. Raises BadNote.
    """
    text, signatures = _split(note)
    known = {(key.name, key.id): key for key in keys}
    signed = False
    for name, id_, signature in signatures:
        key = known.get((name, id_))
        if key is None:
            continue
        if not key.accepts(text, signature):
            raise BadNote("the signature does not hold")
        signed = True
    if not signed:
        raise BadNote("not signed by a known key")
    return text


def with_lines_of(note: str, others: Iterable[str]) -> str:
    """The note with the signature lines that other notes of the same text carry beside its own."""
    text, _, lines = note.rpartition("\n\n")
    signatures = dict.fromkeys(lines.splitlines())
    for other in others:
        other_text, _, lines = other.rpartition("\n\n")
        if other_text == text:
            signatures.update(dict.fromkeys(lines.splitlines()))
    return f"{text}\n\n" + "".join(f"{line}\n" for line in signatures)


def _split(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    if len(note) > _LARGEST_NOTE or any(c < " " and c != "\n" for c in note):
        raise BadNote("too long, or with control characters")
    text, found, signatures = note.rpartition("\n\n")
    if not found or not signatures.endswith("\n"):
        raise BadNote("a note is a text, a blank line and signatures")
    parsed = list(_signatures(signatures[:-1].split("\n")))
    if len(parsed) > _MOST_SIGNATURES:
        raise BadNote("too many signatures")
    return text + "\n", parsed


def _signatures(lines: Iterable[str]) -> Iterator[tuple[str, bytes, bytes]]:
    for line in lines:
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        data = _unbase64(encoded)
        if not line.startswith(_DASH) or not name or len(data) < 5:
            raise BadNote("a signature line is malformed")
        yield name, data[:4], data[4:]


def _unbase64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise BadNote("not canonical base64")
    return data
