"""Finding things in the log by leaf hash and by place, for proofs and receipts."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.audit.models import Entry, Leaf, Tree
from app.audit.rows import rows


@dataclass(frozen=True, slots=True)
class PlacedEntry:
    """An entry at its place; `body` are its exact bytes."""

    index: int
    leaf: bytes
    body: bytes
    action: str
    at: datetime


def entry_of(organization: UUID, leaf_hash: bytes) -> int | None:
    """The id of the organization's entry with this leaf hash, sealed or not; None: not known."""
    found = Leaf.objects.filter(hash=leaf_hash, organization_id=organization)
    sealed = found.values_list("entry_id", flat=True).first()
    if sealed is not None:
        return sealed
    return _waiting(organization, [leaf_hash]).get(leaf_hash)


def places(organization: UUID, leaf_hashes: Collection[bytes]) -> dict[bytes, int | None]:
    """The index of each leaf that is under a signed root; None: waits; missing: not known."""
    size = Tree.objects.filter(pk=organization).values_list("size", flat=True).first() or 0
    found = Leaf.objects.filter(hash__in=leaf_hashes, organization_id=organization, index__lt=size)
    known: dict[bytes, int | None] = {
        bytes(hash_): index for hash_, index in found.values_list("hash", "index")
    }
    others = [hash_ for hash_ in leaf_hashes if hash_ not in known]
    return dict.fromkeys(_waiting(organization, others), None) | known


def placed_entries(organization: UUID, start: int, end: int) -> list[PlacedEntry]:
    """The entries with index in [start, end), in order."""
    leaves = Leaf.objects.filter(organization_id=organization, index__gte=start, index__lt=end)
    index_of = dict(leaves.values_list("entry_id", "index"))
    found = Entry.objects.filter(pk__in=index_of).values_list(
        "pk", "leaf", "body", "action_name", "at"
    )
    placed = [
        PlacedEntry(index_of[pk], bytes(leaf), bytes(body), action, at)
        for pk, leaf, body, action, at in found
    ]
    return sorted(placed, key=lambda entry: entry.index)


def leaf_at(organization: UUID, index: int) -> bytes | None:
    """The leaf hash at this place; None where there is none."""
    found = Leaf.objects.filter(organization_id=organization, index=index).first()
    return bytes(found.hash) if found else None


def _waiting(organization: UUID, leaf_hashes: Collection[bytes]) -> dict[bytes, int]:
    """Ids of those of the entries without a leaf yet that have one of these leaf hashes.

    They are hashed one by one: those of a second, or of as long as the sealer stands still.
    """
    if not leaf_hashes:
        return {}
    found = rows(_WAITING, [organization, list(leaf_hashes)])
    return {bytes(hash_): entry for entry, hash_ in found}


_WAITING = """
SELECT id, hash FROM (
    SELECT e.id, sha256('\\x00'::bytea || e.leaf) AS hash FROM audit_entry e
    WHERE e.organization_id = %s
        AND (e.xid, e.id) > (coalesce((SELECT xid FROM audit_horizon), '0'),
                             coalesce((SELECT entry_id FROM audit_horizon), 0))
) AS waiting WHERE hash = ANY(%s)
"""
