"""Editing and deleting one's own messages: another version, and the earlier ones stay, sealed."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.leaves import timestamp
from app.audit.services import record
from app.chat import access
from app.chat.models import Message, MessageVersion, VersionKind
from app.chat.search.indexing import change_in_index
from app.chat.services import text
from app.chat.services.versions import Sent, as_sent, says, sealed_body, state_of, target_of
from app.errors import Conflict, NotFound
from app.realtime import protocol
from app.realtime import services as realtime
from app.realtime.protocol import Ack
from app.realtime.services import conversation_stream


@transaction.atomic
def edit_message(*, editor: User, message_id: UUID, body: str, revision: int) -> Ack:
    """Give one's own message another text; the earlier one stays, sealed.

    `revision` is the one that the editor saw. Raises NotFound, Invalid, or Conflict when
    it was edited or deleted since; the same edit again gets the same acknowledgement.
    """
    text.body(body)
    message = _own_message(editor, message_id)
    if message.deleted_at is not None:
        raise Conflict("This message was deleted.")
    current = message.versions.get(revision=message.revision)
    if message.revision == revision + 1 and says(current, body):
        return as_sent(message, current).ack()
    if message.revision != revision:
        raise Conflict("This message was edited since: load it again.")
    sent = _add_version(message, editor, VersionKind.EDITED, body, Action.MESSAGE_EDITED)
    version = sent.version
    event = protocol.MessageEdited(
        id=str(message.pk),
        revision=version.revision,
        body=None,
        by=str(editor.pk),
        at=timestamp(version.at),
    )
    place = realtime.reserve(conversation_stream(message.conversation_id), 1)
    realtime.append(place, [event], sealed=[sealed_body(version)])
    return sent.ack()


@transaction.atomic
def delete_message(*, editor: User, message_id: UUID) -> None:
    """Take one's own message away; its versions stay, sealed. Deleting again changes nothing."""
    message = _own_message(editor, message_id)
    if message.deleted_at is not None:
        return
    version = _add_version(
        message, editor, VersionKind.DELETED, None, Action.MESSAGE_DELETED
    ).version
    event = protocol.MessageDeleted(
        id=str(message.pk), revision=version.revision, by=str(editor.pk), at=timestamp(version.at)
    )
    realtime.emit(conversation_stream(message.conversation_id), event)


def _own_message(editor: User, message_id: UUID) -> Message:
    """The editor's message, under its stream's lock. Raises NotFound for anybody else's."""
    require(editor, Permission.MESSAGES_SEND)
    found = access.message(editor, message_id)
    realtime.lock([conversation_stream(found.conversation_id)])
    found = access.message(editor, message_id)
    if found.author_id != editor.pk:
        raise NotFound
    return found


def _add_version(
    message: Message, editor: User, kind: VersionKind, body: str | None, action: Action
) -> Sent:
    before = message.versions.get(revision=message.revision)
    now = timezone.now()
    version = MessageVersion(
        message=message,
        organization_id=editor.organization_id,
        conversation_id=message.conversation_id,
        revision=message.revision + 1,
        kind=kind,
        body=body,
        editor=editor,
        at=now,
    )
    entry = record(
        action,
        organization=editor.organization_id,
        actor=editor.actor,
        target=target_of(message.pk, message.conversation_id),
        scope=message.conversation_id,
        before=state_of(before),
        after=state_of(version),
    )
    version.entry_id = entry.pk
    version.save(force_insert=True)
    message.revision = version.revision
    if kind == VersionKind.DELETED:
        message.deleted_at = now
    else:
        message.edited_at = now
    message.save(update_fields=["revision", "edited_at", "deleted_at"])
    change_in_index(message, version)
    return Sent(message, version, entry.leaf_hash)
