"""Who belongs where. A non-member gets NotFound, as if there were nothing."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q, QuerySet

from app.accounts.models import User
from app.chat.models import Conversation, Kind, Membership
from app.errors import NotFound


def membership(user: User, conversation: UUID) -> Membership:
    """The user's present membership. Raises NotFound for anybody else's conversation."""
    found = (
        present(Membership.objects.filter(conversation=conversation, user=user))
        .select_related("conversation")
        .first()
    )
    if found is None:
        raise NotFound
    return found


def joinable(user: User, conversation: UUID) -> Conversation:
    """A public conversation of the user's organization. Raises NotFound."""
    found = Conversation.objects.filter(
        pk=conversation, organization=user.organization_id, kind=Kind.PUBLIC
    ).first()
    if found is None:
        raise NotFound
    return found


def members(user: User, conversation: UUID) -> list[Membership]:
    """Who belongs to the conversation now, in the order of joining."""
    membership(user, conversation)
    return list(present(Membership.objects.filter(conversation=conversation)).order_by("joined_at"))


def may_listen(pairs: Collection[tuple[User, UUID]]) -> set[tuple[UUID, UUID]]:
    """Of (user, conversation) pairs, those where the user is a member now; one query."""
    found = present(
        Membership.objects.filter(
            user__in={user.pk for user, _ in pairs},
            conversation__in={conversation for _, conversation in pairs},
        )
    ).values_list("user_id", "conversation_id")
    return set(found)


def present(found: QuerySet[Membership]) -> QuerySet[Membership]:
    """Those that last."""
    return found.filter(left_at=None)


def mine(prefix: str, user: User) -> Q:
    """Rows of conversations (named by `prefix`) that the user belongs to now."""
    return Q(**{f"{prefix}memberships__user": user, f"{prefix}memberships__left_at": None})
