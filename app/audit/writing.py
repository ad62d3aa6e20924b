"""Turns records into the exact bytes of entries and inserts them, many in one statement.

Fails closed: outside a transaction it refuses, so a change and its entry commit together or
not at all. Nothing is ever serialised again: what is hashed is what is stored.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connections

from app.audit import arrays, leaves, merkle, receipts
from app.audit import body as bodies
from app.audit.actions import Action
from app.audit.context import Actor, Origin, current_origin

BODY_VERSION = 1
_AGENT_LENGTH = 256
# An array a column: one short statement, however many entries there are.
_INSERT = """
INSERT INTO audit_entry (
    uuid, organization_id, action_name, scope_id, actor_id, target_type, target_id,
    target_parent, at, body, body_hash, leaf
)
SELECT * FROM unnest(
    %s::uuid[], %s::uuid[], %s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::text[],
    %s::text[], %s::timestamptz[], %s::bytea[], %s::bytea[], %s::bytea[]
)
RETURNING uuid::text, id
"""
_BATCH = 1000


class OutsideTransaction(RuntimeError):
    """An entry was to be written without a transaction around it and its change."""


@dataclass(frozen=True, slots=True)
class Target:
    """What it happened to: a type such as "message_version", its id, and what that belongs to."""

    type: str
    id: str
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """What happened, to be written as an entry.

    `scope` is the conversation it happened in, None the organization itself. `before`, `after`
    and `parameters` hold str, int, bool, None, and lists and dicts of those, with ASCII keys;
    never anything that somebody wrote: content appears as a salted commitment only.
    """

    action: Action
    organization: UUID
    actor: Actor
    target: Target
    scope: UUID | None = None
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = "success"
    origin: Origin | None = None
    """Where it came from, when a batch carries several people's; else the current origin."""


class Written(NamedTuple):
    """The columns of a written entry; `id` is the database's, `leaf_hash` RFC 6962's."""

    id: int
    uuid: UUID
    record: Record
    at: datetime
    body: bytes
    body_hash: bytes
    leaf: bytes
    leaf_hash: bytes


def write(records: Sequence[Record], *, using: str) -> list[Written]:
    """Insert the records, in order, and return them with their ids; receipts are told after
    the commit.

    Raises OutsideTransaction outside `transaction.atomic`, NotCanonical for values that have no
    canonical form.
    """
    if not connections[using].in_atomic_block:
        raise OutsideTransaction("the trail is written in the transaction of its change")
    written: list[Written] = []
    for start in range(0, len(records), _BATCH):
        written += _insert(records[start : start + _BATCH], using)
    receipts.announce(written, using=using)
    return written


def _insert(records: Sequence[Record], using: str) -> list[Written]:
    compose = _Composer()
    composed = [compose(record) for record in records]
    columns = list(zip(*(row.columns for row in composed), strict=True))
    with connections[using].cursor() as cursor:
        cursor.execute(_INSERT, [*_as_arrays(columns), *map(list, columns[-3:])])
        # By uuid, because SQL promises no order for RETURNING.
        ids: dict[str, int] = dict(cursor.fetchall())
    return [_written(ids[row.columns[0]], row) for row in composed]


def _written(number: int, row: "_Composed") -> Written:
    body, body_hash, leaf = row.columns[-3:]
    hash_ = merkle.leaf_hash(leaf)
    return Written(number, row.uuid, row.record, row.at, body, body_hash, leaf, hash_)


def _as_arrays(columns: Sequence[tuple[Any, ...]]) -> list[str]:
    """All but the bytes, which the driver takes as they are."""
    uuid, organization, action, scope, actor, kind, target, parent, at, *_ = columns
    return [
        arrays.plain(uuid),
        arrays.plain(organization),
        arrays.quoted(action),
        arrays.plain(scope),
        arrays.plain(actor),
        arrays.quoted(kind),
        arrays.quoted(target),
        arrays.quoted(parent),
        arrays.plain(at),
    ]


class _Composed(NamedTuple):
    """A row to be inserted; `columns` are those of _INSERT, ids and time as the body has them."""

    uuid: UUID
    record: Record
    at: datetime
    columns: tuple[Any, ...]


class _Scope(NamedTuple):
    """What all entries of one scope share: texts of the ids, and the pseudonym."""

    organization: str
    scope: str | None
    pseudonym: str


class _Actor(NamedTuple):
    """What all entries of one actor share: its part of the body, and the pseudonym."""

    document: dict[str, str | None]
    pseudonym: str


class _Composer:
    """Makes rows of the records of a batch. Many have the same scope and the same actor: what
    these have in common is made once."""

    def __init__(self) -> None:
        self._current = current_origin.get()
        self._master: bytes = settings.AUDIT_PSEUDONYM_KEY
        # By numbers: hashing and comparing UUIDs is done in Python.
        self._scopes: dict[tuple[int, int], _Scope] = {}
        self._actors: dict[tuple[int, str, int, str], _Actor] = {}

    def __call__(self, record: Record) -> _Composed:
        number, at = uuid4(), datetime.now(UTC)
        scope, actor, target = self._scope(record), self._actor(record), record.target
        uuid, time, action = str(number), leaves.timestamp(at), record.action.value
        body = bodies.compose(
            {
                "v": BODY_VERSION,
                "id": uuid,
                "time": time,
                "organization": scope.organization,
                "action": action,
                "outcome": record.outcome,
                "actor": actor.document,
                "origin": _origin_document(record.origin or self._current),
                "target": {"type": target.type, "id": target.id, "parent": target.parent},
                "scope": scope.scope,
                "parameters": dict(record.parameters),
                "before": dict(record.before),
                "after": dict(record.after),
            }
        )
        body_hash = hashlib.sha256(body).digest()
        leaf = leaves.leaf_line(time, scope.pseudonym, actor.pseudonym, body_hash.hex())
        columns = (
            uuid, scope.organization, action, scope.scope, actor.document["id"], target.type,
            target.id, target.parent, time, body, body_hash, leaf,
        )  # fmt: skip
        return _Composed(number, record, at, columns)

    def _scope(self, record: Record) -> _Scope:
        organization, scope = record.organization, record.scope
        key = organization.int, -1 if scope is None else scope.int
        found = self._scopes.get(key)
        if found is None:
            subject = leaves.scope_subject(organization, scope)
            found = self._scopes[key] = _Scope(
                str(organization),
                None if scope is None else str(scope),
                leaves.pseudonym(self._master, leaves.SCOPE, organization, subject),
            )
        return found

    def _actor(self, record: Record) -> _Actor:
        organization, actor = record.organization, record.actor
        role, identity = str(actor.role), actor.id
        key = organization.int, actor.kind, -1 if identity is None else identity.int, role
        found = self._actors.get(key)
        if found is None:
            subject = leaves.actor_subject(actor.kind, identity)
            document = {
                "kind": actor.kind,
                "id": None if identity is None else str(identity),
                "role": role,
            }
            pseudonym = leaves.pseudonym(self._master, leaves.ACTOR, organization, subject)
            found = self._actors[key] = _Actor(document, pseudonym)
        return found


def _origin_document(origin: Origin) -> dict[str, str]:
    return {
        "request_id": origin.request_id,
        "session": origin.session,
        "address": origin.address,
        "agent": origin.agent[:_AGENT_LENGTH],
        "method": origin.method,
    }
