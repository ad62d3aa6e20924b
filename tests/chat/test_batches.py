"""A batch is a matter of speed alone: what it leaves behind, and what it answers, is what the
same messages leave behind and are answered one by one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from app.accounts.models import User
from app.audit.models import Entry
from app.chat.models import Attachment, Message, MessageVersion
from app.chat.search.models import SearchTokens
from app.chat.services import Author, Draft, send_messages
from app.encryption.fields import opened
from app.errors import Conflict, DomainError, Unauthenticated
from app.realtime.models import Stream, StreamEvent
from app.realtime.protocol import Ack
from tests.chat.attachments.files import uploaded
from tests.chat.talk import room, say

IDS = [UUID(int=number) for number in range(1, 7)]
NOBODYS = UUID(int=999)
BODIES = [
    "one",
    'quote " and \\ and {}, NULL',
    "naïve \N{SNOWMAN} 日本語",
    "\0",
    " ",
    "x" * 9000,
    "",
]


class Wish(NamedTuple):
    """A draft in small numbers, that do not depend on ids made at random."""

    author: int
    conversation: int
    id: int
    body: int
    thread: int | None
    files: list[int]


ids = st.integers(0, len(IDS) - 1)
plain = st.builds(
    Wish, st.integers(0, 1), st.integers(0, 1), ids, st.integers(0, 2), st.none(), st.just([])
)
odd = st.builds(
    Wish,
    author=st.sampled_from([0, 0, 1, 2]),
    conversation=st.sampled_from([0, 0, 0, 1, 2]),
    id=ids,
    body=st.sampled_from([0, 0, 1, 2, 3, 4, 5, 6]),
    thread=st.sampled_from([None, None, 0, 1, 6, 7, 8, 9]),
    files=st.sampled_from([[], [], [], [0], [1], [1, 0], [0, 0], [2], [3]]),
)
wishes = st.lists(plain | odd, min_size=2, max_size=8)
A_THREAD_AT_ONCE = [
    Wish(0, 0, 0, 0, None, []),
    Wish(1, 0, 1, 0, 0, []),
    Wish(0, 0, 2, 0, 1, []),
    Wish(0, 1, 3, 0, 0, []),
    Wish(0, 1, 4, 1, None, []),
]
ONE_FILE_TWICE = [
    Wish(0, 0, 0, 0, None, [1, 0]),
    Wish(0, 0, 1, 0, None, [0]),
    Wish(0, 0, 0, 0, None, [1, 0]),
    Wish(0, 0, 0, 0, None, [0]),
]
A_CONFLICT_TAKES_NO_FILE = [
    Wish(0, 0, 0, 0, None, []),
    Wish(0, 0, 0, 0, None, [0]),
    Wish(0, 0, 1, 0, None, [0]),
]
ANOTHER_TEXT = [Wish(0, 0, 0, 0, None, []), Wish(0, 0, 0, 1, None, [])]


def left_behind() -> dict[str, list[Any]]:
    """All that sending writes, without what is made anew each time: versions' ids, entries'
    numbers, salts, times; but with how these belong together."""
    versions = MessageVersion.objects.select_related("message").order_by("entry_id")
    entries = {entry.pk: entry for entry in Entry.objects.filter(action_name="message:sent")}
    events = StreamEvent.objects.filter(type="message.created").order_by("stream", "offset")
    return {
        "said": [_said(version, entries.pop(version.entry_id)) for version in versions],
        "entries of nothing": list(entries),
        "messages": list(
            Message.objects.order_by("pk").values_list(
                "pk", "conversation", "author", "thread", "offset", "revision", "deleted_at"
            )
        ),
        "tops": list(Stream.objects.order_by("name").values_list("name", "top")),
        "events": [(event.stream_id, event.offset, _belongs(event.data)) for event in events],
        "words": list(
            SearchTokens.objects.order_by("pk").values_list(
                "pk", "conversation_id", "author_id", "key_id", "words"
            )
        ),
        "files": list(Attachment.objects.order_by("pk").values_list("pk", "message", "position")),
    }


def _said(version: MessageVersion, entry: Entry) -> tuple[Any, ...]:
    document = entry.document
    assert document["after"].pop("version") == str(version.pk)
    assert document["after"].pop("content") == opened(version, "body").commitment.hex()
    assert (version.at, version.editor_id) == (
        version.message.created_at,
        version.message.author_id,
    )
    for made in ("id", "time"):
        del document[made]
    return (
        version.message_id, version.organization_id, version.conversation_id, version.revision,
        version.kind, version.body, document, entry.scope_id, entry.actor_id, entry.target_id,
    )  # fmt: skip


def _belongs(data: dict[str, Any]) -> dict[str, Any]:
    version = MessageVersion.objects.get(message=UUID(data["id"]), revision=data["revision"])
    assert data.pop("entry") == version.entry_id
    del data["at"]
    return data


def _answer(outcome: Ack | DomainError) -> tuple[Any, ...]:
    if isinstance(outcome, DomainError):
        return type(outcome).__name__, outcome.message
    version = MessageVersion.objects.get(message=UUID(outcome.id))
    entry = Entry.objects.get(pk=outcome.entry)
    assert (outcome.entry, outcome.leaf_hash) == (version.entry_id, entry.leaf_hash.hex())
    return outcome.id, outcome.conversation, outcome.offset, outcome.revision


def undone(send: Callable[[], Sequence[Ack | DomainError]]) -> tuple[list[Any], dict[str, Any]]:
    """What is answered and left behind; then it never was."""
    with transaction.atomic():
        answers = [_answer(outcome) for outcome in send()]
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        found = left_behind()
        transaction.set_rollback(True)
    return answers, found


@pytest.fixture
def draft(
    alice: User, bob: User, mallory: User, tmp_path: Path, settings: Settings
) -> Callable[[Wish], Draft]:
    """Two rooms with two messages and a reply, and files: two whole ones and one of bob's."""
    settings.ATTACHMENT_STORAGE = f"file://{tmp_path}/attachments"
    ward, desk = room(alice, bob), room(alice, bob, name="desk")
    earlier = [UUID(say(alice, ward, "before").id), UUID(say(bob, desk, "elsewhere").id)]
    reply = say(bob, ward, "to that", thread=earlier[0])
    threads = [*IDS, *earlier, UUID(reply.id), NOBODYS]
    files = [
        UUID(uploaded(uploader, ward, b"%PDF-1.7 " + bytes([number]), "a.pdf").id)
        for number, uploader in enumerate((alice, alice, bob))
    ]
    people, rooms = (alice, bob, mallory), (ward.pk, desk.pk, NOBODYS)

    def made(wish: Wish) -> Draft:
        return Draft(
            people[wish.author],
            rooms[wish.conversation],
            str(IDS[wish.id]),
            BODIES[wish.body],
            None if wish.thread is None else threads[wish.thread],
            attachments=tuple([*files, NOBODYS][number] for number in wish.files),
        )

    return made


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(wishes=wishes)
@example(wishes=A_THREAD_AT_ONCE)
@example(wishes=ONE_FILE_TWICE)
@example(wishes=A_CONFLICT_TAKES_NO_FILE)
@example(wishes=ANOTHER_TEXT)
def test_a_batch_leaves_what_its_messages_leave_one_by_one(
    wishes: list[Wish], draft: Callable[[Wish], Draft]
) -> None:
    drafts = [draft(wish) for wish in wishes]
    together = undone(lambda: send_messages(drafts))
    one_by_one = undone(lambda: [send_messages([each])[0] for each in drafts])
    assert together == one_by_one


@pytest.mark.usefixtures("db")
def test_who_may_not_use_parley_is_refused_alone_whatever_was_known_of_them_before(
    alice: User, bob: User, eve: User
) -> None:
    ward = room(alice, bob)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    somebody = Author(uuid4(), alice.organization_id)
    moved = Author(alice.pk, eve.organization_id)
    authors: list[User | Author] = [
        alice,
        bob,
        Author(bob.pk, bob.organization_id),
        somebody,
        moved,
    ]
    first, *others = send_messages(
        [Draft(author, ward.pk, str(IDS[number]), "hello") for number, author in enumerate(authors)]
    )
    assert isinstance(first, Ack)
    assert [type(outcome) for outcome in others] == [Unauthenticated] * 4
    assert Message.objects.filter(conversation=ward).count() == 1


@pytest.mark.usefixtures("db")
def test_the_same_message_twice_at_once_is_one_however_its_author_is_known(
    alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    author = Author(alice.pk, alice.organization_id)
    first, again, other = send_messages(
        [Draft(who, ward.pk, str(IDS[0]), "hello") for who in (alice, author, bob)]
    )
    assert isinstance(first, Ack)
    assert again == first
    assert isinstance(other, Conflict)
    assert send_messages([Draft(author, ward.pk, str(IDS[0]), "hello")]) == [first]
