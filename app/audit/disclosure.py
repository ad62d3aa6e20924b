"""What the trail hands out for an export: leaves, bodies, pseudonym keys, proofs.

Read in batches by place in the log. The log never changes, so batches read at different times
fit together, and no cursor or snapshot stays open while a package is built.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q, QuerySet

from app.audit import leaves, merkle
from app.audit.actions import Action
from app.audit.checkpoint import with_lines_of
from app.audit.models import Checkpoint, Cosignature, Entry, Key, Leaf, Node

BATCH = 500  # leaves: with all that is made of them, a worker's memory is as large as its largest


@dataclass(frozen=True, slots=True)
class SignedTree:
    """A checkpoint: the tree of `size` has `root`; `note` is the signed text."""

    size: int
    root: bytes
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """An entry at its place in the log, without its body."""

    index: int
    id: int
    leaf: bytes
    action: str
    scope: UUID | None
    actor: UUID | None
    target_type: str
    target_id: str
    at: datetime


def latest_tree(organization: UUID) -> SignedTree | None:
    """The organization's last checkpoint, None while nothing was sealed."""
    found = Checkpoint.objects.filter(organization_id=organization).order_by("-size").first()
    return None if found is None else _signed(found)


def tree_with(organization: UUID, entry_id: int) -> tuple[int, SignedTree] | None:
    """The entry's index and the last checkpoint; None until a checkpoint covers the entry."""
    place = Leaf.objects.filter(entry_id=entry_id, organization_id=organization).first()
    tree = latest_tree(organization)
    if place is None or tree is None or tree.size <= place.index:
        return None
    return place.index, tree


def tree_of(organization: UUID, size: int) -> SignedTree | None:
    """The checkpoint of exactly this size, if one was signed."""
    found = Checkpoint.objects.filter(organization_id=organization, size=size).first()
    return None if found is None else _signed(found)


def _signed(row: Checkpoint) -> SignedTree:
    return SignedTree(row.size, bytes(row.root), row.note, row.created_at)


def cosigned(organization: UUID, tree: SignedTree) -> str:
    """The checkpoint's note with the line of each witness that has signed it too."""
    notes = Cosignature.objects.filter(organization_id=organization, size=tree.size)
    return with_lines_of(tree.note, notes.order_by("id").values_list("note", flat=True))


def witnessed_tree(organization: UUID, size: int) -> SignedTree | None:
    """The last checkpoint of at most `size` leaves that a witness has signed too.

    Witnesses are asked now and then, so it is seldom the last one of the log.
    """
    found = Cosignature.objects.filter(organization_id=organization, size__lte=size)
    last = found.order_by("-size").values_list("size", flat=True).first()
    return None if last is None else tree_of(organization, last)


def verifier_key(organization: UUID) -> str | None:
    """The vkey that the organization's checkpoints are signed with now; None before the first."""
    found = Key.objects.filter(organization_id=organization).order_by("created_at", "id").last()
    return found.vkey if found else None


def logged_entries(organization: UUID, size: int, start: int = 0) -> Iterator[list[LoggedEntry]]:
    """The entries `start` to `size` of the log, in its order, in batches."""
    for first in range(start, size, BATCH):
        end = min(first + BATCH, size)
        places = dict(
            Leaf.objects.filter(
                organization_id=organization, index__gte=first, index__lt=end
            ).values_list("entry_id", "index")
        )
        rows = Entry.objects.filter(pk__in=places).values_list(
            "id", "leaf", "action_name", "scope_id", "actor_id", "target_type", "target_id", "at"
        )
        batch = [LoggedEntry(places[row[0]], row[0], bytes(row[1]), *row[2:]) for row in rows]
        yield sorted(batch, key=lambda entry: entry.index)


def bodies(entry_ids: Collection[int]) -> dict[int, bytes]:
    """The exact bytes of these entries."""
    found = Entry.objects.filter(pk__in=entry_ids).values_list("id", "body")
    return {pk: bytes(body) for pk, body in found}


def covered(
    organization: UUID,
    *,
    scopes: Collection[UUID] = (),
    actors: Collection[UUID] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Entry]:
    wanted = Q(organization_id=organization)
    if scopes:
        wanted &= Q(scope_id__in=scopes)
    if actors:
        wanted &= Q(actor_id__in=actors)
    if since:
        wanted &= Q(at__gte=since)
    if until:
        wanted &= Q(at__lt=until)
    return Entry.objects.filter(wanted)


def count_by_action(organization: UUID, **scope: Any) -> dict[Action, int]:
    """How many entries of each action a scope (as in `covered`) has now."""
    counted = (
        covered(organization, **scope)
        .order_by()
        .values_list("action_name")
        .annotate(number=Count("pk"))
    )
    return {Action(name): number for name, number in counted}


def scope_key(organization: UUID, scope: UUID) -> bytes:
    """What links a conversation to its pseudonym, and no other one; 32 bytes."""
    subject = leaves.scope_subject(organization, scope)
    return leaves.pseudonym_key(settings.AUDIT_PSEUDONYM_KEY, leaves.SCOPE, organization, subject)


def actor_key(organization: UUID, actor: UUID) -> bytes:
    """What links a person to their pseudonym, and no other one; 32 bytes."""
    subject = leaves.actor_subject("user", actor)
    return leaves.pseudonym_key(settings.AUDIT_PSEUDONYM_KEY, leaves.ACTOR, organization, subject)


def inclusion_proof(organization: UUID, index: int, size: int) -> list[bytes]:
    """That leaf `index` is in the tree of `size`: RFC 6962 section 2.1.1."""
    return merkle.proof(merkle.inclusion_ranges(index, size), _nodes(organization))


def consistency_proof(organization: UUID, old: int, new: int) -> list[bytes]:
    """That the tree of `new` begins with that of `old`: RFC 6962 section 2.1.2."""
    return merkle.proof(merkle.consistency_ranges(old, new), _nodes(organization))


def root_at(organization: UUID, size: int) -> bytes:
    """The root over the first `size` leaves, from stored nodes: RFC 6962 section 2.1."""
    if size == 0:
        return merkle.EMPTY_ROOT
    read = _nodes(organization)
    return merkle.fold([merkle.root_of(read(piece)) for piece in merkle.pieces(0, size)])


def _nodes(organization: UUID) -> Any:
    def read(piece: merkle.Piece) -> list[bytes]:
        within: Mapping[str, Any] = {
            "organization_id": organization,
            "index__gte": piece.start,
            "index__lt": piece.end,
        }
        rows: QuerySet[Any] = (
            Node.objects.filter(level=piece.level, **within)
            if piece.level
            else Leaf.objects.filter(**within)
        )
        return [bytes(hash_) for hash_ in rows.order_by("index").values_list("hash", flat=True)]

    return read


def page(
    organization: UUID,
    *,
    actions: Collection[str] | None = None,
    actor: UUID | None = None,
    scope: UUID | None = None,
    outside: bool = False,
    target: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before_id: int | None = None,
    limit: int,
) -> list[Entry]:
    """Entries, newest first by id. `outside`: only those of no conversation."""
    found = covered(
        organization,
        scopes=[scope] if scope else (),
        actors=[actor] if actor else (),
        since=since,
        until=until,
    )
    if actions is not None:
        found = found.filter(action_name__in=actions)
    if outside:
        found = found.filter(scope_id=None)
    if target is not None:
        found = found.filter(target_id=target)
    if before_id is not None:
        found = found.filter(pk__lt=before_id)
    return list(found.order_by("-id")[:limit])


def entry(organization: UUID, entry_id: int) -> Entry | None:
    """One entry of the organization."""
    return Entry.objects.filter(organization_id=organization, pk=entry_id).first()


def leaf(organization: UUID, entry_id: int) -> bytes:
    """The exact leaf line of an entry."""
    return bytes(Entry.objects.get(organization_id=organization, pk=entry_id).leaf)
