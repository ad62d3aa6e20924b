"""Files: whose they are, who may fetch them, and what a member sees of one."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from app.accounts.models import User
from app.chat.access.memberships import mine
from app.chat.access.unreadable import readable
from app.chat.attachments.description import load
from app.chat.models import Attachment
from app.encryption.fields import prefetch_data_keys, token
from app.errors import NotFound
from app.realtime import protocol


def attachment_for(user: User, attachment_id: UUID) -> Attachment:
    """A file that the user may fetch: of a message that is there, where they are a member now;
    or their own, before it is sent. Raises NotFound.
    """
    sent = Q(message__isnull=False, message__deleted_at=None)
    own = Q(message=None, uploader=user, completed_at__isnull=False, deleted_at=None)
    found = (
        Attachment.objects.filter(sent | own, pk=attachment_id)
        .filter(mine("conversation__", user))
        .first()
    )
    if found is None:
        raise NotFound
    return found


def upload(user: User, attachment_id: UUID, *, lock: bool = False) -> Attachment:
    """The user's own file that is not deleted, in a conversation that they are in now.

    `lock`: until the end of the transaction. Raises NotFound.
    """
    rows = Attachment.objects.select_for_update(of=("self",)) if lock else Attachment.objects
    found = (
        rows.filter(pk=attachment_id, uploader=user, deleted_at=None)
        .filter(mine("conversation__", user))
        .first()
    )
    if found is None or readable(lambda: found.key, found.pk) is None:
        raise NotFound  # also where its data key was destroyed meanwhile
    return found


def unsent_uploads(user: User) -> int:
    """How many files of the user no message carries."""
    return Attachment.objects.filter(uploader=user, message=None, deleted_at=None).count()


def unsent(attachment_id: UUID, *, made_before: datetime | None = None) -> Attachment | None:
    """For services of the system: a file that no message carries, locked until the commit."""
    rows = Attachment.objects.select_for_update().filter(
        pk=attachment_id, message=None, deleted_at=None
    )
    if made_before is not None:
        rows = rows.filter(created_at__lt=made_before)
    return rows.first()


def abandoned(*, made_before: datetime) -> list[UUID]:
    """For the job: files that no message carries, begun before that time."""
    rows = Attachment.objects.filter(message=None, deleted_at=None, created_at__lt=made_before)
    return list(rows.order_by("created_at").values_list("pk", flat=True))


def to_remove(*, deleted_before: datetime, erased_in: Collection[UUID]) -> list[Attachment]:
    """For the job: what the storage should have no more of, as far as rows can tell.

    Files deleted before that time; and those sent in conversations of which some data key was
    destroyed: whether theirs was, their own key tells.
    """
    deleted = Q(deleted_at__lt=deleted_before)
    doubtful = Q(message__isnull=False, conversation__in=erased_in)
    return list(Attachment.objects.filter(deleted | doubtful, gone_at=None).order_by("created_at"))


def attached(messages: Collection[UUID]) -> list[Attachment]:
    """The files of these messages, in order, their data keys fetched at once."""
    found = list(Attachment.objects.filter(message__in=messages).order_by("position"))
    prefetch_data_keys([token(row, "description") for row in found])
    return found


def shown(attachment: Attachment) -> protocol.Attachment:
    """What a member sees of a file; without its name where it was erased or cannot be read."""
    known = protocol.Attachment(id=str(attachment.pk), size=attachment.size)
    described = readable(lambda: attachment.description, attachment.pk)
    if described is not None:
        description = load(described)
        known.name, known.type = description.name, description.type
        known.sha256 = description.sha256
        if description.picture:
            known.width, known.height = description.picture.width, description.picture.height
    return known
