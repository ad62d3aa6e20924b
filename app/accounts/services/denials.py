"""A refusal by role is worth knowing: somebody tried a door that is not theirs."""

from django.db import transaction

from app.accounts.models import Session
from app.audit.actions import Action
from app.audit.services import Target, record


@transaction.atomic
def note_denied(*, session: Session, method: str, route: str) -> None:
    """Record that the session's user was refused; `route` is the pattern, never the address."""
    record(
        Action.ACCESS_DENIED,
        organization=session.user.organization_id,
        actor=session.user.actor,
        target=Target("route", route[:200]),
        parameters={"method": method},
        outcome="failure",
    )
