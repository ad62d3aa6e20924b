"""Writing to the trail: every change calls `record` in its own transaction.

If the entry cannot be written, the change fails with it.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, DatabaseError, transaction

from app import metrics
from app.audit import signing
from app.audit.actions import Action
from app.audit.context import ANONYMOUS, SYSTEM, Actor
from app.audit.models import Entry
from app.audit.writing import OutsideTransaction, Record, Target, Written, write

__all__ = [
    "ANONYMOUS",
    "INSTALLATION",
    "SYSTEM",
    "Action",
    "Actor",
    "Entry",
    "OutsideTransaction",
    "Record",
    "Target",
    "Written",
    "record",
    "record_many",
    "record_rows",
]

_ENTRY_MISSING = "23000"  # integrity_constraint_violation, which no constraint itself raises
INSTALLATION = UUID(int=0)
"""Stands for the organization where there is none: a refused sign-in of nobody we know."""


def record(
    action: Action,
    *,
    organization: UUID,
    actor: Actor,
    target: Target,
    scope: UUID | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    parameters: dict[str, Any] | None = None,
    outcome: str = "success",
) -> Entry:
    """Write one entry; see Record for what may be in it.

    Raises OutsideTransaction outside `transaction.atomic`.
    """
    entry = Record(
        action, organization, actor, target, scope,
        before or {}, after or {}, parameters or {}, outcome,
    )  # fmt: skip
    return record_many([entry])[0]


def record_many(records: Sequence[Record]) -> list[Entry]:
    """Write entries, in order, with one INSERT per thousand; returns them with their ids.
    Who answers for a grave one waits for its checkpoint (see `app.audit.signing`).

    Raises OutsideTransaction outside `transaction.atomic`.
    """
    return [Entry.of(written) for written in record_rows(records)]


def record_rows(records: Sequence[Record]) -> list[Written]:
    """The same, for who needs no models of them."""
    try:
        written = write(records, using=DEFAULT_DB_ALIAS)
    except DatabaseError:
        metrics.TRAIL_REFUSED.add()
        raise
    if grave := [Entry.of(one) for one in written if one.record.action.is_grave]:
        signing.hold_back(grave)
    transaction.on_commit(partial(_count, records), robust=True)
    return written


def _count(records: Sequence[Record]) -> None:
    for action, number in Counter(record.action for record in records).items():
        metrics.TRAIL_ENTRIES.add(action.value, by=number)


def note_refusal(error: BaseException) -> None:
    """Count it, if PostgreSQL refused a commit because an entry was missing (`guards`)."""
    if getattr(error.__cause__, "pgcode", None) == _ENTRY_MISSING:
        metrics.TRAIL_REFUSED.add()
