"""Turns records into the exact bytes of entries and inserts them, many in one statement.

Fails closed: outside a transaction it refuses, so a change and its entry commit together or
not at all. Nothing is ever serialised again: what is hashed is what is stored.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connections
from msgspec import Raw, Struct

from app.audit import arrays, leaves, merkle, receipts
from app.audit.actions import Action
from app.audit.body import NewBody, part
from app.audit.context import Actor, Origin, current_origin
from app.uuids import random_uuid

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


class Target(Struct, frozen=True, gc=False):
    """What it happened to: a type such as "message_version", its id, and what that belongs to."""

    type: str
    id: str
    parent: str = ""


class Record(Struct, frozen=True, gc=False):
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
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    outcome: str = "success"
    origin: Origin | None = None
    """Where it came from, when a batch carries several people's; else the current origin."""


class Written(Struct, frozen=True, gc=False):
    """The columns of a written entry; `id` is the database's, `leaf_hash` RFC 6962's."""

    id: int
    uuid: str
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
    return [_written(ids[row.uuid], row) for row in composed]


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


class _Composed(Struct, gc=False):
    """A row to be inserted; `columns` are those of _INSERT, ids and time as the body has them."""

    uuid: str
    record: Record
    at: datetime
    columns: tuple[Any, ...]


class _Scope(NamedTuple):
    """What all entries of one scope share: ids as columns, parts of the body, the pseudonym."""

    organization: str
    scope: str | None
    organization_part: Raw
    scope_part: Raw
    pseudonym: str


class _Actor(NamedTuple):
    """What all entries of one actor share: its id, its part of the body, the pseudonym."""

    id: str | None
    part: Raw
    pseudonym: str


class _Composer:
    """Makes rows of the records of a batch, which are of one moment. Many have the same scope,
    actor and origin: what these have in common is made once."""

    def __init__(self) -> None:
        self._at = datetime.now(UTC)
        self._time = leaves.timestamp(self._at)
        self._current = current_origin.get()
        self._master: bytes = settings.AUDIT_PSEUDONYM_KEY
        # By numbers: hashing and comparing UUIDs is done in Python.
        self._scopes: dict[tuple[int, int], _Scope] = {}
        self._actors: dict[tuple[int, int], _Actor] = {}  # by identity: the records hold them
        self._origins: dict[int, Raw] = {}  # by identity: the records hold them

    def __call__(self, record: Record) -> _Composed:
        uuid, at, time = random_uuid(), self._at, self._time
        scope, actor, target = self._scope(record), self._actor(record), record.target
        action = record.action.value
        body = NewBody(
            action=action,
            actor=actor.part,
            after=record.after,
            before=record.before,
            id=uuid,
            organization=scope.organization_part,
            origin=self._origin(record.origin or self._current),
            outcome=record.outcome,
            parameters=record.parameters,
            scope=scope.scope_part,
            target={"type": target.type, "id": target.id, "parent": target.parent},
            time=time,
        ).canonical()
        body_hash = hashlib.sha256(body).digest()
        leaf = leaves.leaf_line(time, scope.pseudonym, actor.pseudonym, body_hash.hex())
        columns = (
            uuid, scope.organization, action, scope.scope, actor.id, target.type,
            target.id, target.parent, time, body, body_hash, leaf,
        )  # fmt: skip
        return _Composed(uuid, record, at, columns)

    def _scope(self, record: Record) -> _Scope:
        organization, scope = record.organization, record.scope
        key = organization.int, -1 if scope is None else scope.int
        found = self._scopes.get(key)
        if found is None:
            subject = leaves.scope_subject(organization, scope)
            name, within = str(organization), None if scope is None else str(scope)
            found = self._scopes[key] = _Scope(
                name,
                within,
                part(name),
                part(within),
                leaves.pseudonym(self._master, leaves.SCOPE, organization, subject),
            )
        return found

    def _actor(self, record: Record) -> _Actor:
        organization, actor = record.organization, record.actor
        key = organization.int, id(actor)
        found = self._actors.get(key)
        if found is None:
            identity, role = actor.id, actor.role
            subject = leaves.actor_subject(actor.kind, identity)
            text = None if identity is None else str(identity)
            found = self._actors[key] = _Actor(
                text,
                part({"kind": actor.kind, "id": text, "role": role}),
                leaves.pseudonym(self._master, leaves.ACTOR, organization, subject),
            )
        return found

    def _origin(self, origin: Origin) -> Raw:
        found = self._origins.get(id(origin))
        if found is None:
            found = self._origins[id(origin)] = part(
                {
                    "request_id": origin.request_id,
                    "session": origin.session,
                    "address": origin.address,
                    "agent": origin.agent[:_AGENT_LENGTH],
                    "method": origin.method,
                }
            )
        return found
