"""The leaf line of an entry and the pseudonyms in it.

`v1 <UTC µs>Z <scope, 32 hex> <actor, 32 hex> <SHA-256 of the body, 64 hex>`, ASCII, no newline.
A pseudonym's key may be shown to an auditor, one scope or actor at a time: it then proves which
leaves belong to that scope, and says nothing about the others. Pure.
"""

import hmac
import re
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SCOPE = b"parley/scope/v1"
ACTOR = b"parley/actor/v1"
RECIPIENT = b"parley/recipient/v1"
LEAF = re.compile(
    rb"v1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([0-9a-f]{32}) ([0-9a-f]{32}) ([0-9a-f]{64})"
)


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with exactly six decimals, e.g. `2026-11-21T08:02:14.312345Z`."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:-6] + "Z"  # without its +00:00


def pseudonym_key(master: bytes, purpose: bytes, organization: UUID, subject: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) without salt, info = purpose ‖ organization ‖ subject; 32 bytes."""
    info = purpose + organization.bytes + subject
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(master)


@lru_cache(maxsize=65536)
def pseudonym(master: bytes, purpose: bytes, organization: UUID, subject: bytes) -> str:
    """The first 16 bytes of HMAC-SHA256(pseudonym key, subject), in hex."""
    key = pseudonym_key(master, purpose, organization, subject)
    return hmac.digest(key, subject, "sha256")[:16].hex()


def scope_subject(organization: UUID, scope: UUID | None) -> bytes:
    """What stands for a scope: the conversation's bytes, or the organization's own."""
    return (scope or organization).bytes


def actor_subject(kind: str, actor: UUID | None) -> bytes:
    """What stands for an actor: a user's bytes, or `system` or `anonymous` in ASCII."""
    return actor.bytes if actor is not None else kind.encode("ascii")


def leaf_line(time: str, scope: str, actor: str, body_hash: str) -> bytes:
    """Compose the line; every part is already text, `body_hash` is 64 hex digits."""
    return f"v1 {time} {scope} {actor} {body_hash}".encode("ascii")
