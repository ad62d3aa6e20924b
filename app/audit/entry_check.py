"""Checks one stored entry against itself: body, hash, columns, leaf line."""

import hashlib
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from app.audit import leaves
from app.audit.body import Body, parse
from app.audit.canonical import NotCanonical
from app.audit.findings import Fault, Report
from app.audit.rows import NULL, columns, unescape

# As text, in the form that a body has them: parsing and printing again would cost more.
ENTRY_COLUMNS = """e.id, encode(e.body, 'escape'), encode(e.body_hash, 'hex'),
    encode(e.leaf, 'escape'), e.uuid::text, e.organization_id::text, e.action_name,
    e.scope_id::text, e.actor_id::text, e.target_type, e.target_id, e.target_parent,
    to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""

_NULL = NULL.decode()


class StoredEntry(NamedTuple):
    """The columns of ENTRY_COLUMNS, as `rows.columns` gives them."""

    id: str
    body: str | None
    body_hash: str | None
    leaf: str | None
    uuid: str
    organization: str
    action: str
    scope: str | None
    actor: str | None
    target_type: str
    target_id: str
    target_parent: str
    at: str


class EntryCheck:
    """Checks entries against themselves and adds to the report what does not agree.

    `master` makes the pseudonyms.
    """

    def __init__(self, master: bytes, report: Report) -> None:
        self._master, self._report = master, report

    def __call__(self, line: bytes) -> bytes:
        """Check one, a line of ENTRY_COLUMNS; returns its leaf line as it is stored."""
        _, body, rest = line.split(b"\t", 2)
        if b"\\" not in body:  # nothing in it is escaped: it is what was hashed
            try:
                leaf, expected = self._expected(body)
            except ValueError:
                pass  # it is named below
            else:
                if rest == expected:
                    return leaf
        return self._name(StoredEntry._make(columns(line)))

    def _expected(self, body: bytes) -> tuple[bytes, bytes]:
        """The leaf line of this body, and all the columns that follow the body in a line.

        To compare them at once takes half the time of one after the other. Raises ValueError.
        """
        told, digest = parse(body), hashlib.sha256(body).hexdigest()
        leaf = self._leaf_line(told, digest)
        tail = "\t".join([_NULL if text is None else text for text in _columns(told)])
        return leaf, b"%b\t%b\t%b\n" % (digest.encode(), leaf, tail.encode())

    def _name(self, entry: StoredEntry) -> bytes:
        """Name each thing that does not agree."""
        body, leaf = unescape(entry.body), unescape(entry.leaf)
        digest = hashlib.sha256(body).hexdigest()
        if digest != entry.body_hash:
            self._add(Fault.BODY_HASH, entry, "its body is not the one that was hashed")
        try:
            told = parse(body)
        except NotCanonical as error:
            self._add(Fault.BODY_FORM, entry, str(error))
            return leaf
        if _columns(told) != entry[4:]:
            self._add(Fault.COLUMNS, entry, f"its body says otherwise: {_differing(entry, told)}")
        try:
            follows = self._leaf_line(told, digest) == leaf
        except ValueError:
            follows = False
        if not follows:
            self._add(Fault.LEAF_LINE, entry, "its leaf line does not follow from its body")
        return leaf

    def _add(self, fault: Fault, entry: StoredEntry, message: str) -> None:
        self._report.add(fault, f"entry {entry.id}", message)

    def _leaf_line(self, body: Body, digest: str) -> bytes:
        """Raises ValueError for an id that is no UUID: no line of ours follows from it."""
        actor = body.actor
        scope, acting = _pseudonyms(
            self._master, body.organization, body.scope, actor.kind, actor.id
        )
        return leaves.leaf_line(body.time, scope, acting, digest)


def _columns(body: Body) -> tuple[str | None, ...]:
    target = body.target
    return (
        body.id, body.organization, body.action, body.scope, body.actor.id,
        target.type, target.id, target.parent, body.time,
    )  # fmt: skip


def _differing(entry: StoredEntry, body: Body) -> str:
    names = StoredEntry._fields[4:]
    pairs = zip(names, entry[4:], _columns(body), strict=True)
    return ", ".join(name for name, column, told in pairs if column != told)


@lru_cache(maxsize=65536)
def _pseudonyms(
    master: bytes, organization: str, scope: str | None, kind: str, actor: str | None
) -> tuple[str, str]:
    where = UUID(organization)
    scope_subject = leaves.scope_subject(where, UUID(scope) if scope else None)
    actor_subject = leaves.actor_subject(kind, UUID(actor) if actor else None)
    return (
        leaves.pseudonym(master, leaves.SCOPE, where, scope_subject),
        leaves.pseudonym(master, leaves.ACTOR, where, actor_subject),
    )
