"""Cosignatures of witnesses: C2SP tlog-cosignature, version 1, Ed25519 (type 0x04).

https://c2sp.org/tlog-cosignature. A witness that signs says: at this time, this was the largest
tree of this log that I had seen, and it extends every one that I signed before. Pure.
"""

from typing import ClassVar

from app.audit.checkpoint import PublicKey

_TIMESTAMP = 8  # bytes, seconds since 1970, big-endian, before the signature


class WitnessKey(PublicKey):
    """A witness's key; its `vkey` has the type 0x04."""

    __slots__ = ()
    kind: ClassVar[bytes] = b"\x04"

    def accepts(self, text: str, signature: bytes) -> bool:
        """Whether `signature` (timestamp ‖ Ed25519) is this witness's over the note's text."""
        if len(signature) != _TIMESTAMP + 64:
            return False
        time = int.from_bytes(signature[:_TIMESTAMP], "big")
        return super().accepts(cosigned_text(time, text), signature[_TIMESTAMP:])


def cosigned_text(time: int, text: str) -> str:
    """What a witness signs: `time` in seconds since 1970, `text` the note's with its newline."""
    return f"cosignature/v1\ntime {time}\n{text}"
