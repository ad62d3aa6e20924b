"""Who one is in a room: a device's key vouches for the certificate of its media.

Signing and checking are the caller's (ECDSA on P-256 with SHA-256, r and s of 32 bytes each):
the library itself needs no cryptography.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass

from app.realtime.protocol import Participant, identity_statement

Verify = Callable[[bytes, bytes, bytes], bool]
"""Given a key (the uncompressed point, 65 bytes), a statement and a signature (64 bytes)."""
_FINGERPRINT = re.compile(r"^a=fingerprint:[ \t]*(\S+)[ \t]+(\S+)[ \t]*\r?$", re.MULTILINE | re.I)


@dataclass(frozen=True, slots=True)
class Device:
    """`id` is a UUID that the device keeps, `key` its public point (65 bytes)."""

    id: str
    key: bytes
    sign: Callable[[bytes], bytes]

    def signature(self, conversation: str, pid: str, gen: int, fingerprint: str) -> str:
        """Sign for a place, in the protocol's form."""
        return encoded(self.sign(identity_statement(conversation, pid, gen, fingerprint)))


def encoded(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def is_signed(conversation: str, participant: Participant, verify: Verify) -> bool:
    """Whether the participant's own key has signed the place and the fingerprint."""
    statement = identity_statement(
        conversation, participant.pid, participant.gen, participant.fingerprint
    )
    return verify(decoded(participant.key), statement, decoded(participant.signature))


def is_announced(sdp: str, fingerprint: str) -> bool:
    """Whether `fingerprint` (of SHA-256), and no other, is what a description names.

    Who connects to another one talks to somebody else: RFC 8122, 5 and 6.
    """
    named = {(hash_.lower(), value.upper()) for hash_, value in _FINGERPRINT.findall(sdp)}
    return named == {("sha-256", fingerprint)}
