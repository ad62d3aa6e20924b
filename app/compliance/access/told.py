"""What the trail says of one thing to officers, and in numbers to everybody."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Count
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit import disclosure
from app.audit.actions import Action
from app.audit.services import Entry

_YEAR = timedelta(days=365)


def history(officer: User, target_type: str, target_id: UUID) -> list[Entry]:
    """What the trail says about a hold or an erasure, newest first."""
    require(officer, Permission.TRAIL_READ)
    found = disclosure.page(officer.organization_id, target=str(target_id), limit=100)
    return [entry for entry in found if entry.target_type == target_type]


@dataclass(frozen=True, slots=True)
class Looks:
    """How often officers did what everybody should know of, in the last 365 days."""

    opened: int
    exported: int
    held: int
    erased: int


def looks(user: User) -> Looks:
    """For any member: numbers of the organization, and nothing of which or why."""
    require(user, Permission.PEOPLE_READ)
    told = {
        "opened": Action.CONVERSATION_OPENED,
        "exported": Action.EXPORT_APPROVED,
        "held": Action.HOLD_PLACED,
        "erased": Action.ERASURE_DONE,
    }
    entries = disclosure.covered(user.organization_id, since=timezone.now() - _YEAR)
    counted = dict(
        entries.filter(action_name__in=told.values())
        .order_by()
        .values_list("action_name")
        .annotate(number=Count("pk"))
    )
    return Looks(**{name: counted.get(action, 0) for name, action in told.items()})
