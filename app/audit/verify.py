"""Rebuilds an organization's log from its rows and names everything that does not agree.

Believes nothing that it can compute: bodies, leaf lines, hashes, nodes, tree, signed roots.
Reads one snapshot, in constant memory, while the log goes on being written.
"""

import math
import time
from binascii import unhexlify
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from app.audit import merkle
from app.audit.checkpoint import BadNote, PublicKey, open_checkpoint
from app.audit.entry_check import ENTRY_COLUMNS, EntryCheck
from app.audit.findings import Fault, Known, Report
from app.audit.merkle import Frontier
from app.audit.rows import NULL, rows, run, stream, unload

_PAGE = 5000  # leaves that are read, and their entries checked, before the tree grows by them
# WITH TIES: an index that is there twice is not cut in two by the end of a page.
_LEAVES = f"""
SELECT l.index, l.entry_id, encode(coalesce(l.hash, ''), 'hex'),
    e.organization_id IS DISTINCT FROM l.organization_id, {ENTRY_COLUMNS}
FROM audit_leaf l LEFT JOIN audit_entry e ON e.id = l.entry_id
WHERE l.organization_id = %s AND l.index >= %s
ORDER BY l.index FETCH FIRST {_PAGE} ROWS WITH TIES
"""  # noqa: S608 - constants
# By indexes alone, so that the entries are not read a second time.
_LEAFLESS = f"""
WITH leafless AS MATERIALIZED (
    SELECT e.id FROM audit_entry e
    WHERE e.organization_id = %s AND NOT EXISTS (SELECT FROM audit_leaf l WHERE l.entry_id = e.id)
)
SELECT e.xid > coalesce(h.xid, '0') OR (e.xid = h.xid AND e.id > h.entry_id),
    e.xid >= pg_snapshot_xmax(pg_current_snapshot())
        AND h.system_identifier = (SELECT system_identifier FROM pg_control_system()),
    h.system_identifier IS DISTINCT FROM (SELECT system_identifier FROM pg_control_system()),
    {ENTRY_COLUMNS}
FROM leafless JOIN audit_entry e USING (id) LEFT JOIN audit_horizon h ON true
ORDER BY e.id
"""  # noqa: S608 - constants
_CHECKPOINTS = (
    "SELECT size, root, note FROM audit_checkpoint WHERE organization_id = %s ORDER BY size"
)
_NODES = """
SELECT n.level, n.index, n.hash FROM unnest(%s::int[], %s::bigint[]) AS wanted (level, index)
JOIN audit_node n ON n.organization_id = %s AND n.level = wanted.level AND n.index = wanted.index
"""


def verify(
    organization: UUID,
    *,
    trusted: Sequence[PublicKey] = (),
    known: Sequence[Known] = (),
) -> Report:
    """Verify one organization's log, in a read-only transaction of its own.

    `trusted` are public keys had by another way than this database (without them its own are
    believed); `known` are checkpoints kept outside, which the log must extend.
    """
    began = time.monotonic()
    with _one_snapshot():
        report = examine(organization, trusted=trusted, known=known)
    report.seconds = time.monotonic() - began
    return report


def examine(
    organization: UUID,
    *,
    trusted: Sequence[PublicKey] = (),
    known: Sequence[Known] = (),
) -> Report:
    """`verify` within the caller's transaction, which must not see others' commits meanwhile."""
    report = Report(organization)
    # The leaves come in order from their index; sorting millions would spill to disk.
    run("SET LOCAL enable_sort = off")
    # Workers of PostgreSQL's take longer to start for a page than to read it.
    run("SET LOCAL max_parallel_workers_per_gather = 0")
    _Rebuilding(report, _keys(report, trusted), known).run()
    _check_leafless(report)
    _check_horizon(report)
    return report


@contextmanager
def _one_snapshot() -> Iterator[None]:
    with transaction.atomic(durable=True):
        run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


class _Rebuilding:
    """One pass over the leaves in order, with the checkpoints and nodes beside."""

    def __init__(self, report: Report, keys: Sequence[PublicKey], known: Sequence[Known]) -> None:
        self._report, self._keys = report, keys
        self._organization = report.organization
        self._check_entry = EntryCheck(settings.AUDIT_PSEUDONYM_KEY, report)
        self._page: list[tuple[int, bytes]] = []
        self._tree = Frontier()
        self._hashes: list[bytes] = []
        self._nodes = 0
        self._broken = False  # a leaf is missing: no root can be rebuilt after it
        self._differs = False  # said once: after the first wrong root all others are wrong
        self._known = sorted(known, key=lambda checkpoint: checkpoint.size)

    def run(self) -> None:
        checkpoints = _Checkpoints(stream(_CHECKPOINTS, [self._organization]))
        expected = 0
        stop = self._next_stop(checkpoints)
        for page in self._pages():
            for index, hash_ in page:
                if index != expected:
                    self._out_of_order(expected, index)
                expected = index + 1
                self._hashes.append(hash_)
                if expected >= stop:
                    self._reach(expected, checkpoints)
                    stop = self._next_stop(checkpoints)
            self._reach(expected, checkpoints)
        self._report.size = expected
        self._check_end(checkpoints, expected)
        self._check_tree(expected)

    def _next_stop(self, checkpoints: "_Checkpoints") -> float:
        """The size at which there is something to compare the tree with."""
        known = self._known[0].size if self._known else math.inf
        return min(known, checkpoints.next_size)

    def _pages(self) -> Iterator[list[tuple[int, bytes]]]:
        """The leaves in order, as (index, hash), when their entries have been checked."""
        start = -(2**63)
        while True:
            self._page = []
            unload(_LEAVES, [self._organization, start], self._leaf)
            if not self._page:
                return
            yield self._page
            start = self._page[-1][0] + 1

    def _leaf(self, line: bytes) -> None:
        place, entry_id, hex_hash, elsewhere, entry = line.split(b"\t", 4)
        index, hash_ = int(place), unhexlify(hex_hash)
        self._page.append((index, hash_))
        if entry.startswith(NULL):
            self._wrong(Fault.ENTRY_MISSING, index, entry_id, "its entry {} is gone")
            return
        if elsewhere == b"t":
            text = "its entry {} belongs to another organization"
            self._wrong(Fault.ENTRY_ELSEWHERE, index, entry_id, text)
        if merkle.leaf_hash(self._check_entry(entry)) != hash_:
            self._wrong(Fault.LEAF_HASH, index, entry_id, "its hash is not that of entry {}")

    def _wrong(self, fault: Fault, index: int, entry_id: bytes, message: str) -> None:
        self._report.add(fault, f"leaf {index}", message.format(entry_id.decode()))

    def _out_of_order(self, first: int, found: int) -> None:
        self._broken = True
        if found < first:
            self._report.add(Fault.LEAF_TWICE, f"leaf {found}", "there more than once")
        else:
            self._report.add(Fault.LEAF_MISSING, _span(first, found), "not there")

    def _reach(self, index: int, checkpoints: "_Checkpoints") -> None:
        """Grow the tree to the leaves before `index`, and compare what was signed up to there."""
        self._check_nodes(self._tree.extend(self._hashes))
        self._hashes.clear()
        for size, root, note in checkpoints.up_to(index):
            self._check_checkpoint(size, root, note)
        while self._known and self._known[0].size <= index:
            known = self._known.pop(0)
            self._compare(known.size, known.root, Fault.KNOWN_CHECKPOINT, known.place, known.by)

    def _check_checkpoint(self, size: int, root: bytes, note: str) -> None:
        report, place = self._report, f"checkpoint {size}"
        report.checkpoints += 1
        try:
            signed = open_checkpoint(note, self._keys)
        except BadNote as error:
            report.add(Fault.CHECKPOINT_NOTE, place, str(error))
            return
        if (signed.size, signed.root) != (size, root):
            report.add(Fault.CHECKPOINT_NOTE, place, "its columns are not what its note says")
        if not signed.origin.endswith(f"/{self._organization}"):
            report.add(Fault.CHECKPOINT_NOTE, place, "it is another log's")
        self._compare(signed.size, signed.root, Fault.CHECKPOINT_ROOT, place)

    def _compare(self, size: int, root: bytes, fault: Fault, place: str, by: str = "") -> None:
        if self._broken or (self._differs and fault is Fault.CHECKPOINT_ROOT):
            return
        if size != self._tree.size:
            self._report.add(fault, place, "it was passed without a leaf at its size")
        elif self._tree.root() != root:
            message = f"the first {size} leaves do not have the root"
            self._report.add(fault, place, f"{message} that {by or 'was signed'} has")
            self._differs = self._differs or fault is Fault.CHECKPOINT_ROOT

    def _check_nodes(self, nodes: Sequence[merkle.Node]) -> None:
        if not nodes or self._broken:
            return
        wanted = [n.level for n in nodes], [n.index for n in nodes], self._organization
        stored = {(level, index): bytes(hash_) for level, index, hash_ in rows(_NODES, wanted)}
        for node in nodes:
            place = f"node {node.level}/{node.index}"
            found = stored.get((node.level, node.index))
            if found is None:
                self._report.add(Fault.NODE, place, "not there")
            elif found != node.hash:
                self._report.add(Fault.NODE, place, "not the root of its leaves")
        self._nodes += len(nodes)

    def _check_end(self, checkpoints: "_Checkpoints", leaves: int) -> None:
        """What was signed beyond the last leaf, and whether the last leaf was signed."""
        for size, root, note in checkpoints.up_to(None):
            self._broken = True  # there is nothing left to compare its root with
            self._check_checkpoint(size, root, note)
            message = f"not there, but {size} leaves were signed"
            self._report.add(Fault.LEAF_MISSING, _span(leaves, size), message)
        for known in self._known:
            message = f"{known.by} has it, and the log has {leaves} leaves only"
            self._report.add(Fault.KNOWN_CHECKPOINT, known.place, message)
        if checkpoints.last_size < leaves:
            message = f"only {checkpoints.last_size} of {leaves} leaves are signed"
            self._report.add(Fault.CHECKPOINT_MISSING, f"checkpoint {leaves}", message)

    def _check_tree(self, leaves: int) -> None:
        stored = rows(
            "SELECT size, frontier FROM audit_tree WHERE organization_id = %s",
            [self._organization],
        )
        size, frontier = stored[0] if stored else (0, b"")
        if size != leaves:
            message = f"it says {size} leaves, {leaves} are there"
            self._report.add(Fault.TREE, "tree", message)
        elif not self._broken and bytes(frontier) != self._tree.to_bytes():
            self._report.add(Fault.TREE, "tree", "its frontier is not that of the leaves")
        counted = "SELECT count(*) FROM audit_node WHERE organization_id = %s"
        surplus = rows(counted, [self._organization])[0][0] - self._nodes
        if surplus > 0 and not self._broken:
            self._report.add(Fault.NODE, "nodes", f"{surplus} more than the leaves give")


class _Checkpoints:
    """The stored checkpoints by size, with the next one's size known in advance."""

    def __init__(self, stored: Iterator[Sequence[Any]]) -> None:
        self._stored = stored
        self._next = next(stored, None)
        self.last_size = 0

    @property
    def next_size(self) -> float:
        return math.inf if self._next is None else self._next[0]

    def up_to(self, limit: int | None) -> Iterator[tuple[int, bytes, str]]:
        """Take those of at most `limit` leaves; all that are left when it is None."""
        while self._next is not None and (limit is None or self._next[0] <= limit):
            size, root, note = self._next
            self._next, self.last_size = next(self._stored, None), size
            yield size, bytes(root), note


def _span(first: int, end: int) -> str:
    return f"leaf {first}" if end == first + 1 else f"leaves {first} to {end - 1}"


def _keys(report: Report, trusted: Sequence[PublicKey]) -> list[PublicKey]:
    """The keys that checkpoints may be signed with, and a word on those that may not."""
    keys = list(trusted)
    published = rows(
        "SELECT vkey FROM audit_key WHERE organization_id = %s ORDER BY id", [report.organization]
    )
    for (vkey,) in published:
        try:
            key = PublicKey.parse(vkey)
        except BadNote as error:
            report.add(Fault.KEY, "key", str(error))
            continue
        if not trusted:
            keys.append(key)
        elif key not in trusted:
            report.add(Fault.KEY, f"key {key.id.hex()}", "not the key that was given")
    return keys


def _check_leafless(report: Report) -> None:
    check = EntryCheck(settings.AUDIT_PSEUDONYM_KEY, report)

    def take(line: bytes) -> None:
        *flags, entry = line.split(b"\t", 3)
        after_horizon, ahead, elsewhere = (flag == b"t" for flag in flags)
        place = "entry " + entry.partition(b"\t")[0].decode()
        check(entry)
        if ahead:
            report.add(Fault.ENTRY_AHEAD, place, "its transaction id lies in the future")
        elif after_horizon or elsewhere:
            report.waiting += 1
        else:
            text = "the sealer had passed it, and it has no leaf"
            report.add(Fault.ENTRY_UNSEALED, place, text)

    unload(_LEAFLESS, [report.organization], take)


def _check_horizon(report: Report) -> None:
    found = rows(
        "SELECT xid > pg_snapshot_xmax(pg_current_snapshot()) AND system_identifier = "
        "(SELECT system_identifier FROM pg_control_system()) FROM audit_horizon",
        [],
    )
    if not found and report.size:
        report.add(Fault.HORIZON, "horizon", "not there")
    elif found and found[0][0]:
        report.add(Fault.HORIZON, "horizon", "it lies in the future: nothing would be sealed")
