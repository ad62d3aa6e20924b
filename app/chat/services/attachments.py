"""Uploading files, fetching them, and deleting what was never sent.

A file comes in parts, each its own short request: a cut connection costs one part, and no
process ever holds more. It is pending until `complete_upload` has read it back from the storage
and put what it found into the trail; only then can a message carry it.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.services import Actor, Entry, Target, record
from app.chat import access
from app.chat.attachments import content, previews
from app.chat.attachments.description import Description, Picture, dump
from app.chat.attachments.kinds import HEAD_BYTES, PICTURES, kind_of
from app.chat.models import Attachment
from app.chat.services import text
from app.encryption.fields import opened, seal_now
from app.encryption.stream import Layout
from app.errors import Conflict, Invalid, TooLarge
from app.realtime import protocol

MAX_BYTES = 100 * 1024 * 1024
MAX_UNSENT = 30
"""Uploads of one person that no message carries: a bound on what can be left lying about."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way: `stored` are the indexes of the parts that are there already."""

    attachment: Attachment
    stored: list[int]


def begin_upload(
    *, uploader: User, conversation_id: UUID, attachment_id: UUID, name: str, size: int
) -> Upload:
    """Announce a file of `size` bytes; announced again under its id, it is gone on with.

    Raises NotFound, Invalid, TooLarge, Denied, Conflict, StorageFailed.
    """
    require(uploader, Permission.MESSAGES_SEND)
    conversation = access.membership(uploader, conversation_id).conversation
    name = text.file_name(name)
    if size > MAX_BYTES:
        raise TooLarge(f"A file may have {MAX_BYTES // 2**20} MB at most.")
    known = Attachment.objects.filter(pk=attachment_id).first()
    if known is not None:
        _must_be_the_same(known, uploader, conversation_id, name, size)
        return Upload(known, content.parts_stored(known))
    if access.unsent_uploads(uploader) >= MAX_UNSENT:
        raise Conflict("There are many files that you have not sent: send or remove some first.")
    made = Attachment(
        id=attachment_id,
        organization_id=conversation.organization_id,
        conversation=conversation,
        uploader=uploader,
        size=size,
        name=name,
        key=content.fresh_key(),
        created_at=timezone.now(),
    )
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        raise Conflict("This file id is taken: make another one.") from None
    return Upload(made, [])


def _must_be_the_same(
    known: Attachment, uploader: User, conversation: UUID, name: str, size: int
) -> None:
    same = (
        known.uploader_id == uploader.pk
        and known.conversation_id == conversation
        and known.deleted_at is None
        and known.size == size
        and access.readable(lambda: known.name, known.pk) == name
    )
    if not same:
        raise Conflict("This file id is taken: make another one.")


def store_part(*, uploader: User, attachment_id: UUID, index: int, part: bytes) -> None:
    """Seal and store one part; the same part again changes nothing.

    Raises NotFound, Invalid, StorageFailed.
    """
    attachment = access.upload(uploader, attachment_id)
    layout = Layout(attachment.size)
    if not 0 <= index < layout.parts:
        raise Invalid("This file has no such part.")
    if len(part) != layout.length(index):
        raise Invalid(
            "The part did not arrive whole: send it again.",
            fields={"part": [f"Part {index} of this file has {layout.length(index)} bytes."]},
        )
    content.write_part(attachment, index, part)


def complete_upload(*, uploader: User, attachment_id: UUID) -> protocol.Attachment:
    """Read the file back, find out what it is, and enter it in the trail. Once: again is fine.

    Raises NotFound, Conflict while parts are missing, StorageFailed.
    """
    attachment = access.upload(uploader, attachment_id)
    if attachment.completed_at is None:
        # Outside of any transaction: it takes as long as the storage takes.
        description = _examined(attachment)
        attachment = _completed(uploader, attachment_id, description)
    return access.shown(attachment)


def _examined(attachment: Attachment) -> Description:
    digest, head, whole = hashlib.sha256(), b"", bytearray()
    try:
        for part in content.open_attachment(attachment):
            digest.update(part)
            head = head or part[:HEAD_BYTES]
            if attachment.size <= previews.MAX_SOURCE_BYTES:
                whole += part
    except content.PartMissing as missing:
        told = f"Part {missing.index} is missing."
        raise Conflict("Not all of the file has arrived.", fields={"parts": [told]}) from None
    name = str(attachment.name)
    kind = kind_of(head, name)
    picture = _with_preview(attachment, bytes(whole)) if whole and kind in PICTURES else None
    return Description(name, attachment.size, kind, digest.hexdigest(), picture)


def _with_preview(attachment: Attachment, whole: bytes) -> Picture | None:
    preview = previews.preview_of(whole)
    if preview is None:
        return None
    content.write_preview(attachment, preview.content)
    return preview.picture


@transaction.atomic
def _completed(uploader: User, attachment_id: UUID, description: Description) -> Attachment:
    attachment = access.upload(uploader, attachment_id, lock=True)
    if attachment.completed_at is not None:
        return attachment  # in another window, at the same time
    attachment.description = dump(description)
    entry = record_file(
        Action.ATTACHMENT_UPLOADED,
        attachment,
        uploader.actor,
        after={"content": seal_now(attachment, "description").commitment.hex()},
    )
    attachment.entry_id = entry.pk
    attachment.completed_at = timezone.now()
    attachment.save(update_fields=["description", "entry_id", "completed_at"])
    return attachment


def cancel_upload(*, uploader: User, attachment_id: UUID) -> None:
    """Delete a file that was not sent. Raises NotFound, Conflict once it was sent.

    StorageFailed too: it is deleted all the same, and the job removes what is left.
    """
    attachment = access.upload(uploader, attachment_id)
    if not forget(attachment_id, uploader.actor):
        raise Conflict("This file was sent: delete its message.")
    content.delete_objects(attachment)


@transaction.atomic
def forget(attachment_id: UUID, actor: Actor, *, made_before: datetime | None = None) -> bool:
    """Take its key and its name away, so that no storage can keep it; False if it was sent.

    `made_before`: only if it is that old.
    """
    attachment = access.unsent(attachment_id, made_before=made_before)
    if attachment is None:
        return False
    before = {}
    # An erased one has a commitment that nobody can make any more; its upload's entry has it.
    if access.readable(lambda: attachment.description, attachment.pk) is not None:
        before["content"] = opened(attachment, "description").commitment.hex()
    record_file(Action.ATTACHMENT_DELETED, attachment, actor, before=before)
    attachment.key = attachment.name = attachment.description = None
    attachment.deleted_at = timezone.now()
    attachment.save(update_fields=["key", "name", "description", "deleted_at"])
    return True


@transaction.atomic
def open_download(user: User, attachment_id: UUID) -> Attachment:
    """A file whose bytes the user is about to get; that they do is in the trail first.

    Raises NotFound.
    """
    attachment = access.attachment_for(user, attachment_id)
    record_file(Action.ATTACHMENT_DOWNLOADED, attachment, user.actor)
    return attachment


def record_file(action: Action, attachment: Attachment, actor: Actor, **states: Any) -> Entry:
    """The entry of what happens to a file; `states` are before and after."""
    return record(
        action,
        organization=attachment.organization_id,
        actor=actor,
        target=Target("attachment", str(attachment.pk), str(attachment.conversation_id)),
        scope=attachment.conversation_id,
        **states,
    )
