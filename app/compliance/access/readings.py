"""Reads of conversations by officers who do not belong to them. Each is recorded by a service."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import connection
from django.db.models import Count, Max
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.chat import access as chat
from app.chat.models import Attachment, Membership, Message, MessageVersion, VersionKind
from app.compliance import access
from app.compliance.models import Reading
from app.encryption.fields import Fault, SealError, prefetch_data_keys, token
from app.errors import Conflict, NotFound, Unavailable
from app.realtime import protocol

PAGE = 50
logger = logging.getLogger(__name__)


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

    reading: Reading
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
    found = mine.filter(pk=reading_id).first()
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
    within = reading(officer, reading_id)
    found = Message.objects.filter(conversation=within.conversation_id)
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
    return DisclosedPage(within, messages, len(rows) > limit)


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
