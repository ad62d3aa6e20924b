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

from app.audit import arrays, leaves, receipts
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
    """The columns of a written entry; `id` is the database's."""

    id: int
    uuid: UUID
    record: Record
    at: datetime
    body: bytes
    body_hash: bytes
    leaf: bytes


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
    current = current_origin.get()
    composed = [_compose(record, _origin_document(record.origin or current)) for record in records]
    columns = list(zip(*(row.columns for row in composed), strict=True))
    with connections[using].cursor() as cursor:
        cursor.execute(_INSERT, [*_as_arrays(columns), *map(list, columns[-3:])])
        # By uuid, because SQL promises no order for RETURNING.
        ids: dict[str, int] = dict(cursor.fetchall())
    return [
        Written(ids[row.columns[0]], row.uuid, row.record, row.at, *row.columns[-3:])
        for row in composed
    ]


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


def _compose(record: Record, origin: dict[str, str]) -> _Composed:
    uuid, at = uuid4(), datetime.now(UTC)
    organization, actor, target = record.organization, record.actor, record.target
    time = leaves.timestamp(at)
    document = _document(record, str(uuid), time, origin)
    body = bodies.compose(document)
    body_hash = hashlib.sha256(body).digest()
    master: bytes = settings.AUDIT_PSEUDONYM_KEY
    scope_subject = leaves.scope_subject(organization, record.scope)
    actor_subject = leaves.actor_subject(actor.kind, actor.id)
    leaf = leaves.leaf_line(
        time,
        leaves.pseudonym(master, leaves.SCOPE, organization, scope_subject),
        leaves.pseudonym(master, leaves.ACTOR, organization, actor_subject),
        body_hash.hex(),
    )
    columns = (
        document["id"], document["organization"], document["action"], document["scope"],
        document["actor"]["id"], target.type, target.id, target.parent, time,
        body, body_hash, leaf,
    )  # fmt: skip
    return _Composed(uuid, record, at, columns)


def _document(record: Record, uuid: str, time: str, origin: dict[str, str]) -> dict[str, Any]:
    actor, target = record.actor, record.target
    return {
        "v": BODY_VERSION,
        "id": uuid,
        "time": time,
        "organization": str(record.organization),
        "action": record.action.value,
        "outcome": record.outcome,
        "actor": {
            "kind": actor.kind,
            "id": None if actor.id is None else str(actor.id),
            "role": str(actor.role),
        },
        "origin": origin,
        "target": {"type": target.type, "id": target.id, "parent": target.parent},
        "scope": None if record.scope is None else str(record.scope),
        "parameters": dict(record.parameters),
        "before": dict(record.before),
        "after": dict(record.after),
    }


def _origin_document(origin: Origin) -> dict[str, str]:
    return {
        "request_id": origin.request_id,
        "session": origin.session,
        "address": origin.address,
        "agent": origin.agent[:_AGENT_LENGTH],
        "method": origin.method,
    }
