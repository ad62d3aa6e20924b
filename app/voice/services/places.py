"""One's own place in a room: to leave, to share, and to ask for fresh credentials."""

import time
from uuid import UUID

from django.conf import settings
from django.db import transaction

from app.accounts.models import User
from app.errors import StaleGeneration
from app.realtime import protocol
from app.voice import access, rooms, turn
from app.voice.services.entries import Act
from app.voice.services.handover import admission
from app.voice.services.writing import limits, lock, write


def leave(*, user: User, pid: UUID, gen: int) -> None:
    """Give up one's place at once. Raises NotFound, StaleGeneration."""
    with transaction.atomic():
        row = access.own(user, pid)
        lock([row.conversation_id])
        house = access.house([row.conversation_id], pid)
        changes = rooms.leave(house, pid, user.pk, gen, limits())
        write(Act(user.organization_id, user.actor), changes)


def share(*, user: User, pid: UUID, gen: int, screen: bool, video: bool) -> None:
    """Tell what one sends beside sound. Raises NotFound, StaleGeneration."""
    with transaction.atomic():
        row = access.own(user, pid)
        lock([row.conversation_id])
        house = access.house([row.conversation_id], pid)
        changes = rooms.share(house, pid, user.pk, gen, screen=screen, video=video)
        write(Act(user.organization_id, user.actor), changes)


def ice(*, user: User, pid: UUID, gen: int) -> protocol.Ice:
    """Fresh credentials for somebody who is in the room. Raises NotFound, StaleGeneration."""
    row = access.own(user, pid)
    if row.left_at is not None or row.gen != gen:
        raise StaleGeneration
    given = credentials(pid)
    given.sfu = admission(row.call, pid, ready=True)
    return given


def credentials(pid: UUID) -> protocol.Ice:
    """The relays, with a password for some minutes."""
    return turn.ice(
        str(pid),
        time.time(),
        stun=settings.STUN_URLS,
        turn=settings.TURN_URLS,
        secret=settings.TURN_SECRET,
    )
