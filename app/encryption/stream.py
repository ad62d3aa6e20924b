"""Files sealed in parts, so that a large one needs no more memory than one part.

Pure, like `envelope`: an auditor can run it alone. A part opens only with its file's key, only
in its file, only at its place among the parts, and only if it is, or is not, the last one. So
parts that were changed, swapped, repeated, left out or taken from another file are refused.

It is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: "Online Authenticated-
Encryption and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015; age uses it too) with one
difference: index and last flag are in the associated data, not in the nonce. A part whose
upload is tried again is sealed again, and a nonce made of its index would then be used twice,
which for GCM gives the key of its tags away.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.encryption.envelope import KEY_BYTES, NONCE_BYTES, TAG_BYTES, Fault, SealError, prefixed

MAGIC = b"cf1."
PART_BYTES = 4 * 1024 * 1024
"""Of the plaintext: each part but the last has exactly this many."""
OVERHEAD_BYTES = len(MAGIC) + NONCE_BYTES + TAG_BYTES


def new_key() -> bytes:
    """32 random bytes: every file has its own key."""
    return os.urandom(KEY_BYTES)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file of `size` bytes is cut; an empty file has one part, which is empty."""

    size: int

    @property
    def parts(self) -> int:
        return max(1, -(-self.size // PART_BYTES))

    def length(self, index: int) -> int:
        """How many bytes of plaintext part `index` has. Raises IndexError."""
        if not 0 <= index < self.parts:
            raise IndexError(index)
        return min(PART_BYTES, self.size - index * PART_BYTES)

    def is_last(self, index: int) -> bool:
        return index == self.parts - 1

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.parts))


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Which file it is. `role` keeps apart what one attachment has: "content", "preview"."""

    organization: UUID
    conversation: UUID
    attachment: UUID
    role: str

    def associated(self, index: int, last: bool) -> bytes:
        """Each part with its length before it, so that no two lists of parts look alike."""
        return b"".join(
            map(
                prefixed,
                (
                    b"parley/file/v1",
                    self.organization.bytes,
                    self.conversation.bytes,
                    self.attachment.bytes,
                    self.role.encode(),
                    index.to_bytes(8, "big"),
                    b"\1" if last else b"\0",
                ),
            )
        )


def seal_part(key: bytes, place: FilePlace, index: int, *, last: bool, content: bytes) -> bytes:
    """`"cf1." ‖ nonce[12] ‖ AES-256-GCM(content) ‖ tag[16]`, bound to its place.

    Nonces are random: a file has few parts, and each is sealed a few times at most.
    """
    nonce = os.urandom(NONCE_BYTES)
    return MAGIC + nonce + AESGCM(key).encrypt(nonce, content, place.associated(index, last))


def open_part(key: bytes, place: FilePlace, index: int, *, last: bool, sealed: bytes) -> bytes:
    """The content of a part. Raises `SealError` (malformed, refused)."""
    if not sealed.startswith(MAGIC) or len(sealed) < OVERHEAD_BYTES:
        raise SealError(Fault.MALFORMED, f"part {index} is not a part of a sealed file")
    head = len(MAGIC) + NONCE_BYTES
    associated = place.associated(index, last)
    try:
        return AESGCM(key).decrypt(sealed[len(MAGIC) : head], sealed[head:], associated)
    except InvalidTag:
        raise SealError(
            Fault.REFUSED, f"part {index} was changed, or does not belong to its place"
        ) from None
