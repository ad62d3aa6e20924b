"""Files that are to go: those never sent, and those whose data key was destroyed.

A deletion counts when the storage, asked again, has nothing left. What did not go is counted
as failed, said in the log, and tried again.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from app.audit.actions import Action
from app.audit.context import Origin, acting_from
from app.audit.services import SYSTEM
from app.chat import access
from app.chat.attachments import content
from app.chat.attachments.storage import StorageFailed
from app.chat.models import Attachment
from app.chat.services.attachments import forget, record_file
from app.encryption.access import conversations_with_destroyed_keys
from app.encryption.fields import SealError
from app.encryption.holds import refuse_if_held
from app.errors import UnderHold

UNSENT_KEPT = timedelta(days=1)
SETTLED = timedelta(minutes=15)
"""Longer than any request: an upload that was under way when its file was deleted is over."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tidied:
    """`eligible` are `deleted`, verified, or `failed`; the sum adds up."""

    eligible: int
    deleted: int
    failed: int


def tidy_attachments() -> Tidied:
    """Delete what nobody sent within a day, unless it is held, and the bytes of what was erased."""
    with acting_from(Origin(request_id="tidy-attachments", method="job")):
        made_before = timezone.now() - UNSENT_KEPT
        for attachment_id in access.abandoned(made_before=made_before):
            with suppress(UnderHold):  # it is kept until the release
                _abandon(attachment_id, made_before)
        candidates = access.to_remove(
            deleted_before=timezone.now() - SETTLED,
            erased_in=conversations_with_destroyed_keys(),
        )
        eligible = [row for row in candidates if row.deleted_at or _is_erased(row)]
        deleted = sum(_removed(row) for row in eligible)
    tidied = Tidied(len(eligible), deleted, len(eligible) - deleted)
    told = {"eligible": tidied.eligible, "deleted": tidied.deleted, "failed": tidied.failed}
    (log.error if tidied.failed else log.info)("attachments_tidied", **told)
    return tidied


@transaction.atomic
def _abandon(attachment_id: UUID, made_before: datetime) -> None:
    """Forget a file that nobody sent. Raises UnderHold; nothing is forgotten then."""
    attachment = access.unsent(attachment_id, made_before=made_before)
    if attachment is not None:
        refuse_if_held(attachment.organization_id, attachment.conversation_id, "attachment")
        forget(attachment_id, SYSTEM)


def _is_erased(attachment: Attachment) -> bool:
    try:
        return attachment.key is None
    except SealError as error:
        return error.erased


def _removed(attachment: Attachment) -> bool:
    try:
        content.delete_objects(attachment)
        gone = content.is_gone(attachment)
    except StorageFailed:
        return False
    if gone:
        _note_gone(attachment.pk)
    return gone


@transaction.atomic
def _note_gone(attachment_id: UUID) -> None:
    attachment = Attachment.objects.select_for_update().get(pk=attachment_id)
    if attachment.gone_at is not None:
        return
    if attachment.deleted_at is None:
        # It was sent, and erased with its data key: this entry says that the bytes went too.
        record_file(Action.ATTACHMENT_DELETED, attachment, SYSTEM)
    attachment.gone_at = timezone.now()
    attachment.save(update_fields=["gone_at"])
