"""Looks at call records: each is an entry of the trail before anything is shown."""

from uuid import UUID

from app.accounts.models import User
from app.audit.actions import Action
from app.compliance.access import calls
from app.compliance.access.calls import PAGE, CallFilter, CallPage, CallRecord
from app.compliance.services.looks import note_look


def look_at_calls(
    officer: User, wanted: CallFilter, *, before: UUID | None = None, limit: int = PAGE
) -> CallPage:
    """A page of calls; the entry has the filter. Raises Denied, NotFound."""
    found = calls.calls(officer, wanted, before=before, limit=limit)
    note_look(
        officer, Action.TRAIL_READ, {"calls": wanted.document()}, conversation=wanted.conversation
    )
    return found


def look_at_call(officer: User, call_id: UUID) -> CallRecord:
    """One call with what happened in it. Raises Denied, NotFound."""
    found = calls.call(officer, call_id)
    note_look(
        officer,
        Action.TRAIL_READ,
        {"call": str(call_id)},
        conversation=found.call.conversation_id,
    )
    return found
