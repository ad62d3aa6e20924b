"""Every read of rooms: the asker comes first. Who is not a member gets NotFound."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.db.models.expressions import RawSQL

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
from app.voice.models import Call, CallPolicy, Connection, Participant
from app.voice.rooms import House, Identity, Place, Town

PAGE = 50

Pair = tuple[UUID, UUID]


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


def calls_on(conversations: Collection[UUID]) -> dict[UUID, Call]:
    """For services: of each conversation the call that is on in its room, where one is."""
    found = Call.objects.filter(conversation__in=conversations, ended_at=None)
    return {call.conversation_id: call for call in found}


def sizes(conversations: Collection[UUID]) -> Counter[UUID]:
    """For services: how many are in the room of each."""
    found = Participant.objects.filter(conversation__in=conversations, left_at=None)
    return Counter(found.values_list("conversation_id", flat=True))


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
    return notices_of({conversation: organization})[conversation]


def notices_of(conversations: Mapping[UUID, UUID]) -> dict[UUID, list[Notice]]:
    """The same for many; each comes with its organization."""
    policies = CallPolicy.objects.in_bulk(set(conversations.values()))
    held = holds.held_among(conversations)
    found: dict[UUID, list[Notice]] = {}
    for conversation, organization in conversations.items():
        policy = policies.get(organization) or CallPolicy(pk=organization)
        reasons: dict[Notice, bool] = {
            "recording": policy.recording,
            "monitoring": policy.monitoring,
            "hold": conversation in held,
        }
        found[conversation] = [notice for notice, is_so in reasons.items() if is_so]
    return found


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


def stays_kept(pairs: Collection[Pair]) -> dict[Pair, Membership]:
    """Of (user, conversation) pairs the memberships that there are, which nobody ends before this
    transaction does; locked in one order."""
    named = RawSQL(
        "SELECT m.id FROM unnest(%s::uuid[], %s::uuid[]) AS w(who, place) "
        "JOIN chat_membership m ON m.user_id = w.who AND m.conversation_id = w.place "
        "WHERE m.left_at IS NULL",
        [[user for user, _ in pairs], [conversation for _, conversation in pairs]],
    )
    found = (
        Membership.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk__in=named, left_at=None)
        .select_related("conversation")
        .order_by("pk")
    )
    return {(row.user_id, row.conversation_id): row for row in found}


def whereabouts(pids: Collection[UUID], devices: Collection[Pair]) -> list[Participant]:
    """For services: these participants, and those that (user, device) pairs are now."""
    held = Q(
        user__in={user for user, _ in devices},
        device__in={device for _, device in devices},
        left_at=None,
    )
    found = Participant.objects.filter(held | Q(pid__in=pids))
    return [row for row in found if row.pid in pids or (row.user_id, row.device) in devices]


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


def house(conversations: Iterable[UUID], pid: UUID) -> House:
    """For services, under the rooms' locks: everybody in these rooms, and `pid` wherever it is."""
    wanted = Q(conversation__in=set(conversations), left_at=None) | Q(pid=pid)
    return House(place_of(row) for row in Participant.objects.filter(wanted).order_by("joined_at"))


def town(
    conversations: Collection[UUID], pids: Collection[UUID], devices: Collection[Pair]
) -> Town:
    """For services, under the rooms' locks: everybody in these rooms, and wherever they are,
    `pids` and the places that (user, device) pairs hold."""
    there = Participant.objects.filter(conversation__in=conversations, left_at=None)
    rows = {row.pid: row for row in (*there, *whereabouts(pids, devices))}
    return Town(map(place_of, rows.values()))


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


def connections(pids: Collection[UUID]) -> dict[UUID, list[Connection]]:
    """For services: what each of these participants reported of its connections."""
    found: dict[UUID, list[Connection]] = {}
    for row in Connection.objects.filter(participant__in=pids).order_by("peer"):
        found.setdefault(row.participant_id, []).append(row)
    return found


def in_call(call: UUID, pid: UUID) -> bool:
    """Whether the participant is, or was, in that call."""
    return Participant.objects.filter(pid=pid, call=call).exists()
