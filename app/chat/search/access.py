"""What a person may search: the conversations that they belong to now, as for reading them."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from uuid import UUID

from app.accounts import access as accounts
from app.accounts.models import User
from app.chat.models import Conversation, Kind, Membership, Message
from app.chat.search.finding import EARLIEST, LATEST, Criteria, Found, Place, find
from app.chat.search.models import IndexState, SearchIndex
from app.chat.search.query import Query, wrong
from app.chat.search.words import words_of
from app.encryption.fields import prefetch_data_keys, token
from app.errors import NotFound

PAGE = 20
MAX_PAGE = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for and where; `conversations` None: wherever the searcher may look."""

    criteria: Criteria
    conversations: frozenset[UUID] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Hits with their texts, the newest first; `next` is where to go on, if anywhere.

    `indexed` is False while all or some of the messages have to be opened and looked at.
    """

    messages: list[tuple[Message, str]]
    next: Place | None
    indexed: bool
    opened: int


def search(user: User, wanted: Wanted, *, before: Place = LATEST, limit: int = PAGE) -> Page:
    """Search what the user may read. Raises NotFound for a conversation that is not theirs."""
    mine = _mine(user)
    chosen = mine if wanted.conversations is None else wanted.conversations
    if not mine.issuperset(chosen):
        raise NotFound
    return search_in(user.organization_id, chosen, wanted.criteria, before=before, limit=limit)


def search_in(
    organization: UUID,
    conversations: Collection[UUID],
    criteria: Criteria,
    *,
    before: Place = LATEST,
    limit: int = PAGE,
) -> Page:
    """The same in conversations of the organization that the caller has decided on."""
    indexed, turned = _reach(organization)
    if criteria.authors is not None:
        conversations = _stays_of(criteria.authors, conversations)
    found = find(organization, conversations, criteria, indexed=indexed, before=before, limit=limit)
    if _reach(organization)[1] != turned:
        # Turned meanwhile: what was looked up may have been on its way out of the index.
        return search_in(organization, conversations, criteria, before=before, limit=limit)
    return Page(_with_messages(found), found.next, indexed == EARLIEST, found.opened)


def wanted_by(user: User, query: Query, zone: tzinfo) -> Wanted:
    """The query with its names looked up among the user's people and conversations.

    Days begin at midnight in `zone`. Raises Invalid for a name that fits nobody.
    """
    return understood(user, query, zone, lambda: _named_conversations(user))


def understood(
    user: User,
    query: Query,
    zone: tzinfo,
    conversations: Callable[[], Iterable[tuple[UUID, str]]],
) -> Wanted:
    """The same among `conversations`, with what they are called."""
    authors = where = None
    if query.people:
        people = [(person.pk, person.display_name) for person in accounts.people(user)]
        authors = _called(query.people, [*people, (user.pk, "me")], "Nobody is called that.")
    if query.conversations:
        none = "No conversation of yours is called that."
        where = _called(query.conversations, conversations(), none)
    criteria = Criteria(
        phrases=query.phrases,
        authors=authors,
        since=_midnight(query.after, zone),
        until=_midnight(query.before, zone),
    )
    return Wanted(criteria, where)


def _mine(user: User) -> frozenset[UUID]:
    stays = Membership.objects.filter(user=user, left_at=None)
    return frozenset(stays.values_list("conversation_id", flat=True))


def _stays_of(people: Collection[UUID], conversations: Collection[UUID]) -> set[UUID]:
    """Where any of these people belong or once did: they wrote nowhere else."""
    stays = Membership.objects.filter(user__in=people, conversation__in=conversations)
    return set(stays.values_list("conversation_id", flat=True))


def _reach(organization: UUID) -> tuple[Place, datetime | None]:
    """How far back the organization's index is whole, and when it was turned on or off."""
    index = SearchIndex.objects.filter(pk=organization).first()
    if index is None:
        return EARLIEST, None
    if index.state == IndexState.COMPLETE:
        return EARLIEST, index.changed_at
    if index.state == IndexState.BUILDING and index.reached_at and index.reached_id:
        return Place(index.reached_at, index.reached_id), index.changed_at
    return LATEST, index.changed_at


def _with_messages(found: Found) -> list[tuple[Message, str]]:
    rows = Message.objects.in_bulk([hit.message for hit in found.hits])
    return [(rows[hit.message], hit.text) for hit in found.hits]


def _named_conversations(user: User) -> Iterable[tuple[UUID, str]]:
    """The user's conversations with their names; a direct one is called by its people."""
    rows = list(Conversation.objects.filter(pk__in=_mine(user)))
    prefetch_data_keys([token(row, "name") for row in rows])
    yield from ((row.pk, row.name) for row in rows if row.kind != Kind.DIRECT)
    direct = [row.pk for row in rows if row.kind == Kind.DIRECT]
    others = Membership.objects.filter(conversation__in=direct).exclude(user=user)
    for stay in others.select_related("user"):
        yield stay.conversation_id, stay.user.display_name


def _called(
    names: Collection[str], known: Iterable[tuple[UUID, str]], nobody: str
) -> frozenset[UUID]:
    """Everybody whose name has a word that begins with each word of one of `names`."""
    given = [words_of(name) for name in names]
    found = {
        pk for pk, name in known if any(words and _fits(words, words_of(name)) for words in given)
    }
    if not found:
        raise wrong(nobody)
    return frozenset(found)


def _fits(words: list[str], name: list[str]) -> bool:
    return all(any(part.startswith(word) for part in name) for word in words)


def _midnight(day: date | None, zone: tzinfo) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=zone)
