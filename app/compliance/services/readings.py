"""An officer reads a conversation that is not theirs: with a reason, and each page on record.

The entry is written in the transaction that reads, so nothing is shown that is not in the trail.
"""

from datetime import timedelta
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.services import Target, record
from app.chat.models import Attachment
from app.compliance import access
from app.compliance.access import readings
from app.compliance.access.readings import DisclosedPage, OfficerConversation
from app.compliance.models import Reading
from app.compliance.services.looks import note_look
from app.compliance.services.reasons import LONGEST_MATTER, LONGEST_REASON, stated
from app.encryption.fields import seal_now
from app.errors import NotFound

OPEN_FOR = timedelta(hours=1)
"""How long one reason serves; whoever reads on gives it again."""


def conversation_list(officer: User) -> list[OfficerConversation]:
    """All conversations, to choose one to read, hold or erase."""
    require(officer, Permission.CONVERSATIONS_DISCLOSE)
    note_look(officer, Action.NAMES_READ, {"of": "conversations"})
    return readings.conversations(officer)


@transaction.atomic
def open_conversation(officer: User, conversation: UUID, *, matter: str, reason: str) -> Reading:
    """Begin to read a conversation. Raises Denied, NotFound, Invalid."""
    require(officer, Permission.CONVERSATIONS_DISCLOSE)
    if access.unknown_conversations(officer, [conversation]):
        raise NotFound
    reading = Reading(
        pk=uuid4(),
        organization=officer.organization,
        conversation_id=conversation,
        officer=officer,
        matter=stated(matter, "matter", LONGEST_MATTER),
        reason=stated(reason, "reason", LONGEST_REASON),
        closes_at=timezone.now() + OPEN_FOR,
    )
    entry = record(
        Action.CONVERSATION_OPENED,
        organization=officer.organization_id,
        actor=officer.actor,
        target=Target("reading", str(reading.pk), str(conversation)),
        scope=conversation,
        after={
            "matter": seal_now(reading, "matter").commitment.hex(),
            "reason": seal_now(reading, "reason").commitment.hex(),
        },
    )
    reading.open_entry = entry.pk
    reading.save(force_insert=True)
    return reading


@transaction.atomic
def read_page(
    officer: User, reading_id: UUID, *, before: int | None = None, limit: int = readings.PAGE
) -> DisclosedPage:
    """A page of the conversation, recorded with the range that it shows.

    Raises Denied, NotFound, Conflict (the reading is over), Unavailable.
    """
    page = readings.disclosed(officer, reading_id, before=before, limit=limit)
    reading = page.reading
    record(
        Action.MESSAGE_DISCLOSED,
        organization=officer.organization_id,
        actor=officer.actor,
        target=Target("reading", str(reading.pk), str(reading.conversation_id)),
        scope=reading.conversation_id,
        parameters={
            "first": page.first,
            "last": page.last,
            "messages": len(page.messages),
            "versions": sum(len(message.versions) for message in page.messages),
        },
    )
    return page


@transaction.atomic
def open_file(officer: User, reading_id: UUID, attachment_id: UUID) -> Attachment:
    """A file of the conversation whose bytes the officer is about to get; recorded first.

    Raises as `read_page`.
    """
    found = readings.disclosed_file(officer, reading_id, attachment_id)
    record(
        Action.MESSAGE_DISCLOSED,
        organization=officer.organization_id,
        actor=officer.actor,
        target=Target("attachment", str(found.pk), str(found.conversation_id)),
        scope=found.conversation_id,
        parameters={"reading": str(reading_id), "message": str(found.message_id)},
    )
    return found
