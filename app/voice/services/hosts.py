"""What a host may do to others in a room, and everyone to their own microphone."""

from uuid import UUID

from django.db import transaction

from app.accounts.models import User
from app.chat import access as chat
from app.errors import Conflict
from app.voice import access, rooms
from app.voice.services.entries import Act
from app.voice.services.writing import limits, lock, write


@transaction.atomic
def mute(*, by: User, pid: UUID, muted: bool) -> None:
    """Mute or unmute oneself, or as a host mute somebody. Raises NotFound, Denied."""
    row = access.participant(by, pid)
    host = access.is_host(chat.membership(by, row.conversation_id))
    lock([row.conversation_id])
    house = access.house([row.conversation_id], pid)
    changes = rooms.mute(house, pid, by.pk, host=host, muted=muted)
    write(Act(by.organization_id, by.actor), changes)


@transaction.atomic
def kick(*, by: User, pid: UUID) -> None:
    """Put somebody out of the room; they may join again. Raises NotFound, Denied."""
    row = access.participant(by, pid)
    host = access.is_host(chat.membership(by, row.conversation_id))
    lock([row.conversation_id])
    house = access.house([row.conversation_id], pid)
    changes = rooms.kick(house, pid, by.pk, limits(), host=host)
    write(Act(by.organization_id, by.actor), changes)


@transaction.atomic
def move(*, by: User, pid: UUID, conversation_id: UUID) -> None:
    """Send somebody on to the room of another conversation that both belong to.

    Raises NotFound, Denied, Conflict.
    """
    row = access.participant(by, pid)
    host = access.is_host(chat.membership(by, row.conversation_id))
    chat.membership(by, conversation_id)
    if not chat.may_listen([(row.user, conversation_id)]):
        raise Conflict("They do not belong to that conversation.")
    lock([row.conversation_id], person=row.user_id)
    house = access.house([row.conversation_id], pid)
    changes = rooms.move(house, pid, by.pk, conversation_id, limits(), host=host)
    write(Act(by.organization_id, by.actor), changes)
