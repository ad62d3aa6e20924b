"""Every read of rooms: the asker comes first. Who is not a member gets NotFound."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from app.accounts.models import User
from app.audit.leaves import timestamp
from app.chat import access as chat
from app.chat.models import Kind, MemberRole, Membership
from app.encryption import holds
from app.errors import NotFound
from app.realtime.access import Place as Position
from app.realtime.access import places
from app.realtime.protocol import LeaveReason, Notice
from app.realtime.services import voice_stream
from app.voice.lifetimes import Holder, Living
from app.voice.models import Call, CallPolicy, Participant
from app.voice.rooms import House, Identity, Place

PAGE = 50


@dataclass(frozen=True, slots=True)
class RoomView:
    """Who is in a room at `position` of its stream, and the call that is on, if one is."""

    conversation: UUID
    on: Call | None
    places: list[Place]
    position: Position
    host: bool
    notice: list[Notice]


def is_host(stay: Membership) -> bool:
    """Whether this member may put others out, mute and move them: who owns the conversation."""
    return stay.role == MemberRole.OWNER and stay.conversation.kind != Kind.DIRECT


def room(user: User, conversation: UUID) -> RoomView:
    """The room of a conversation that the user belongs to. Raises NotFound."""
    stay = chat.membership(user, conversation)
    return room_of(stay)


def room_of(stay: Membership) -> RoomView:
    """The same for who is known to be a member."""
    stream = voice_stream(stay.conversation_id)
    # Read before the rows: who subscribes from here on misses nothing.
    position = places([stream])[stream]
    call = Call.objects.filter(conversation=stay.conversation_id, ended_at=None).first()
    found = Participant.objects.filter(conversation=stay.conversation_id, left_at=None)
    there = [place_of(row) for row in found.order_by("joined_at", "pid")]
    return RoomView(
        stay.conversation_id,
        call,
        there,
        position,
        is_host(stay),
        # During a call what the room was told, at this position; what is new is told after it.
        call.notice if call else notices(stay.conversation.organization_id, stay.conversation_id),
    )


def call_on(conversation: UUID) -> Call | None:
    """For services: the call that is on in the conversation's room."""
    return Call.objects.filter(conversation=conversation, ended_at=None).first()


def size(conversation: UUID) -> int:
    """For services: how many are in the conversation's room."""
    return Participant.objects.filter(conversation=conversation, left_at=None).count()


def places_in(call: UUID) -> set[str]:
    """For services: the pids of those who are in the call now."""
    found = Participant.objects.filter(call=call, left_at=None).values_list("pid", flat=True)
    return {str(pid) for pid in found}


def calls_at_the_sfu(since: datetime) -> list[UUID]:
    """For services: calls whose members were given tokens, on now or ended after `since`."""
    recent = Q(ended_at=None) | Q(ended_at__gte=since)
    return list(Call.objects.filter(recent, sfu_at__isnull=False).values_list("pk", flat=True))


def notices(organization: UUID, conversation: UUID) -> list[Notice]:
    """What everybody in a call of the conversation has to be told now."""
    policy = policy_of(organization)
    held = holds.is_held(organization, conversation)
    reasons: dict[Notice, bool] = {
        "recording": policy.recording,
        "monitoring": policy.monitoring,
        "hold": held,
    }
    return [notice for notice, is_so in reasons.items() if is_so]


def policy_of(organization: UUID) -> CallPolicy:
    """What the organization says that it does with calls; nothing, while it has said nothing."""
    return CallPolicy.objects.filter(pk=organization).first() or CallPolicy(pk=organization)


def policy(user: User) -> CallPolicy:
    """For everybody of the organization: it is what they are told."""
    return policy_of(user.organization_id)


def calls(user: User, conversation: UUID) -> list[Call]:
    """The last calls of a conversation of the user's, the latest first. Raises NotFound."""
    chat.membership(user, conversation)
    found = Call.objects.filter(conversation=conversation)
    return list(found.order_by("-started_at", "pk").prefetch_related("participants")[:PAGE])


def participant(user: User, pid: UUID) -> Participant:
    """Somebody, also who has left, in a room that the user may see. Raises NotFound."""
    found = Participant.objects.filter(pid=pid).first()
    if found is None:
        raise NotFound
    chat.membership(user, found.conversation_id)
    return found


def own(user: User, pid: UUID) -> Participant:
    """One's own row, also of a place that has ended. Raises NotFound."""
    found = Participant.objects.filter(pid=pid, user=user).first()
    if found is None:
        raise NotFound
    return found


def stay_kept(user: User, conversation: UUID) -> Membership:
    """The user's membership, which nobody ends before this transaction does. Raises NotFound."""
    found = (
        Membership.objects.select_for_update(of=("self",), no_key=True)
        .filter(conversation=conversation, user=user, left_at=None)
        .select_related("conversation")
        .first()
    )
    if found is None:
        raise NotFound
    return found


def rooms_of(user: User, device: UUID) -> set[UUID]:
    """In which room, if any, this device of the user is now."""
    found = Participant.objects.filter(user=user, device=device, left_at=None)
    return set(found.values_list("conversation_id", flat=True))


def there(pid: UUID, *, lock: bool = False) -> Participant | None:
    """For the sweep: somebody who has not left; `lock` until the end of the transaction."""
    found = Participant.objects.filter(pid=pid, left_at=None).select_related("conversation")
    return (found.select_for_update(of=("self",), no_key=True) if lock else found).first()


def present(holders: Collection[Holder], *, lock: bool = False) -> set[Holder]:
    """Those of the holders who are in a room, in that generation; `lock` as in `there`."""
    found = Participant.objects.filter(pid__in=[one.pid for one in holders], left_at=None)
    if lock:
        found = found.select_for_update(no_key=True)
    known = set(found.order_by("pid").values_list("pid", "gen", "user_id"))
    return {one for one in holders if (one.pid, one.gen, one.user) in known}


def rosters(conversations: Collection[str]) -> dict[str, dict[str, int]]:
    """For the gateway: of each conversation, the living and their generations."""
    found: dict[str, dict[str, int]] = {one: {} for one in conversations}
    rows = Participant.objects.filter(conversation__in=set(map(UUID, conversations)), left_at=None)
    for conversation, pid, gen in rows.values_list("conversation_id", "pid", "gen"):
        found[str(conversation)][str(pid)] = gen
    return found


def living() -> list[Living]:
    """For the sweep: everybody who is in any room."""
    stays = Membership.objects.filter(
        user=OuterRef("user"), conversation=OuterRef("conversation"), left_at=None
    )
    rows = (
        Participant.objects.filter(left_at=None)
        .annotate(may_stay=Exists(stays) & Q(user__is_active=True))
        .order_by("pid")
    )
    return [Living(*row) for row in rows.values_list("pid", "gen", "user_id", "may_stay")]


def house(
    conversations: Iterable[UUID], pid: UUID, *, held_by: tuple[User, UUID] | None = None
) -> House:
    """For services, under the rooms' locks: everybody in these rooms, and wherever they are,
    `pid` and the place that a (user, device) holds."""
    wanted = Q(conversation__in=set(conversations), left_at=None) | Q(pid=pid)
    if held_by is not None:
        user, device = held_by
        wanted |= Q(user=user, device=device, left_at=None)
    return House(place_of(row) for row in Participant.objects.filter(wanted).order_by("joined_at"))


def place_of(row: Participant) -> Place:
    return Place(
        pid=row.pid,
        conversation=row.conversation_id,
        user=row.user_id,
        device=row.device,
        identity=Identity(row.key, row.fingerprint, row.signature),
        at=timestamp(row.joined_at),
        gen=row.gen,
        muted=row.muted,
        muted_by=row.muted_by_id,
        screen=row.screen,
        video=row.video,
        reason=cast(LeaveReason, row.reason) if row.left_at else None,
    )


def in_call(call: UUID, pid: UUID) -> bool:
    """Whether the participant is, or was, in that call."""
    return Participant.objects.filter(pid=pid, call=call).exists()
