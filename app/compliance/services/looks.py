"""Privileged looks: recorded before they are given, with the filter that really runs.

The same look by the same officer within QUIET is not recorded again, so that paging and
reloading do not fill the trail with its own reading.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit import disclosure, signing
from app.audit.actions import Action
from app.audit.services import Entry, Target, record
from app.compliance import access
from app.compliance.access import NamedConversation, TrailFilter, TrailPage

QUIET = timedelta(minutes=10)
_RECENT = 200


def look_at_trail(
    officer: User,
    wanted: TrailFilter,
    *,
    before_id: int | None = None,
    limit: int = access.PAGE,
) -> TrailPage:
    """A page of the trail; the look is an entry in the conversation that it was narrowed to."""
    require(officer, Permission.TRAIL_READ)
    note_look(
        officer, Action.TRAIL_READ, {"filter": wanted.document()}, conversation=wanted.conversation
    )
    return access.trail(officer, wanted, before_id=before_id, limit=limit)


def look_at_entry(officer: User, entry_id: int) -> Entry:
    """One entry with its body. Raises NotFound."""
    found = access.trail_entry(officer, entry_id)
    note_look(officer, Action.TRAIL_READ, {"entry": entry_id}, conversation=found.scope_id)
    return found


def conversation_names(officer: User) -> list[NamedConversation]:
    """The names of all conversations, to choose from."""
    require(officer, Permission.TRAIL_READ)
    note_look(officer, Action.NAMES_READ, {"of": "conversations"})
    return access.named_conversations(officer)


def note_look(
    officer: User,
    action: Action,
    parameters: dict[str, Any],
    *,
    conversation: UUID | None = None,
) -> None:
    """Record a look, unless the officer had the same one within QUIET.

    Either way its entry is signed before anything is shown.
    """
    earlier = _earlier_look(officer, action, parameters)
    if earlier is not None:
        signing.hold_back([earlier])
        return
    if conversation and access.unknown_conversations(officer, [conversation]):
        conversation = None  # nobody's, or another organization's: not a scope of ours
    with transaction.atomic():
        record(
            action,
            organization=officer.organization_id,
            actor=officer.actor,
            target=Target("organization", str(officer.organization_id)),
            scope=conversation,
            parameters=parameters,
        )


def _earlier_look(officer: User, action: Action, parameters: dict[str, Any]) -> Entry | None:
    recent = disclosure.page(
        officer.organization_id,
        actions=[action],
        actor=officer.pk,
        since=timezone.now() - QUIET,
        limit=_RECENT,
    )
    same = (entry for entry in recent if entry.document["parameters"] == parameters)
    return next(same, None)
