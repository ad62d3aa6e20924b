"""Seals entries into their organization's tree and signs what the tree has become.

Takes entries in the order (xid, id) below the oldest transaction still running, so no writer
waits for another and none is missed. Leaves, nodes, trees, checkpoints and horizon change in
one transaction: a crash at any point leaves all of them, or none.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from django.db import transaction

from app.audit import merkle
from app.audit.checkpoint import BadNote, PublicKey, Signer, open_checkpoint
from app.audit.merkle import Frontier
from app.audit.rows import copy, rows, run, value

PAGE = 10_000
_LOCK = 0x7061726C6579  # "parley"; the advisory lock that makes the sealer single
log = structlog.get_logger(__name__)


class TreeDisagrees(RuntimeError):
    """A stored tree is not the one that was last signed: somebody else wrote there."""


class Taken(NamedTuple):
    """An entry to be sealed, as far as the sealer may see it. Ids stay text: parsing 20,000
    UUIDs a page would be a third of the work."""

    id: int
    organization: str
    xid: int
    leaf: bytes
    scope: str | None
    target_type: str
    target_id: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """One organization's new checkpoint and the entries that came in, with their indexes."""

    organization: str
    size: int
    root: bytes
    entries: Sequence[tuple[Taken, int]]


@dataclass(frozen=True, slots=True)
class Horizon:
    """All entries up to (xid, entry) have a leaf; `cluster` is what counts the xids."""

    cluster: int
    xid: int
    entry: int


# Rows and the oldest running transaction must come from one snapshot, so from one statement:
# read apart, a transaction that commits in between is skipped for ever.
_OLDEST = "pg_snapshot_xmin(pg_current_snapshot())"
_COLUMNS = (
    "e.id, e.organization_id::text, e.xid::text, e.leaf, e.scope_id::text, "
    "e.target_type, e.target_id"
)
_NEXT = f"""
SELECT {_OLDEST}::text, page.* FROM (VALUES (1)) AS one LEFT JOIN (
    SELECT {_COLUMNS} FROM audit_entry e
    WHERE (e.xid, e.id) > (%s::xid8, %s) AND e.xid < (SELECT {_OLDEST})
    ORDER BY e.xid, e.id LIMIT %s
) AS page ON true
"""  # noqa: S608 - constants
_WITHOUT_LEAF = f"""
SELECT {_OLDEST}::text, page.* FROM (VALUES (1)) AS one LEFT JOIN (
    SELECT {_COLUMNS} FROM audit_entry e
    WHERE NOT EXISTS (SELECT FROM audit_leaf l WHERE l.entry_id = e.id)
    ORDER BY e.id LIMIT %s
) AS page ON true
"""  # noqa: S608 - constants
_TREES = """
SELECT o.id::text, t.size, t.frontier, c.size, c.root, c.note
FROM unnest(%s::uuid[]) AS o (id)
LEFT JOIN audit_tree t ON t.organization_id = o.id
LEFT JOIN LATERAL (
    SELECT size, root, note FROM audit_checkpoint
    WHERE organization_id = o.id ORDER BY size DESC LIMIT 1
) AS c ON true
"""


class Sealer:
    """Seals page by page on Django's connection, which is logged in as the sealer's role."""

    def __init__(
        self, seed: bytes, origin: str, announce: Callable[[Sequence[Sealed]], None]
    ) -> None:
        """`announce` is called after the commit and must not raise."""
        self._seed, self._origin, self._announce = seed, origin, announce
        self._last: dict[str, tuple[int, bytes]] = {}

    def seal(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Seal all that can be sealed now, or until `stop`; returns how many entries.

        Raises TreeDisagrees if a tree is not what was last signed, and database errors.
        """
        total, more = 0, True
        while more and not stop():
            sealed, more = self.seal_page()
            if sealed:
                self._last.update({each.organization: (each.size, each.root) for each in sealed})
                self._announce(sealed)
            total += sum(len(each.entries) for each in sealed)
        return total

    def seal_page(self) -> tuple[list[Sealed], bool]:
        """Seal up to PAGE entries in one transaction; also says whether there may be more."""
        with transaction.atomic():
            if not value("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK]):
                return [], False  # another sealer is at work; it takes what we would
            cluster = int(value("SELECT system_identifier FROM pg_control_system()"))
            horizon = self._horizon()
            if horizon is None or horizon.cluster != cluster:
                return self._begin(cluster)
            return self._advance(horizon)

    def _advance(self, horizon: Horizon) -> tuple[list[Sealed], bool]:
        oldest, found = _take(_NEXT, [str(horizon.xid), horizon.entry, PAGE])
        if oldest < horizon.xid:  # never on one cluster: this is an earlier copy of ours
            return self._begin(horizon.cluster)
        full = len(found) == PAGE
        if not found and oldest - horizon.xid < PAGE:
            return [], False  # not worth a write each second
        sealed = self._append(self._without_leaf(found))
        # A page that is not full held all that was older than `oldest`.
        last = (found[-1].xid, found[-1].id) if full else (oldest, 0)
        self._move_horizon(Horizon(horizon.cluster, *last))
        return sealed, full

    def _begin(self, cluster: int) -> tuple[list[Sealed], bool]:
        """The first start, or the first on another cluster, whose transaction ids say nothing
        about those in the entries: take what has no leaf, then begin to count."""
        oldest, found = _take(_WITHOUT_LEAF, [PAGE])
        sealed = self._append(found)
        if len(found) < PAGE:
            # Some of these may be younger than `oldest`; _advance will see that they have leaves.
            self._move_horizon(Horizon(cluster, oldest, 0))
        return sealed, True

    def _without_leaf(self, found: Sequence[Taken]) -> list[Taken]:
        found_leaves = rows(
            "SELECT entry_id FROM audit_leaf WHERE entry_id = ANY(%s)", [[e.id for e in found]]
        )
        there = {entry for (entry,) in found_leaves}
        return [entry for entry in found if entry.id not in there]

    def _append(self, entries: Sequence[Taken]) -> list[Sealed]:
        by_organization: dict[str, list[Taken]] = {}
        for entry in entries:
            by_organization.setdefault(entry.organization, []).append(entry)
        frontiers = self._frontiers(list(by_organization))
        return [
            self._grow(organization, frontiers[organization], members)
            for organization, members in by_organization.items()
        ]

    def _grow(self, organization: str, tree: Frontier, entries: Sequence[Taken]) -> Sealed:
        first = tree.size
        hashes = [merkle.leaf_hash(entry.leaf) for entry in entries]
        nodes = tree.extend(hashes)
        placed = [(entry, first + at) for at, entry in enumerate(entries)]
        self._store_leaves(organization, placed, hashes)
        self._store_nodes(organization, nodes)
        self._store_tree(organization, tree)
        root = self._sign(organization, tree)
        return Sealed(organization, tree.size, root, placed)

    def _frontiers(self, organizations: list[str]) -> dict[str, Frontier]:
        """The stored trees, each checked against the last checkpoint that was signed."""
        trees = {}
        for organization, size, frontier, *signed in rows(_TREES, [organizations]):
            try:
                tree = Frontier.from_bytes(size or 0, bytes(frontier or b""))
                self._check(organization, tree, signed)
            except (ValueError, BadNote) as error:
                raise TreeDisagrees(f"organization {organization}: {error}") from error
            trees[organization] = tree
        return trees

    def _check(self, organization: str, tree: Frontier, signed: Sequence[Any]) -> None:
        """Raise ValueError or BadNote unless `tree` is what the last checkpoint says.

        What this process signed itself, it need not believe the database about.
        """
        state, (size, root, note) = (tree.size, tree.root()), signed
        if self._last.get(organization, state) != state:
            raise ValueError("the tree is not the one that we last signed")
        if size is None:
            if tree.size:
                raise ValueError("a tree without a checkpoint")
            return
        if (size, bytes(root)) != state:
            raise ValueError("the tree is not the one of the last checkpoint")
        if organization not in self._last:
            found = rows("SELECT vkey FROM audit_key WHERE organization_id = %s", [organization])
            keys = [PublicKey.parse(vkey) for (vkey,) in found]
            checkpoint = open_checkpoint(note, [self._signer(organization).public, *keys])
            if (checkpoint.size, checkpoint.root) != state:
                raise ValueError("the last checkpoint's columns are not what its note says")

    def _signer(self, organization: str) -> Signer:
        return Signer(f"{self._origin}/{organization}", self._seed)

    def _store_leaves(
        self, organization: str, placed: Iterable[tuple[Taken, int]], hashes: Iterable[bytes]
    ) -> None:
        copy(
            "audit_leaf (entry_id, organization_id, index, hash)",
            (
                f"{entry.id}\t{organization}\t{index}\t\\\\x{hash_.hex()}\n"
                for (entry, index), hash_ in zip(placed, hashes, strict=True)
            ),
        )

    def _store_nodes(self, organization: str, nodes: Iterable[merkle.Node]) -> None:
        copy(
            "audit_node (organization_id, level, index, hash)",
            (f"{organization}\t{n.level}\t{n.index}\t\\\\x{n.hash.hex()}\n" for n in nodes),
        )

    def _store_tree(self, organization: str, tree: Frontier) -> None:
        run(
            "INSERT INTO audit_tree (organization_id, size, frontier, updated_at) "
            "VALUES (%s, %s, %s, %s) ON CONFLICT (organization_id) DO UPDATE SET "
            "size = EXCLUDED.size, frontier = EXCLUDED.frontier, updated_at = EXCLUDED.updated_at",
            [organization, tree.size, tree.to_bytes(), _now()],
        )

    def _sign(self, organization: str, tree: Frontier) -> bytes:
        signer, root = self._signer(organization), tree.root()
        if organization not in self._last:
            run(
                "INSERT INTO audit_key (organization_id, vkey, created_at) VALUES (%s, %s, %s) "
                "ON CONFLICT DO NOTHING",
                [organization, signer.public.vkey, _now()],
            )
        run(
            "INSERT INTO audit_checkpoint (organization_id, size, root, note, created_at) "
            "VALUES (%s, %s, %s, %s, %s)",
            [organization, tree.size, root, signer.sign(tree.size, root), _now()],
        )
        return root

    def _horizon(self) -> Horizon | None:
        found = rows("SELECT system_identifier, xid::text, entry_id FROM audit_horizon", [])
        return Horizon(found[0][0], int(found[0][1]), found[0][2]) if found else None

    def _move_horizon(self, to: Horizon) -> None:
        run(
            "INSERT INTO audit_horizon (id, system_identifier, xid, entry_id, updated_at) "
            "VALUES (1, %s, %s::xid8, %s, %s) ON CONFLICT (id) DO UPDATE SET "
            "system_identifier = EXCLUDED.system_identifier, xid = EXCLUDED.xid, "
            "entry_id = EXCLUDED.entry_id, updated_at = EXCLUDED.updated_at",
            [to.cluster, str(to.xid), to.entry, _now()],
        )


def _take(statement: str, parameters: list[Any]) -> tuple[int, list[Taken]]:
    page = rows(statement, parameters)
    found = [
        Taken(row[1], row[2], int(row[3]), bytes(row[4]), *row[5:])
        for row in page
        if row[1] is not None
    ]
    return int(page[0][0]), found


def _now() -> datetime:
    return datetime.now(UTC)
