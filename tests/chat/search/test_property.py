"""Whatever was said and whatever is asked: a search finds what reading everything would find."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.accounts.models import User
from app.chat import services
from app.chat.models import Message
from app.chat.search import access, finding
from app.chat.search.access import Wanted
from app.chat.search.finding import LATEST, Criteria, Place
from app.chat.search.models import IndexState, SearchIndex, SearchTokens
from app.chat.search.words import says, words_of
from app.encryption.keyring import KeyRing
from tests.chat.talk import room, say

WORDS = ["bed", "ward", "BED", "3.4", "straße", "中文", "文中", "don't"]
BEGIN = datetime(2026, 8, 1, tzinfo=UTC)
phrases = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=2), max_size=2)
# Who says what, where; what becomes of it; in which month, and on which of its first days.
said = st.tuples(
    st.integers(0, 1),
    st.integers(0, 2),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4),
    st.sampled_from(["kept", "kept", "edited", "deleted"]),
    st.integers(0, 2),
    st.integers(0, 3),
)
days = st.none() | st.integers(-1, 100)


sealing_in = [BEGIN.date()]
"""The month whose keys seal."""


@pytest.fixture(autouse=True)
def little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few messages go through every way of being found."""
    for name, value in {
        "NEWEST": 1,
        "CHUNKS": (1, 2),
        "CANDIDATES": 2,
        "WAVE": 1,
        "DENSE": 3,
    }.items():
        monkeypatch.setattr(finding, name, value)
    monkeypatch.setattr(KeyRing, "_this_month", lambda _: sealing_in[0])


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    corpus=st.lists(said, min_size=1, max_size=8),
    asked=phrases,
    author=st.none() | st.integers(0, 1),
    bounds=st.tuples(days, days),
    indexed=st.none() | st.integers(0, 8),
    limit=st.integers(1, 4),
)
@example(  # an old message that was edited is found first, and must wait for a newer one
    corpus=[
        (0, 0, ["bed"], "edited", 0, 0),
        (0, 0, ["bed"], "kept", 1, 0),
        (0, 0, ["ward"], "kept", 2, 0),
    ],
    asked=[["bed"]],
    author=None,
    bounds=(None, None),
    indexed=None,
    limit=1,
)
@pytest.mark.usefixtures("db")
def test_a_search_finds_what_reading_everything_finds(
    alice: User,
    bob: User,
    corpus: list[Any],
    asked: list[list[str]],
    author: int | None,
    bounds: tuple[int | None, int | None],
    indexed: int | None,
    limit: int,
) -> None:
    with transaction.atomic():
        people = [alice, bob]
        rooms = [room(alice, bob), room(bob, alice), room(bob)]  # alice is not in the last
        read = list(_say(corpus, people, rooms))
        if indexed is not None:
            _index_reaches(alice, min(indexed, len(read) - 1), read)
        wanted = [tuple(word for part in some for word in words_of(part)) for some in asked]
        since, until = (None if day is None else BEGIN + timedelta(days=day) for day in bounds)
        criteria = Criteria(
            phrases=wanted,
            authors=None if author is None else frozenset([people[author].pk]),
            since=since,
            until=until,
        )
        expected = [
            message.pk
            for message, text in sorted(read, key=lambda one: one[0].created_at, reverse=True)
            if text is not None and _fits(message, text, criteria, {rooms[0].pk, rooms[1].pk})
        ]
        assert _found(alice, criteria, limit) == expected
        transaction.set_rollback(True)


def _say(
    corpus: list[Any], people: list[User], rooms: list[Any]
) -> Iterator[tuple[Message, str | None]]:
    for number, (who, where, words, fate, month, day) in enumerate(corpus):
        sealing_in[0] = date(2026, 8 + month, 1)
        author = people[who] if where < 2 else people[1]
        text: str | None = " ".join(words)
        pk = UUID(say(author, rooms[where], text or "").id)
        # Not in the order of sending: an index must not rely on it.
        at = datetime(2026, 8 + month, 1 + day, 0, 0, number, tzinfo=UTC)
        for model in (Message, SearchTokens):
            model.objects.filter(pk=pk).update(created_at=at)
        if fate == "edited":
            text = " ".join(reversed(words)) + " edited"
            sealing_in[0] = date(2026, 11, 1)
            services.edit_message(editor=author, message_id=pk, body=text, revision=1)
        if fate == "deleted":
            with connection.cursor() as cursor:  # not before it was sent
                cursor.execute(
                    "UPDATE chat_message SET created_at = now() - interval '1 day' WHERE id = %s",
                    [pk],
                )
            services.delete_message(editor=author, message_id=pk)
            text = None
        yield Message.objects.get(pk=pk), text


def _index_reaches(user: User, number: int, read: list[tuple[Message, str | None]]) -> None:
    """As while it is being built: nothing older than one message is in it."""
    places = sorted((message.created_at, message.pk) for message, _ in read)
    at, pk = places[number]
    SearchTokens.objects.filter(created_at__lt=at).delete()
    SearchIndex.objects.create(
        organization=user.organization,
        state=IndexState.BUILDING,
        reached_at=at,
        reached_id=pk,
        changed_at=BEGIN,
    )


def _fits(message: Message, text: str, criteria: Criteria, rooms: set[UUID]) -> bool:
    return (
        message.conversation_id in rooms
        and says(text, criteria.phrases)
        and (criteria.authors is None or message.author_id in criteria.authors)
        and (criteria.since is None or message.created_at >= criteria.since)
        and (criteria.until is None or message.created_at < criteria.until)
    )


def _found(user: User, criteria: Criteria, limit: int) -> list[UUID]:
    found: list[UUID] = []
    place: Place | None = LATEST
    while place is not None:
        page = access.search(user, Wanted(criteria), before=place, limit=limit)
        found += [message.pk for message, _ in page.messages]
        place = page.next
    return found
