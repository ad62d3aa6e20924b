"""Who talked with whom: call records for officers. Each look is recorded by `services.calls`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit import disclosure
from app.audit.actions import Action
from app.audit.leaves import timestamp
from app.audit.services import Entry
from app.errors import NotFound
from app.voice.models import Call, Connection, Participant

PAGE = 50
_MOST_EVENTS = 1000
_ACTIONS = [action.value for action in Action if action.value.startswith("call:")]
# Entries are written a moment after the time that a row has.
_MARGIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls to look at; what is None does not narrow. `since` <= beginning < `until`."""

    conversation: UUID | None = None
    person: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    def document(self) -> dict[str, Any]:
        """As the entry of the look holds it: only what narrows."""
        shown = {
            "conversation": str(self.conversation) if self.conversation else None,
            "person": str(self.person) if self.person else None,
            "since": timestamp(self.since) if self.since else None,
            "until": timestamp(self.until) if self.until else None,
        }
        return {name: value for name, value in shown.items() if value is not None}


@dataclass(frozen=True, slots=True)
class CallPage:
    """Calls with their participants and connections, the latest first."""

    calls: list[Call]
    more: bool

    @property
    def last(self) -> UUID | None:
        return self.calls[-1].pk if self.calls else None


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, and what the trail says about it in the log's order."""

    call: Call
    events: Sequence[Entry]


def calls(
    officer: User, wanted: CallFilter, *, before: UUID | None = None, limit: int = PAGE
) -> CallPage:
    """The organization's calls before the call `before`. Use `services.look_at_calls`.

    Raises NotFound where `before` is no call of the organization.
    """
    require(officer, Permission.TRAIL_READ)
    found = _calls(officer)
    if wanted.conversation:
        found = found.filter(conversation=wanted.conversation)
    if wanted.person:
        stays = Participant.objects.filter(user=wanted.person)
        found = found.filter(pk__in=stays.values("call"))
    if wanted.since:
        found = found.filter(started_at__gte=wanted.since)
    if wanted.until:
        found = found.filter(started_at__lt=wanted.until)
    if before:
        last = _one(officer, before)
        found = found.filter(
            Q(started_at__lt=last.started_at) | Q(started_at=last.started_at, pk__lt=last.pk)
        )
    rows = list(found.order_by("-started_at", "-pk")[: limit + 1])
    return CallPage(rows[:limit], len(rows) > limit)


def call(officer: User, call_id: UUID) -> CallRecord:
    """One call. Raises NotFound for another organization's. Use `services.look_at_call`."""
    require(officer, Permission.TRAIL_READ)
    found = _one(officer, call_id)
    entries = disclosure.page(
        officer.organization_id,
        actions=_ACTIONS,
        scope=found.conversation_id,
        since=found.started_at - _MARGIN,
        until=found.ended_at + _MARGIN if found.ended_at else None,
        limit=_MOST_EVENTS,
    )
    events = [entry for entry in entries if _is_about(entry, found)]
    return CallRecord(found, events[::-1])


def _is_about(entry: Entry, call: Call) -> bool:
    target = entry.document["target"]
    return bool(str(call.pk) == target["id" if target["type"] == "call" else "parent"])


def _one(officer: User, call_id: UUID) -> Call:
    found = _calls(officer).filter(pk=call_id).first()
    if found is None:
        raise NotFound
    return found


def _calls(officer: User) -> QuerySet[Call]:
    connections = Connection.objects.order_by("peer")
    stays = Participant.objects.order_by("joined_at", "pid").prefetch_related(
        Prefetch("connections", connections)
    )
    found = Call.objects.filter(conversation__organization=officer.organization_id)
    return found.prefetch_related(Prefetch("participants", stays))
