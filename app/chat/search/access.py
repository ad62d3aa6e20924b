"""What a person may search: the conversations that they belong to now, as for reading them."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from app.accounts.models import User
from app.chat.models import Membership, Message
from app.chat.search.finding import EARLIEST, LATEST, Criteria, Found, Place, find
from app.chat.search.models import IndexState, SearchIndex
from app.errors import NotFound

PAGE = 20
MAX_PAGE = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Hits with their messages, the newest first; `next` is where to go on, if anywhere.

    `indexed` is False while all or some of the messages have to be opened and looked at.
    """

    messages: list[tuple[Message, str]]
    next: Place | None
    indexed: bool
    opened: int


def search(
    user: User,
    criteria: Criteria,
    *,
    conversations: Collection[UUID] | None = None,
    before: Place = LATEST,
    limit: int = PAGE,
) -> Page:
    """Search what the user may read: all of it, or some of their conversations.

    Raises NotFound for a conversation that they do not belong to.
    """
    mine = set(
        Membership.objects.filter(user=user, left_at=None).values_list("conversation_id", flat=True)
    )
    if conversations is not None and not mine.issuperset(conversations):
        raise NotFound
    chosen = mine if conversations is None else set(conversations)
    return search_conversations(user.organization_id, chosen, criteria, before=before, limit=limit)


def search_conversations(
    organization: UUID,
    conversations: Collection[UUID],
    criteria: Criteria,
    *,
    before: Place = LATEST,
    limit: int = PAGE,
) -> Page:
    """The same for conversations that somebody else has decided on: see `compliance`."""
    indexed = reach(organization)
    found = find(organization, conversations, criteria, indexed=indexed, before=before, limit=limit)
    return Page(_with_messages(found), found.next, indexed == EARLIEST, found.opened)


def reach(organization: UUID) -> Place:
    """How far back the organization's index is whole."""
    index = SearchIndex.objects.filter(pk=organization).first()
    if index is None or index.state == IndexState.COMPLETE:
        return EARLIEST
    if index.state == IndexState.BUILDING and index.reached_at and index.reached_id:
        return Place(index.reached_at, index.reached_id)
    return LATEST


def _with_messages(found: Found) -> list[tuple[Message, str]]:
    rows = Message.objects.in_bulk([hit.message for hit in found.hits])
    return [(rows[hit.message], hit.text) for hit in found.hits]
