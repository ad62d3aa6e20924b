"""Grave actions wait for their checkpoint: nobody is told of success, and nothing is shown,
before the entry is under a signed root.

An edge (`app.web.signing` for HTTP, a management command) opens `collecting` around what it
does and then waits. What is written inside a transaction counts from its commit on.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import transaction

from app.audit import disclosure
from app.audit.actions import Action
from app.audit.rows import run, value
from app.errors import NotSigned

if TYPE_CHECKING:
    from app.audit.models import Entry

BELL = "parley_grave"
"""The channel of PostgreSQL on which the sealer hears that somebody waits."""
_POLL = 0.03
"""Seconds between two looks for the checkpoint: a few rows by their keys each time."""


@dataclass(frozen=True, slots=True)
class Grave:
    """An entry that must be under a signed root before anything is answered."""

    entry_id: int
    organization: UUID
    action: Action


_collected: ContextVar[list[Grave] | None] = ContextVar("parley_grave", default=None)


@contextmanager
def collecting() -> Iterator[list[Grave]]:
    """The list that grave entries written inside will be in, once they are committed."""
    before, graves = _collected.get(), list[Grave]()
    _collected.set(graves)
    try:
        yield graves
    finally:
        # Not reset(token): under ASGI a middleware is left in another context than it was entered.
        _collected.set(before)


@contextmanager
def signed() -> Iterator[None]:
    """For commands: raises NotSigned at the end if a grave entry written inside is not signed
    in time. What was done stays done."""
    with collecting() as graves:
        yield
    late = wait(graves)
    if late:
        raise NotSigned(f"Done and recorded as {late[0].action}, but not signed yet.")


def hold_back(entries: "Iterable[Entry]") -> None:
    """Wait for these as well, if they are grave: also where they were written earlier."""
    graves = _collected.get()
    if graves is None:
        return
    found = [
        Grave(entry.pk, entry.organization_id, Action(entry.action_name))
        for entry in entries
        if Action(entry.action_name).is_grave
    ]
    if found:
        run("SELECT pg_notify(%s, '')", [BELL])  # heard when the transaction commits
        transaction.on_commit(lambda: graves.extend(found))


def wait(graves: Iterable[Grave]) -> list[Grave]:
    """Wait until a signed checkpoint covers all of them; returns those that it does not.

    At most `settings.GRAVE_PATIENCE` seconds (None: nobody waits), and not at all while older
    entries have waited that long already: then the sealer stands still or is held up, and who
    waits would only take a thread from others.
    """
    patience: float | None = settings.GRAVE_PATIENCE
    if patience is None:
        return []
    until = time.monotonic() + patience
    late = _unsigned(graves)
    if late and is_behind(timedelta(seconds=patience)):
        return late
    while late and time.monotonic() < until:
        time.sleep(_POLL)
        late = _unsigned(late)
    return late


def is_behind(patience: timedelta) -> bool:
    """Whether an entry of any organization has waited for its leaf for longer than that."""
    return bool(value(_BEHIND, [datetime.now(UTC) - patience]))


def _unsigned(graves: Iterable[Grave]) -> list[Grave]:
    return [
        grave
        for grave in graves
        if disclosure.tree_with(grave.organization, grave.entry_id) is None
    ]


# In the order in which the sealer takes them: those that wait the longest come first.
_BEHIND = """
SELECT EXISTS (
    SELECT FROM audit_entry e
    WHERE (e.xid, e.id) > (coalesce((SELECT xid FROM audit_horizon), '0'),
                           coalesce((SELECT entry_id FROM audit_horizon), 0))
        AND e.at < %s
        AND NOT EXISTS (SELECT FROM audit_leaf l WHERE l.entry_id = e.id)
)
"""
