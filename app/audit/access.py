"""Every read of the trail. Who may ask is decided above, where people are known."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from app.audit.models import Entry, Leaf


def leaf_hash(entry_id: int) -> bytes:
    """Return the leaf hash of an entry: its receipt."""
    return Entry.objects.get(pk=entry_id).leaf_hash


def leaf_indexes(entry_ids: Collection[int]) -> dict[int, int]:
    """Return the places in the log of those entries that have one already."""
    found = Leaf.objects.filter(entry_id__in=entry_ids)
    return dict(found.values_list("entry_id", "index"))


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an entry stands in the log, and what proves it; None and empty until it is sealed."""

    entry_id: int
    at: datetime
    leaf: bytes
    leaf_hash: bytes
    index: int | None = None
    checkpoint: str | None = None
    tree_size: int | None = None
    proof: list[bytes] = field(default_factory=list)


def receipt(entry_id: int) -> Receipt:
    """Return what proves that the entry is in the log."""
    entry = Entry.objects.get(pk=entry_id)
    return Receipt(entry.pk, entry.at, bytes(entry.leaf), entry.leaf_hash)
