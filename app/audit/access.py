"""Every read of the trail. Who may ask is decided above, where people are known."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Max

from app.audit import disclosure
from app.audit.actions import Action
from app.audit.anchors.configured import MAIL, names
from app.audit.models import Anchor, Entry, Leaf, Tree, Verification

HEARTBEAT_LATE = timedelta(hours=2)


def leaf_hash(entry_id: int) -> bytes:
    """Return the leaf hash of an entry: its receipt."""
    return Entry.objects.get(pk=entry_id).leaf_hash


def leaf_indexes(entry_ids: Collection[int]) -> dict[int, int]:
    """Return the places in the log of those entries that have one already."""
    found = Leaf.objects.filter(entry_id__in=entry_ids)
    return dict(found.values_list("entry_id", "index"))


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an entry stands in the log, and what proves it; None and empty until it is sealed.

    `checkpoint` is the signed note of the tree of `tree_size`; `proof` leads from `leaf_hash`
    at `index` to its root (RFC 9162 section 2.1.3.2).
    """

    entry_id: int
    at: datetime
    leaf: bytes
    leaf_hash: bytes
    index: int | None = None
    checkpoint: str | None = None
    tree_size: int | None = None
    proof: list[bytes] = field(default_factory=list)


def receipt(entry_id: int) -> Receipt:
    """Return what proves that the entry is in the log. Raises Entry.DoesNotExist."""
    entry = Entry.objects.get(pk=entry_id)
    told = Receipt(entry.pk, entry.at, bytes(entry.leaf), entry.leaf_hash)
    place = disclosure.tree_with(entry.organization_id, entry.pk)
    if place is None:
        return told
    index, tree = place
    proof = disclosure.inclusion_proof(entry.organization_id, index, tree.size)
    return Receipt(
        told.entry_id, told.at, told.leaf, told.leaf_hash, index, tree.note, tree.size, proof
    )


def entries(
    organization: UUID,
    *,
    actor: UUID | None = None,
    action: Action | None = None,
    scope: UUID | None = None,
    target: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[Entry]:
    """Entries of the organization, newest first by id, so that pages fit together."""
    return disclosure.page(
        organization,
        actions=None if action is None else [action],
        actor=actor,
        scope=scope,
        target=target,
        since=since,
        until=until,
        before_id=before_id,
        limit=limit,
    )


def leaves(organization: UUID, start: int, end: int) -> list[tuple[int, bytes]]:
    """The exact leaf lines with index in [start, end), as (index, line), in order.

    A leaf whose entry is gone is left out: the verifier names it.
    """
    places = Leaf.objects.filter(organization_id=organization, index__gte=start, index__lt=end)
    index_of = dict(places.values_list("entry_id", "index"))
    lines = Entry.objects.filter(pk__in=index_of).values_list("pk", "leaf")
    return sorted((index_of[pk], bytes(line)) for pk, line in lines)


@dataclass(frozen=True, slots=True)
class VerificationState:
    """What the officer sees about the log: how large, how fresh, and whether it agreed.

    `waiting` entries have no leaf yet, the oldest since `waiting_since`. `stands_still`: no
    heartbeat for HEARTBEAT_LATE, though there is one every hour. `ok` is the last
    verification's result, None before the first. Each problem has code, place and message.
    """

    size: int
    waiting: int
    waiting_since: datetime | None
    checkpoint_at: datetime | None
    checkpoint: str | None
    heartbeat_at: datetime | None
    stands_still: bool
    ok: bool | None
    verified_at: datetime | None
    verified_size: int | None
    problems: list[dict[str, Any]]


def verification_state(organization: UUID) -> VerificationState:
    """The log's state and what the last verification found."""
    tree = disclosure.latest_tree(organization)
    size = Tree.objects.filter(pk=organization).values_list("size", flat=True).first()
    waiting, since = _waiting(organization)
    last = Verification.objects.filter(organization_id=organization).order_by("at").last()
    beats = Entry.objects.filter(
        organization_id=organization, action_name=Action.LOG_HEARTBEAT
    ).aggregate(last=Max("at"))
    # A young log has lived since its first entry.
    began = Entry.objects.filter(organization_id=organization).order_by("id").values_list("at")
    alive = beats["last"] or next(iter(began[:1]), (None,))[0]
    return VerificationState(
        size=size or 0,
        waiting=waiting,
        waiting_since=since,
        checkpoint_at=tree.at if tree else None,
        checkpoint=tree.note if tree else None,
        heartbeat_at=beats["last"],
        stands_still=alive is not None and datetime.now(UTC) - alive > HEARTBEAT_LATE,
        ok=last.ok if last else None,
        verified_at=last.at if last else None,
        verified_size=last.size if last else None,
        problems=last.problems if last else [],
    )


@dataclass(frozen=True, slots=True)
class AnchorState:
    """What an anchor keeps of a log: `size` leaves, since `kept_at`; None: nothing yet.

    `warning`: what it keeps is not kept for certain. `problem`: why it fails, `failing_since`;
    `disagrees`: it keeps another history than the log's, which is an alarm.
    """

    name: str
    size: int = 0
    kept_at: datetime | None = None
    failing_since: datetime | None = None
    problem: str = ""
    warning: str = ""
    disagrees: bool = False


def mails_wait() -> bool:
    """Whether a log's checkpoint could not be mailed to all, and is tried again."""
    return Anchor.objects.filter(name=MAIL, failures__gt=0).exists()


def anchor_states(organization: UUID) -> list[AnchorState]:
    """How every configured anchor stands with the organization's log."""
    columns = ("name", "size", "kept_at", "failing_since", "problem", "warning", "disagrees")
    found = Anchor.objects.filter(organization_id=organization).values_list(*columns)
    states = {row[0]: AnchorState(*row) for row in found}
    return [states.get(name, AnchorState(name)) for name in names()]


def organizations() -> list[UUID]:
    """Every organization that the trail knows of, from any of its tables."""
    with connection.cursor() as cursor:
        cursor.execute(_ORGANIZATIONS)
        return [organization for (organization,) in cursor.fetchall()]


def unverified_since(moment: datetime) -> list[UUID]:
    """Those of them whose log nobody has verified since `moment`."""
    recent = Verification.objects.filter(at__gte=moment)
    verified = set(recent.values_list("organization_id", flat=True))
    return [organization for organization in organizations() if organization not in verified]


# Steps through the index from one organization to the next instead of reading every entry.
_ORGANIZATIONS = """
WITH RECURSIVE step AS (
    (SELECT organization_id AS id FROM audit_entry ORDER BY 1 LIMIT 1)
    UNION ALL
    SELECT (SELECT organization_id FROM audit_entry WHERE organization_id > step.id
            ORDER BY 1 LIMIT 1) FROM step WHERE step.id IS NOT NULL
)
SELECT id FROM step WHERE id IS NOT NULL
UNION SELECT organization_id FROM audit_tree
UNION SELECT organization_id FROM audit_key
ORDER BY 1
"""
_WAITING = """
SELECT count(*), min(e.at) FROM audit_entry e
WHERE e.organization_id = %s
    AND (e.xid, e.id) > (coalesce((SELECT xid FROM audit_horizon), '0'),
                         coalesce((SELECT entry_id FROM audit_horizon), 0))
    AND NOT EXISTS (SELECT FROM audit_leaf l WHERE l.entry_id = e.id)
"""


def _waiting(organization: UUID) -> tuple[int, datetime | None]:
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [organization])
        count, since = cursor.fetchone()
    return count, since
