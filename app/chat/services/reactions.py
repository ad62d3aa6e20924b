"""Reacting to messages. A reaction is in the clear: it is an emoji, never a word."""

from uuid import UUID

from django.db import transaction

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.services import Target, record
from app.chat import access
from app.chat.models import Message, Reaction
from app.chat.services import text
from app.errors import Conflict
from app.realtime import protocol
from app.realtime import services as realtime
from app.realtime.services import conversation_stream


@transaction.atomic
def react(*, user: User, message_id: UUID, emoji: str, on: bool) -> None:
    """Add or take back a reaction; doing so again changes nothing. Raises NotFound, Invalid."""
    require(user, Permission.MESSAGES_SEND)
    text.emoji(emoji)
    message = access.message(user, message_id)
    realtime.lock([conversation_stream(message.conversation_id)])
    message = access.message(user, message_id)
    if on and message.deleted_at is not None:
        raise Conflict("This message was deleted.")
    changed = _set_reaction(message, user, emoji, on)
    if not changed:
        return
    record(
        Action.REACTION_ADDED if on else Action.REACTION_REMOVED,
        organization=user.organization_id,
        actor=user.actor,
        target=Target("reaction", str(message.pk), str(message.conversation_id)),
        scope=message.conversation_id,
        parameters={"emoji": emoji},
    )
    kind = protocol.ReactionAdded if on else protocol.ReactionRemoved
    event = kind(id=str(message.pk), user=str(user.pk), emoji=emoji)
    realtime.emit(conversation_stream(message.conversation_id), event)


def _set_reaction(message: Message, user: User, emoji: str, on: bool) -> bool:
    mine = Reaction.objects.filter(message=message, user=user, emoji=emoji)
    if on:
        _, made = Reaction.objects.get_or_create(message=message, user=user, emoji=emoji)
        return made
    deleted, _ = mine.delete()
    return bool(deleted)
