"""One's own place in a room: to join, resume, leave, share, and ask for fresh credentials."""

import time
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.leaves import timestamp
from app.chat import access as chat
from app.chat.models import Membership
from app.errors import Conflict, NotFound, StaleGeneration
from app.realtime import protocol
from app.realtime.services import voice_stream
from app.voice import access, leases, rooms, turn
from app.voice.lifetimes import Holder
from app.voice.rooms import Identity, Limits, Place
from app.voice.services.handover import admission, limits_for
from app.voice.services.writing import Writer, limits, lock

_ATTEMPTS = 5


class _Again(Exception):
    """The device went to another room before we had the locks."""


def join(*, user: User, session: str, wanted: protocol.VoiceJoinData) -> protocol.VoicePlace:
    """Take a place in the room of a conversation of the user's; the same join again changes
    nothing. Raises NotFound, RoomFull, StaleGeneration, Conflict.
    """
    require(user, Permission.CALLS_JOIN)
    conversation = UUID(wanted.conversation)
    chat.membership(user, conversation)
    allowed = limits_for(conversation)
    for _ in range(_ATTEMPTS):
        try:
            with transaction.atomic():
                return _join(user, session, wanted, allowed)
        except (_Again, IntegrityError):
            continue  # the same device, or the same pid, was taken elsewhere at this moment
    raise Conflict


def _join(
    user: User, session: str, wanted: protocol.VoiceJoinData, allowed: Limits
) -> protocol.VoicePlace:
    conversation, device = UUID(wanted.conversation), UUID(wanted.device)
    stay = access.stay_kept(user, conversation)
    touched = {conversation, *access.rooms_of(user, device)}
    lock(touched)
    now = timezone.now()
    place = Place(
        pid=UUID(wanted.pid),
        conversation=conversation,
        user=user.pk,
        device=device,
        identity=Identity(wanted.key, wanted.fingerprint, wanted.signature),
        at=timestamp(now),
        muted=wanted.muted,
    )
    house = access.house(touched, place.pid, held_by=(user, device))
    older = house.held_by(user.pk, device)
    if older is not None and older.conversation not in touched:
        raise _Again
    Writer(user.organization_id, user.actor, now).write(rooms.join(house, place, allowed))
    return _granted(stay, Holder(place.pid, 1, user.pk, session))


def resume(*, user: User, session: str, wanted: protocol.VoiceResumeData) -> protocol.VoicePlace:
    """Take up one's place from another socket. Raises NotFound, StaleGeneration."""
    pid = UUID(wanted.pid)
    identity = Identity("", wanted.fingerprint, wanted.signature)
    with transaction.atomic():
        row = access.own(user, pid)
        stay = access.stay_kept(user, row.conversation_id)
        lock([row.conversation_id])
        house = access.house([row.conversation_id], pid)
        changes = rooms.resume(house, pid, user.pk, wanted.gen, identity)
        Writer(user.organization_id, user.actor).write(changes)
        return _granted(stay, Holder(pid, wanted.gen, user.pk, session))


def leave(*, user: User, pid: UUID, gen: int) -> None:
    """Give up one's place at once. Raises NotFound, StaleGeneration."""
    with transaction.atomic():
        row = access.own(user, pid)
        lock([row.conversation_id])
        house = access.house([row.conversation_id], pid)
        changes = rooms.leave(house, pid, user.pk, gen, limits())
        Writer(user.organization_id, user.actor).write(changes)


def share(*, user: User, pid: UUID, gen: int, screen: bool, video: bool) -> None:
    """Tell what one sends beside sound. Raises NotFound, StaleGeneration."""
    with transaction.atomic():
        row = access.own(user, pid)
        lock([row.conversation_id])
        house = access.house([row.conversation_id], pid)
        changes = rooms.share(house, pid, user.pk, gen, screen=screen, video=video)
        Writer(user.organization_id, user.actor).write(changes)


def ice(*, user: User, pid: UUID, gen: int) -> protocol.Ice:
    """Fresh credentials for somebody who is in the room. Raises NotFound, StaleGeneration."""
    row = access.own(user, pid)
    if row.left_at is not None or row.gen != gen:
        raise StaleGeneration
    given = _ice(pid)
    given.sfu = admission(row.call, pid, ready=True)
    return given


def _ice(pid: UUID) -> protocol.Ice:
    return turn.ice(
        str(pid),
        time.time(),
        stun=settings.STUN_URLS,
        turn=settings.TURN_URLS,
        secret=settings.TURN_SECRET,
    )


def _granted(stay: Membership, holder: Holder) -> protocol.VoicePlace:
    """Grant the lease, still under the lock, and say where one is now."""
    leases.grant([holder])
    view = access.room_of(stay)
    if view.on is None or not any(place.pid == holder.pid for place in view.places):
        raise NotFound
    return protocol.VoicePlace(
        conversation=str(view.conversation),
        call=str(view.on.pk),
        pid=str(holder.pid),
        gen=holder.gen,
        s=voice_stream(view.conversation),
        e=view.position.epoch,
        o=view.position.offset,
        participants=[rooms.participant(place) for place in view.places],
        ice=_ice(holder.pid),
        capacity=limits().capacity,
        host=view.host,
        notice=view.notice,
        sfu=admission(view.on, holder.pid),
    )
