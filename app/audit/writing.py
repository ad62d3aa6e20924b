"""Turns records into the exact bytes of entries and inserts them, many in one statement.

Fails closed: outside a transaction it refuses, so a change and its entry commit together or
not at all. Nothing is ever serialised again: what is hashed is what is stored.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connections

from app.audit import canonical, leaves
from app.audit.actions import Action
from app.audit.context import Actor, Origin, current_origin

BODY_VERSION = 1
_AGENT_LENGTH = 256
_COLUMNS = (
    "uuid", "organization_id", "action_name", "scope_id", "actor_id", "target_type",
    "target_id", "target_parent", "at", "body", "body_hash", "leaf",
)  # fmt: skip
_ROW = "(%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s)"
_INSERT = f"INSERT INTO audit_entry ({', '.join(_COLUMNS)}) VALUES "  # noqa: S608 - constants
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


@dataclass(frozen=True, slots=True)
class Written:
    """The columns of a written entry; `id` is the database's."""

    id: int
    uuid: UUID
    record: Record
    at: datetime
    body: bytes
    body_hash: bytes
    leaf: bytes


def write(records: Sequence[Record], *, using: str) -> list[Written]:
    """Insert the records, in order, and return them with their ids.

    Raises OutsideTransaction outside `transaction.atomic`, NotCanonical for values that have no
    canonical form.
    """
    if not connections[using].in_atomic_block:
        raise OutsideTransaction("the trail is written in the transaction of its change")
    written: list[Written] = []
    for start in range(0, len(records), _BATCH):
        written += _insert(records[start : start + _BATCH], using)
    return written


def _insert(records: Sequence[Record], using: str) -> list[Written]:
    current = current_origin.get()
    composed = [_compose(record, _origin_document(record.origin or current)) for record in records]
    parameters = [column for row in composed for column in _columns(row)]
    statement = f"{_INSERT}{','.join([_ROW] * len(composed))} RETURNING id, uuid"
    with connections[using].cursor() as cursor:
        cursor.execute(statement, parameters)
        ids = {uuid: id_ for id_, uuid in cursor.fetchall()}
    # By uuid, because SQL promises no order for RETURNING.
    return [Written(ids[row[1]], *row[1:]) for row in composed]


_Row = tuple[int, UUID, Record, datetime, bytes, bytes, bytes]


def _compose(record: Record, origin: dict[str, str]) -> _Row:
    uuid, at = uuid4(), datetime.now(UTC)
    organization, actor = record.organization, record.actor
    time = leaves.timestamp(at)
    body = canonical.dump(_document(record, uuid, time, origin))
    body_hash = hashlib.sha256(body).digest()
    master: bytes = settings.AUDIT_PSEUDONYM_KEY
    scope_subject = leaves.scope_subject(organization, record.scope)
    actor_subject = leaves.actor_subject(actor.kind, actor.id)
    leaf = leaves.leaf_line(
        time,
        leaves.pseudonym(master, leaves.SCOPE, organization, scope_subject),
        leaves.pseudonym(master, leaves.ACTOR, organization, actor_subject),
        body_hash,
    )
    return 0, uuid, record, at, body, body_hash, leaf


def _document(record: Record, uuid: UUID, time: str, origin: dict[str, str]) -> dict[str, Any]:
    actor, target = record.actor, record.target
    return {
        "v": BODY_VERSION,
        "id": str(uuid),
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


def _columns(row: _Row) -> tuple[Any, ...]:
    _, uuid, record, at, body, body_hash, leaf = row
    return (
        uuid, record.organization, record.action.value, record.scope, record.actor.id,
        record.target.type, record.target.id, record.target.parent, at, body, body_hash, leaf,
    )  # fmt: skip
