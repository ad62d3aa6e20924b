"""Reads of legal holds: the officer first, loading authorises."""

from uuid import UUID

from django.db.models import F, Q, QuerySet

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.chat.models import Membership
from app.compliance.models import LegalHold
from app.errors import NotFound


def holds(officer: User) -> list[LegalHold]:
    """The organization's holds, those in force first, then the newest."""
    require(officer, Permission.HOLDS_MANAGE)
    return list(_holds(officer).order_by(F("released_at").desc(nulls_first=True), "-placed_at"))


def hold(officer: User, hold_id: UUID) -> LegalHold:
    """One of them. Raises NotFound for another organization's."""
    require(officer, Permission.HOLDS_MANAGE)
    found = _holds(officer).filter(pk=hold_id).first()
    if found is None:
        raise NotFound
    return found


def holds_on(officer: User, conversation: UUID) -> list[LegalHold]:
    """Those in force that keep the conversation; says the same as the database's own function."""
    require(officer, Permission.HOLDS_MANAGE)
    people = Membership.objects.filter(conversation=conversation).values("user")
    covering = Q(held_conversations__conversation=conversation) | Q(held_people__person__in=people)
    return list(_holds(officer).filter(covering, released_at=None).distinct())


def _holds(officer: User) -> QuerySet[LegalHold]:
    found = LegalHold.objects.filter(organization=officer.organization_id)
    return found.select_related("placed_by", "release_asked_by", "released_by").prefetch_related(
        "held_conversations", "held_people"
    )
