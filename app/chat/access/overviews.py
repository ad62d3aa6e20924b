"""The list of conversations, as one person sees it."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Max, OuterRef, Subquery

from app.accounts.models import User
from app.chat.access.memberships import present
from app.chat.models import Conversation, Kind, Membership, Message
from app.encryption.fields import prefetch_data_keys, token
from app.errors import NotFound
from app.realtime.access import Place, places
from app.realtime.services import conversation_stream


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation as one person sees it in their list."""

    conversation: Conversation
    membership: Membership | None
    size: int
    people: list[UUID]
    position: Place
    unread: int
    last_at: datetime | None


def conversations(user: User) -> list[ConversationView]:
    """The user's conversations and those that are open to them, the latest first."""
    mine = {
        row.conversation_id: row
        for row in present(Membership.objects.filter(user=user)).select_related("conversation")
    }
    public = Conversation.objects.filter(
        organization=user.organization_id, kind=Kind.PUBLIC
    ).exclude(pk__in=mine)
    found = [row.conversation for row in mine.values()] + list(public)
    return sorted(_overviews(user, found, mine), key=_recency, reverse=True)


def conversation(user: User, conversation_id: UUID) -> ConversationView:
    """One of them. Raises NotFound for a conversation that the user cannot see."""
    found = Conversation.objects.filter(pk=conversation_id).first()
    mine = present(Membership.objects.filter(conversation=conversation_id, user=user)).first()
    if found is None or (mine is None and not _open_to(user, found)):
        raise NotFound
    return _overviews(user, [found], {found.pk: mine} if mine else {})[0]


def unread(membership: Membership) -> int:
    """How many messages of others the member has not read."""
    return _unread([membership.pk]).get(membership.conversation_id, 0)


def place(conversation: UUID) -> Place:
    """Where the conversation's stream stands."""
    stream = conversation_stream(conversation)
    return places([stream])[stream]


def _open_to(user: User, conversation: Conversation) -> bool:
    return conversation.organization_id == user.organization_id and conversation.kind == Kind.PUBLIC


def _recency(view: ConversationView) -> tuple[datetime, str]:
    return (view.last_at or view.conversation.created_at, str(view.conversation.pk))


def _overviews(
    user: User, found: Sequence[Conversation], mine: dict[UUID, Membership]
) -> list[ConversationView]:
    ids = [conversation.pk for conversation in found]
    prefetch_data_keys([token(row, "name") for row in found])
    at = places([conversation_stream(pk) for pk in ids])
    unread_counts = _unread([row.pk for row in mine.values()])
    last = dict(
        Message.objects.filter(conversation__in=ids, thread=None)
        .values_list("conversation")
        .annotate(last=Max("created_at"))
    )
    direct = [row.pk for row in found if row.kind == Kind.DIRECT]
    people: dict[UUID, list[UUID]] = defaultdict(list)
    for pk, person in present(Membership.objects.filter(conversation__in=direct)).values_list(
        "conversation_id", "user_id"
    ):
        people[pk].append(person)
    sizes = dict(
        present(Membership.objects.filter(conversation__in=ids))
        .values_list("conversation")
        .annotate(size=Count("pk"))
    )
    return [
        ConversationView(
            row,
            mine.get(row.pk),
            sizes.get(row.pk, 0),
            people[row.pk],
            at[conversation_stream(row.pk)],
            unread_counts.get(row.pk, 0),
            last.get(row.pk),
        )
        for row in found
    ]


def _unread(memberships: Collection[int]) -> dict[UUID, int]:
    others = (
        Message.objects.filter(
            conversation=OuterRef("conversation"),
            offset__gt=OuterRef("read_offset"),
            thread=None,
            deleted_at=None,
        )
        .exclude(author=OuterRef("user"))
        .order_by()
        .values("conversation")
        .annotate(count=Count("pk"))
        .values("count")
    )
    stays = Membership.objects.filter(pk__in=memberships).annotate(unread=Subquery(others))
    return {pk: count or 0 for pk, count in stays.values_list("conversation_id", "unread")}
