"""Reads of holds, readings and erasures, as in `access`: the officer first, loading authorises."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID

from django.db import connection
from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit import disclosure
from app.audit.actions import Action
from app.audit.services import Entry
from app.chat import access as chat
from app.chat.models import Attachment, Membership, Message, MessageVersion, VersionKind
from app.compliance import access
from app.compliance.models import Erasure, LegalHold, Reading
from app.encryption.fields import Fault, SealError, prefetch_data_keys, token
from app.encryption.models import DataKey
from app.errors import Conflict, NotFound, Unavailable
from app.realtime import protocol

PAGE = 50
_MOST_KEYS = 10_000
logger = logging.getLogger(__name__)


# Holds


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


# Readings


class Seen(StrEnum):
    """Whether a version's text could be shown."""

    READABLE = "readable"
    DELETED = "deleted"
    ERASED = "erased"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class DisclosedVersion:
    """One version with its text, which is None unless it is readable."""

    id: UUID
    revision: int
    kind: str
    editor: UUID
    at: datetime
    entry: int
    seen: Seen
    text: str | None


@dataclass(frozen=True, slots=True)
class DisclosedMessage:
    """A message in all its versions, the oldest first; `thread` is the message it replies to."""

    id: UUID
    offset: int
    author: UUID
    thread: UUID | None
    created_at: datetime
    versions: list[DisclosedVersion]
    files: list[protocol.Attachment]


@dataclass(frozen=True, slots=True)
class DisclosedPage:
    """Messages and replies in ascending offset; `more` tells of earlier ones."""

    messages: list[DisclosedMessage]
    more: bool

    @property
    def first(self) -> int | None:
        return self.messages[0].offset if self.messages else None

    @property
    def last(self) -> int | None:
        return self.messages[-1].offset if self.messages else None


def readings(officer: User) -> list[Reading]:
    """The officer's own readings that are open now, the latest first."""
    require(officer, Permission.CONVERSATIONS_DISCLOSE)
    found = Reading.objects.filter(officer=officer, closes_at__gt=timezone.now())
    return list(found.order_by("-opened_at"))


def reading(officer: User, reading_id: UUID) -> Reading:
    """One's own reading. Raises NotFound for anybody else's, Conflict once it is closed."""
    require(officer, Permission.CONVERSATIONS_DISCLOSE)
    mine = Reading.objects.filter(officer=officer, organization=officer.organization_id)
    found = mine.select_related("conversation").filter(pk=reading_id).first()
    if found is None:
        raise NotFound
    if found.closes_at <= timezone.now():
        raise Conflict("This reading is over: open the conversation again, with a reason.")
    return found


def disclosed(
    officer: User, reading_id: UUID, *, before: int | None = None, limit: int = PAGE
) -> DisclosedPage:
    """The last messages, or those before an offset. Use `services.read_page`, which records it.

    Raises as `reading`, and Unavailable while keys are not to be had.
    """
    conversation = reading(officer, reading_id).conversation_id
    found = Message.objects.filter(conversation=conversation)
    if before is not None:
        found = found.filter(offset__lt=before)
    rows = list(found.order_by("-offset")[: limit + 1])
    ids = [row.pk for row in rows[:limit]]
    versions, files = _versions(ids), _files(ids)
    messages = [
        DisclosedMessage(
            row.pk,
            row.offset,
            row.author_id,
            row.thread_id,
            row.created_at,
            versions[row.pk],
            files.get(row.pk, []),
        )
        for row in reversed(rows[:limit])
    ]
    return DisclosedPage(messages, len(rows) > limit)


def disclosed_file(officer: User, reading_id: UUID, attachment_id: UUID) -> Attachment:
    """A file of the conversation, of a deleted message too. Use `services.open_file`."""
    conversation = reading(officer, reading_id).conversation_id
    found = Attachment.objects.filter(
        pk=attachment_id, conversation=conversation, message__isnull=False
    ).first()
    if found is None:
        raise NotFound
    return found


def _files(messages: Sequence[UUID]) -> dict[UUID, list[protocol.Attachment]]:
    rows = list(Attachment.objects.filter(message__in=messages).order_by("position"))
    prefetch_data_keys([token(row, "description") for row in rows])
    found: dict[UUID, list[protocol.Attachment]] = {}
    for row in rows:
        assert row.message_id is not None  # noqa: S101 - the filter above
        found.setdefault(row.message_id, []).append(chat.shown(row))
    return found


def _versions(messages: Sequence[UUID]) -> dict[UUID, list[DisclosedVersion]]:
    rows = list(MessageVersion.objects.filter(message__in=messages).order_by("revision"))
    prefetch_data_keys([token(row, "body") for row in rows if row.kind != VersionKind.DELETED])
    found: dict[UUID, list[DisclosedVersion]] = {pk: [] for pk in messages}
    for row in rows:
        seen, text = _opened(row)
        found[row.message_id].append(
            DisclosedVersion(
                row.pk, row.revision, row.kind, row.editor_id, row.at, row.entry_id, seen, text
            )
        )
    return found


def _opened(version: MessageVersion) -> tuple[Seen, str | None]:
    """One row that was tampered with is shown as such; the others' page stays."""
    if version.kind == VersionKind.DELETED:
        return Seen.DELETED, None
    try:
        return Seen.READABLE, version.body
    except SealError as error:
        if error.code == Fault.KEY_UNAVAILABLE:
            raise Unavailable from error
        if error.erased:
            return Seen.ERASED, None
        told = {"version": str(version.pk), "fault": str(error.code)}
        logger.error("message_unreadable", extra=told)
        return Seen.UNREADABLE, None


@dataclass(frozen=True, slots=True)
class OfficerConversation:
    """A conversation in the officer's list: what it is called and how much is in it."""

    id: UUID
    kind: str
    label: str
    members: int
    messages: int
    last_at: datetime | None
    held: bool


def conversations(officer: User) -> list[OfficerConversation]:
    """All of the organization's. Use `services.conversation_list`, which records it."""
    require(officer, Permission.CONVERSATIONS_DISCLOSE)
    named = access.named_conversations(officer)
    mine = {"conversation__organization": officer.organization_id}
    said = {
        row["conversation"]: row
        for row in Message.objects.filter(**mine)
        .order_by()
        .values("conversation")
        .annotate(number=Count("pk"), last=Max("created_at"))
    }
    members = dict(
        Membership.objects.filter(**mine, left_at=None)
        .order_by()
        .values_list("conversation")
        .annotate(number=Count("pk"))
    )
    held = _held(officer)
    return [
        OfficerConversation(
            item.id,
            item.kind,
            item.label,
            members.get(item.id, 0),
            said[item.id]["number"] if item.id in said else 0,
            said[item.id]["last"] if item.id in said else None,
            item.id in held,
        )
        for item in named
    ]


def _held(officer: User) -> set[UUID]:
    """Every conversation that the database would keep."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM chat_conversation WHERE organization_id = %s"
            " AND parley_is_held(organization_id, id)",
            [officer.organization_id],
        )
        return {pk for (pk,) in cursor.fetchall()}


# Erasures


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


# The history of one of them


def history(officer: User, target_type: str, target_id: UUID) -> list[Entry]:
    """What the trail says about a hold or an erasure, newest first."""
    require(officer, Permission.TRAIL_READ)
    found = disclosure.page(officer.organization_id, target=str(target_id), limit=100)
    return [entry for entry in found if entry.target_type == target_type]


# What everybody may know

_YEAR = timedelta(days=365)


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
