"""Reads of erasures, and of what one would reach: the officer first, loading authorises."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from uuid import UUID

from django.db.models import Count, Max, Min, QuerySet

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit import disclosure
from app.audit.actions import Action
from app.chat.models import MessageVersion
from app.compliance import access
from app.compliance.access.holds import holds_on
from app.compliance.models import Erasure, LegalHold
from app.encryption.models import DataKey
from app.errors import NotFound

_MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Erasable:
    """What an erasure would reach: `months` (first days) whose keys are there, and numbers."""

    conversation: UUID
    months: list[date]
    messages: int
    versions: int
    authors: int
    first_at: datetime | None
    last_at: datetime | None
    holds: list[LegalHold]

    @property
    def hold_ids(self) -> list[UUID]:
        return [hold.pk for hold in self.holds]


def erasable(
    officer: User, conversation: UUID, *, first: date | None = None, last: date | None = None
) -> Erasable:
    """Count what is written in the months from `first` to `last`. Raises NotFound."""
    require(officer, Permission.ERASURES_MANAGE)
    if access.unknown_conversations(officer, [conversation]):
        raise NotFound
    # By its messages: only they are indexed by conversation.
    written = MessageVersion.objects.filter(message__conversation=conversation)
    if first:
        written = written.filter(at__gte=_midnight(first))
    if last:
        written = written.filter(at__lt=_midnight(following(last)))
    counted = written.aggregate(
        messages=Count("message", distinct=True),
        versions=Count("pk"),
        authors=Count("editor", distinct=True),
        first_at=Min("at"),
        last_at=Max("at"),
    )
    months = months_with_keys(conversation, first, last)
    return Erasable(conversation, months, holds=holds_on(officer, conversation), **counted)


def months_with_keys(conversation: UUID, first: date | None, last: date | None) -> list[date]:
    """The months (first days) in which something is written that can still be opened."""
    keys = DataKey.objects.filter(conversation_id=conversation, destroyed_at=None)
    if first:
        keys = keys.filter(month__gte=first)
    if last:
        keys = keys.filter(month__lte=last)
    return sorted(set(keys.values_list("month", flat=True)))


def following(month: date) -> date:
    """The first day of the next month."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def erasures(officer: User) -> list[Erasure]:
    """The organization's erasures, newest first."""
    require(officer, Permission.ERASURES_MANAGE)
    return list(_erasures(officer).order_by("-requested_at", "pk")[:200])


def erasure(officer: User, erasure_id: UUID) -> Erasure:
    """One of them. Raises NotFound for another organization's."""
    require(officer, Permission.ERASURES_MANAGE)
    found = _erasures(officer).filter(pk=erasure_id).first()
    if found is None:
        raise NotFound
    return found


def keys_destroyed(erasure: Erasure) -> int:
    """How many data keys the trail says were destroyed for this erasure; for the job alone."""
    found = disclosure.page(
        erasure.organization_id,
        actions=[Action.DATA_KEY_DESTROYED],
        scope=erasure.conversation_id,
        since=erasure.decided_at,
        limit=_MOST_KEYS,
    )
    return sum(entry.document["parameters"]["request"] == str(erasure.pk) for entry in found)


def _erasures(officer: User) -> QuerySet[Erasure]:
    found = Erasure.objects.filter(organization=officer.organization_id)
    return found.select_related("requester", "decider")


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
