"""Finding things in the log by leaf hash and by place, for proofs and receipts."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.audit.models import Entry, Leaf
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
    """The id of the organization's entry with this leaf hash, sealed or not; None: not known.

    Sealed ones are found by an index. The others are hashed one by one: there are those of a
    second, or of as long as the sealer has stood still.
    """
    found = Leaf.objects.filter(hash=leaf_hash, organization_id=organization)
    sealed = found.values_list("entry_id", flat=True).first()
    if sealed is not None:
        return sealed
    waiting = rows(_WAITING, [organization, leaf_hash])
    return waiting[0][0] if waiting else None


def placed_entries(organization: UUID, start: int, end: int) -> list[PlacedEntry]:
    """The entries with index in [start, end), in order."""
    places = Leaf.objects.filter(organization_id=organization, index__gte=start, index__lt=end)
    index_of = dict(places.values_list("entry_id", "index"))
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


_WAITING = """
SELECT e.id FROM audit_entry e
WHERE e.organization_id = %s
    AND (e.xid, e.id) > (coalesce((SELECT xid FROM audit_horizon), '0'),
                         coalesce((SELECT entry_id FROM audit_horizon), 0))
    AND sha256('\\x00'::bytea || e.leaf) = %s
"""
