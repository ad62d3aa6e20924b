"""Beginning conversations, joining and leaving them, and marking them read."""

import hashlib
from collections.abc import Collection
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone

from app.accounts.access import person
from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.leaves import timestamp
from app.audit.services import Target, record
from app.chat import access
from app.chat.models import Conversation, Kind, MemberRole, Membership
from app.chat.services import text
from app.encryption.fields import seal_now
from app.errors import Conflict, Denied, Invalid
from app.realtime import protocol
from app.realtime import services as realtime
from app.realtime.services import conversation_stream, user_stream

MAX_MEMBERS_AT_START = 200


def start_conversation(
    *,
    creator: User,
    kind: str,
    name: str = "",
    topic: str = "",
    members: Collection[UUID] = (),
    conversation_id: UUID | None = None,
) -> tuple[Conversation, bool]:
    """Begin a conversation with `members`; returns it and whether it is new.

    Of the same people there is one direct conversation: it is found again. An id of the
    client's makes the call repeatable. Raises Invalid, NotFound (a person), Conflict.
    """
    require(creator, Permission.CONVERSATIONS_CREATE)
    if len(members) > MAX_MEMBERS_AT_START:
        raise Invalid(f"Begin with at most {MAX_MEMBERS_AT_START} people and add the others.")
    people = [person(creator, one) for one in sorted(set(members) - {creator.pk})]
    if any(not one.is_active for one in people):
        raise Invalid("Somebody you chose is no longer active.")
    direct = kind == Kind.DIRECT
    if direct and not people:
        raise Invalid("Choose somebody to talk with.")
    conversation = Conversation(
        id=conversation_id or uuid4(),
        organization=creator.organization,
        kind=Kind(kind),
        name="" if direct else text.name(name),
        topic="" if direct else text.topic(topic),
        direct_key=_direct_key([creator, *people]) if direct else None,
        created_by=creator,
    )
    try:
        with transaction.atomic():
            _create(conversation, creator, people)
    except IntegrityError:
        return _existing(conversation, creator), False
    return conversation, True


def _direct_key(people: Collection[User]) -> bytes:
    ids = sorted(one.pk.bytes for one in people)
    return hashlib.sha256(b"".join(ids)).digest()


def _existing(wanted: Conversation, creator: User) -> Conversation:
    """The direct conversation of the same people, or the one made by the same call before."""
    same = Conversation.objects.filter(organization=wanted.organization)
    if wanted.direct_key is not None:
        found = same.filter(direct_key=wanted.direct_key).first()
    else:
        found = same.filter(pk=wanted.pk, created_by=creator, kind=wanted.kind).first()
    if found is None:
        raise Conflict("This conversation id is taken: make another one.")
    return found


def _create(conversation: Conversation, creator: User, people: list[User]) -> None:
    name = seal_now(conversation, "name").commitment.hex()
    topic = seal_now(conversation, "topic").commitment.hex()
    conversation.save(force_insert=True)
    record(
        Action.CONVERSATION_CREATED,
        organization=creator.organization_id,
        actor=creator.actor,
        target=_target(conversation),
        scope=conversation.pk,
        after={"kind": str(conversation.kind), "name": name, "topic": topic},
    )
    owner = MemberRole.MEMBER if conversation.kind == Kind.DIRECT else MemberRole.OWNER
    _add(conversation, creator, by=creator, role=owner)
    for one in people:
        _add(conversation, one, by=creator, role=MemberRole.MEMBER)


def _target(conversation: Conversation) -> Target:
    return Target("conversation", str(conversation.pk))


def _add(conversation: Conversation, user: User, *, by: User, role: MemberRole) -> None:
    """Begin a stay, with everything said before counted as read."""
    now = timezone.now()
    reserved = realtime.reserve(conversation_stream(conversation.pk), 1)
    Membership.objects.create(
        conversation=conversation,
        user=user,
        role=role,
        joined_at=now,
        read_offset=reserved.first,
    )
    record(
        Action.MEMBER_JOINED if user == by else Action.MEMBER_ADDED,
        organization=by.organization_id,
        actor=by.actor,
        target=Target("user", str(user.pk), str(conversation.pk)),
        scope=conversation.pk,
        after={"role": str(role)},
    )
    event = protocol.MemberJoined(user=str(user.pk), by=str(by.pk), at=timestamp(now))
    realtime.append(reserved, [event])
    added = protocol.ConversationAdded(conversation=str(conversation.pk))
    realtime.emit(user_stream(user.pk), added)


@transaction.atomic
def join(*, user: User, conversation_id: UUID) -> None:
    """Join a public conversation; joining again changes nothing. Raises NotFound."""
    require(user, Permission.CONVERSATIONS_JOIN)
    conversation = access.joinable(user, conversation_id)
    realtime.lock([conversation_stream(conversation.pk)])
    if not _present(conversation.pk, user.pk):
        _add(conversation, user, by=user, role=MemberRole.MEMBER)


@transaction.atomic
def add_member(*, by: User, conversation_id: UUID, user_id: UUID) -> None:
    """Bring somebody of the same organization in; doing so again changes nothing.

    Raises NotFound, and Denied for a direct conversation, whose people are fixed.
    """
    conversation = access.membership(by, conversation_id).conversation
    if conversation.kind == Kind.DIRECT:
        raise Denied("A direct conversation keeps its people: begin another one.")
    user = person(by, user_id)
    if not user.is_active:
        raise Invalid("This person is no longer active.")
    realtime.lock([conversation_stream(conversation.pk)])
    if not _present(conversation.pk, user.pk):
        _add(conversation, user, by=by, role=MemberRole.MEMBER)


def _present(conversation: UUID, user: UUID) -> bool:
    found = Membership.objects.filter(conversation=conversation, user=user, left_at=None)
    return found.exists()


@transaction.atomic
def leave(*, user: User, conversation_id: UUID) -> None:
    """Leave a conversation; the last owner is followed by whoever has been there longest."""
    stay = access.membership(user, conversation_id)
    _require_leavable(stay.conversation)
    _end(stay.conversation, user.pk, by=user)


@transaction.atomic
def remove_member(*, by: User, conversation_id: UUID, user_id: UUID) -> None:
    """Put somebody out. Only an owner may. Raises NotFound, Denied."""
    stay = access.membership(by, conversation_id)
    _require_leavable(stay.conversation)
    if stay.role != MemberRole.OWNER:
        raise Denied("Only an owner of the conversation may remove people.")
    person(by, user_id)
    _end(stay.conversation, user_id, by=by)


def _require_leavable(conversation: Conversation) -> None:
    if conversation.kind == Kind.DIRECT:
        raise Denied("A direct conversation keeps its people.")


def _end(conversation: Conversation, user_id: UUID, *, by: User) -> None:
    # Under the stream's lock: no message of theirs is committed after their leaving.
    realtime.lock([conversation_stream(conversation.pk)])
    stay = conversation.memberships.filter(user=user_id, left_at=None).first()
    if stay is None:
        return
    now = timezone.now()
    stay.left_at = now
    stay.save(update_fields=["left_at"])
    record(
        Action.MEMBER_LEFT if user_id == by.pk else Action.MEMBER_REMOVED,
        organization=by.organization_id,
        actor=by.actor,
        target=Target("user", str(user_id), str(conversation.pk)),
        scope=conversation.pk,
        before={"role": stay.role},
    )
    event = protocol.MemberLeft(user=str(user_id), by=str(by.pk), at=timestamp(now))
    realtime.emit(conversation_stream(conversation.pk), event)
    removed = protocol.ConversationRemoved(conversation=str(conversation.pk))
    realtime.emit(user_stream(user_id), removed)
    _keep_an_owner(conversation, by)


def _keep_an_owner(conversation: Conversation, by: User) -> None:
    present = conversation.memberships.filter(left_at=None).order_by("joined_at", "pk")
    if present.filter(role=MemberRole.OWNER).exists():
        return
    heir = present.first()
    if heir is None:
        return
    heir.role = MemberRole.OWNER
    heir.save(update_fields=["role"])
    record(
        Action.MEMBER_ROLE_CHANGED,
        organization=by.organization_id,
        actor=by.actor,
        target=Target("user", str(heir.user_id), str(conversation.pk)),
        scope=conversation.pk,
        before={"role": str(MemberRole.MEMBER)},
        after={"role": str(MemberRole.OWNER)},
    )


@transaction.atomic
def change_conversation(
    *, user: User, conversation_id: UUID, name: str | None = None, topic: str | None = None
) -> None:
    """Rename a conversation or change its topic. Only an owner may. Raises NotFound, Denied."""
    stay = access.membership(user, conversation_id)
    conversation = stay.conversation
    if conversation.kind == Kind.DIRECT or stay.role != MemberRole.OWNER:
        raise Denied("Only an owner of the conversation may change its name or topic.")
    realtime.lock([conversation_stream(conversation.pk)])
    conversation.refresh_from_db()
    before = _described(conversation)
    name = conversation.name if name is None else text.name(name)
    topic = conversation.topic if topic is None else text.topic(topic)
    if (name, topic) == (conversation.name, conversation.topic):
        return
    # Both are sealed for the new revision, also the one that stays.
    conversation.revision += 1
    conversation.name, conversation.topic = name, topic
    after = _described(conversation)
    conversation.save(update_fields=["name", "topic", "revision"])
    record(
        Action.CONVERSATION_CHANGED,
        organization=user.organization_id,
        actor=user.actor,
        target=_target(conversation),
        scope=conversation.pk,
        before=before,
        after=after,
    )
    realtime.emit(conversation_stream(conversation.pk), protocol.ConversationChanged())


def _described(conversation: Conversation) -> dict[str, str]:
    return {
        "name": seal_now(conversation, "name").commitment.hex(),
        "topic": seal_now(conversation, "topic").commitment.hex(),
    }


@transaction.atomic
def mark_read(*, user: User, conversation_id: UUID, offset: int) -> protocol.ReadState:
    """Move one's own reading position forward, never back, and tell one's other devices.

    Not in the trail: it is the member's own bookmark (see the catalogue of actions).
    """
    stay = access.membership(user, conversation_id)
    stay = Membership.objects.select_for_update().get(pk=stay.pk)
    top = access.place(conversation_id).offset
    moved = min(offset, top)
    if moved > stay.read_offset:
        stay.read_offset = moved
        # A bookmark, not a change of who belongs here: the net has nothing to see.
        Membership.objects.filter(pk=stay.pk).update(read_offset=moved)
        state = _read_state(stay)
        event = protocol.ReadMoved(state.conversation, state.read, state.unread)
        realtime.emit(user_stream(user.pk), event)
        return state
    return _read_state(stay)


def _read_state(stay: Membership) -> protocol.ReadState:
    return protocol.ReadState(str(stay.conversation_id), stay.read_offset, access.unread(stay))
