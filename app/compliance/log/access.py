"""Every read of the log by its organization: the user comes first.

Whatever is of another organization is not there: NotFound, as for what never was.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit import access as audit
from app.audit import disclosure, lookup, tiles
from app.audit.access import Receipt
from app.audit.disclosure import SignedTree
from app.audit.lookup import PlacedEntry
from app.errors import Conflict, Invalid, NotFound


@dataclass(frozen=True, slots=True)
class LogState:
    """The last checkpoint and how fresh the log is.

    `checkpoint` is its note with what witnesses signed below it; `witnessed` the same of the last
    one that any witness has signed, None where none has.
    """

    tree: SignedTree
    checkpoint: str
    witnessed: str | None
    key: str | None
    heartbeat_at: datetime | None
    waiting: int
    waiting_since: datetime | None


@dataclass(frozen=True, slots=True)
class Proof:
    """`hashes` lead from leaf `index` to the `root` of the tree of `size` (inclusion), or show
    that this tree begins with that of `first` (consistency), whose root is `first_root`.

    `checkpoint` is the signed note of the tree of `size`, where one was signed.
    """

    size: int
    root: bytes
    hashes: list[bytes]
    checkpoint: str | None
    index: int | None = None
    leaf_hash: bytes | None = None
    first: int | None = None
    first_root: bytes | None = None


def tree(user: User) -> SignedTree:
    """The last checkpoint of the user's organization. Raises Conflict before the first."""
    found = disclosure.latest_tree(user.organization_id)
    if found is None:
        raise Conflict("Nothing is signed yet: try again in a moment.")
    return found


def state(user: User) -> LogState:
    """The last checkpoint, the key, the last heartbeat. Raises Conflict before the first."""
    latest = tree(user)
    known = audit.verification_state(user.organization_id)
    key = disclosure.verifier_key(user.organization_id)
    checkpoint, witnessed = _cosigned(user, latest)
    return LogState(
        latest, checkpoint, witnessed, key, known.heartbeat_at, known.waiting, known.waiting_since
    )


def _cosigned(user: User, latest: SignedTree) -> tuple[str, str | None]:
    organization = user.organization_id
    witnessed = disclosure.witnessed_tree(organization, latest.size)
    return (
        disclosure.cosigned(organization, latest),
        disclosure.cosigned(organization, witnessed) if witnessed else None,
    )


def leaves(user: User, start: int, limit: int) -> tuple[int, list[tuple[int, bytes]]]:
    """The signed tree's size, and its leaf lines from index `start` on, as (index, line)."""
    size = tree(user).size
    return size, audit.leaves(user.organization_id, start, min(start + limit, size))


def bodies(officer: User, start: int, limit: int) -> tuple[int, list[PlacedEntry]]:
    """The same with what they say. Use `services.read_entries`, which records it."""
    require(officer, Permission.TRAIL_READ)
    size = tree(officer).size
    end = min(start + limit, size)
    return size, lookup.placed_entries(officer.organization_id, start, end)


def inclusion(user: User, *, index: int | None, leaf_hash: bytes | None, size: int | None) -> Proof:
    """That a leaf, by place or by hash, is in the tree of `size` (None: the last signed one).

    Raises NotFound for an unknown leaf, Invalid for a tree that is too small or not signed yet.
    """
    size = _size(user, size)
    organization = user.organization_id
    if leaf_hash is not None:
        index = _index_of(organization, leaf_hash)
    hash_ = None if index is None else lookup.leaf_at(organization, index)
    if index is None or hash_ is None:
        raise NotFound
    if index >= size:
        raise Invalid(fields={"size": ["The leaf is not in a tree of this size."]})
    return Proof(
        size,
        disclosure.root_at(organization, size),
        disclosure.inclusion_proof(organization, index, size),
        _note(organization, size),
        index=index,
        leaf_hash=hash_,
    )


def consistency(user: User, first: int, second: int | None) -> Proof:
    """That the tree of `second` (None: the last signed one) begins with that of `first`.

    Raises Invalid unless 0 < first <= second <= the signed size.
    """
    second = _size(user, second, "second")
    if not 0 < first <= second:
        raise Invalid(fields={"first": ["From 1 to the size of the second tree."]})
    organization = user.organization_id
    return Proof(
        second,
        disclosure.root_at(organization, second),
        disclosure.consistency_proof(organization, first, second),
        _note(organization, second),
        first=first,
        first_root=disclosure.root_at(organization, first),
    )


def receipt(user: User, leaf_hash: bytes) -> Receipt:
    """What is known of a receipt: sealed with its proof, or waiting. Raises NotFound."""
    entry = lookup.entry_of(user.organization_id, leaf_hash)
    if entry is None:
        raise NotFound
    return audit.receipt(entry)


def checkpoint(user: User, organization: UUID) -> str:
    """The note of the last checkpoint, cosignatures with it. Raises NotFound, Conflict."""
    _own(user, organization)
    return disclosure.cosigned(organization, tree(user))


def tile(user: User, organization: UUID, name: str) -> bytes:
    """A tile by its name (see `app.audit.tiles`). Raises NotFound, Conflict."""
    _own(user, organization)
    try:
        return tiles.tile(organization, tiles.Tile.parse(name), tree(user).size)
    except tiles.NoSuchTile:
        raise NotFound from None


def _own(user: User, organization: UUID) -> None:
    if user.organization_id != organization:
        raise NotFound


def _size(user: User, asked: int | None, field: str = "size") -> int:
    signed = tree(user).size
    if asked is None:
        return signed
    if not 0 < asked <= signed:
        raise Invalid(fields={field: [f"From 1 to {signed}, which is signed."]})
    return asked


def _index_of(organization: UUID, leaf_hash: bytes) -> int | None:
    entry = lookup.entry_of(organization, leaf_hash)
    return None if entry is None else audit.leaf_indexes([entry]).get(entry)


def _note(organization: UUID, size: int) -> str | None:
    found = disclosure.tree_of(organization, size)
    return found.note if found else None
