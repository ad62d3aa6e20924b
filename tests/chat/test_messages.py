"""Sending, editing, deleting, reacting: what is kept, what is refused, what the trail says."""

import threading
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from app.accounts.models import User
from app.audit.models import Entry
from app.chat import access, services
from app.chat.models import MessageVersion, VersionKind
from app.chat.services import (
    Draft,
    delete_message,
    edit_message,
    react,
    send_message,
    send_messages,
)
from app.encryption.fields import opened
from app.errors import Conflict, Invalid, NotFound
from app.realtime.models import StreamEvent
from app.realtime.protocol import Ack
from tests.chat.talk import room, say
from tests.live import LiveDatabase


def entries(action: str) -> list[Entry]:
    return list(Entry.objects.filter(action_name=action).order_by("id"))


def test_a_sent_message_is_sealed_ordered_and_in_the_trail(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    first, second = say(alice, ward, "Bed 12 moved."), say(bob, ward, "Noted.")
    assert second.offset == first.offset + 1
    assert [view.body for view in access.timeline(bob, ward.pk).messages] == [
        "Bed 12 moved.",
        "Noted.",
    ]
    version = MessageVersion.objects.get(message=UUID(first.id))
    entry = entries("message:sent")[0]
    assert entry.pk == version.entry_id == first.entry
    assert entry.document["after"]["content"] == opened(version, "body").commitment.hex()
    assert entry.document["target"] == {"type": "message", "id": first.id, "parent": str(ward.pk)}
    assert first.leaf_hash == entry.leaf_hash.hex()


def test_no_byte_of_a_message_is_readable_in_the_tables(alice: User, bob: User) -> None:
    ward = room(alice, bob, name="canary-name")
    say(alice, ward, "canary-message")
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s', ["%canary%"])
            assert cursor.fetchone() == (0,), table


def test_the_same_send_again_gets_the_same_acknowledgement(alice: User, bob: User) -> None:
    ward, id_ = room(alice, bob), uuid4()
    first = say(alice, ward, "once", message_id=id_)
    assert say(alice, ward, "once", message_id=id_) == first
    assert len(access.timeline(alice, ward.pk).messages) == 1
    assert len(entries("message:sent")) == 1


def test_a_taken_id_with_another_text_is_a_conflict(alice: User, bob: User) -> None:
    ward, id_ = room(alice, bob), uuid4()
    say(alice, ward, "once", message_id=id_)
    with pytest.raises(Conflict):
        say(alice, ward, "twice", message_id=id_)
    with pytest.raises(Conflict):
        say(bob, ward, "once", message_id=id_)


def test_in_a_batch_each_message_has_its_own_outcome(alice: User, bob: User, mallory: User) -> None:
    ward, id_ = room(alice, bob), uuid4()
    outcomes = send_messages(
        [
            Draft(alice, ward.pk, str(id_), "one"),
            Draft(mallory, ward.pk, str(uuid4()), "let me in"),
            Draft(bob, ward.pk, str(uuid4()), "two"),
            Draft(alice, ward.pk, str(id_), "one"),
            Draft(alice, ward.pk, str(id_), "other text"),
            Draft(alice, ward.pk, str(uuid4()), " "),
        ]
    )
    assert [type(outcome) for outcome in outcomes] == [Ack, NotFound, Ack, Ack, Conflict, Invalid]
    assert outcomes[0] == outcomes[3]
    assert [view.body for view in access.timeline(bob, ward.pk).messages] == ["one", "two"]


@pytest.mark.parametrize("body", ["", " \n ", "x" * 16_001, "half \ud83d"])
def test_a_text_that_cannot_be_kept_is_refused(alice: User, bob: User, body: str) -> None:
    with pytest.raises(Invalid) as refusal:
        say(alice, room(alice, bob), body)
    assert "body" in refusal.value.fields


def test_a_member_of_another_conversation_cannot_send_or_read(
    alice: User, bob: User, mallory: User, eve: User
) -> None:
    ward = room(alice, bob)
    ack = say(alice, ward, "for us")
    for stranger in (mallory, eve):
        with pytest.raises(NotFound):
            say(stranger, ward, "hello")
        for look in (access.timeline, access.members):
            with pytest.raises(NotFound):
                look(stranger, ward.pk)
        for peek in (access.message, access.versions, access.receipt):
            with pytest.raises(NotFound):
                peek(stranger, UUID(ack.id))
        with pytest.raises(NotFound):
            react(user=stranger, message_id=UUID(ack.id), emoji="👍", on=True)


def test_who_left_can_no_longer_send_or_read(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    services.leave(user=bob, conversation_id=ward.pk)
    with pytest.raises(NotFound):
        say(bob, ward, "still here")
    with pytest.raises(NotFound):
        access.timeline(bob, ward.pk)


def test_an_edit_keeps_the_earlier_text_sealed_and_names_both_in_the_trail(
    alice: User, bob: User
) -> None:
    ack = say(alice, room(alice, bob), "3.4")
    edited = edit_message(editor=alice, message_id=UUID(ack.id), body="4.1", revision=1)
    assert edited.revision == 2
    texts = [(row.revision, row.body) for row in access.versions(alice, UUID(ack.id))]
    assert texts == [(1, "3.4"), (2, "4.1")]
    document = entries("message:edited")[0].document
    assert document["before"]["revision"] == 1
    assert document["before"]["content"] != document["after"]["content"]


def test_the_same_edit_again_gets_the_same_acknowledgement(alice: User, bob: User) -> None:
    ack = say(alice, room(alice, bob), "3.4")
    first = edit_message(editor=alice, message_id=UUID(ack.id), body="4.1", revision=1)
    again = edit_message(editor=alice, message_id=UUID(ack.id), body="4.1", revision=1)
    assert first == again


def test_an_edit_of_a_stale_revision_is_a_conflict(alice: User, bob: User) -> None:
    ack = say(alice, room(alice, bob), "3.4")
    edit_message(editor=alice, message_id=UUID(ack.id), body="4.1", revision=1)
    with pytest.raises(Conflict):
        edit_message(editor=alice, message_id=UUID(ack.id), body="5.0", revision=1)


def test_nobody_edits_or_deletes_what_another_wrote(alice: User, bob: User) -> None:
    ack = say(alice, room(alice, bob), "mine")
    with pytest.raises(NotFound):
        edit_message(editor=bob, message_id=UUID(ack.id), body="yours", revision=1)
    with pytest.raises(NotFound):
        delete_message(editor=bob, message_id=UUID(ack.id))


def test_a_deleted_message_shows_no_text_but_keeps_every_version(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    ack = say(alice, ward, "wrong room")
    delete_message(editor=alice, message_id=UUID(ack.id))
    delete_message(editor=alice, message_id=UUID(ack.id))
    view = access.timeline(bob, ward.pk).messages[0]
    assert view.body is None
    assert view.message.deleted_at is not None
    kinds = [(row.kind, row.body) for row in access.versions(alice, UUID(ack.id))]
    assert kinds == [(VersionKind.CREATED, "wrong room"), (VersionKind.DELETED, None)]
    assert len(entries("message:deleted")) == 1
    with pytest.raises(Conflict):
        edit_message(editor=alice, message_id=UUID(ack.id), body="again", revision=2)


def test_reacting_twice_is_reacting_once(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    ack = say(alice, ward, "good news")
    for _ in range(2):
        react(user=bob, message_id=UUID(ack.id), emoji="👍", on=True)
    assert access.timeline(alice, ward.pk).messages[0].reactions == {"👍": [bob.pk]}
    for _ in range(2):
        react(user=bob, message_id=UUID(ack.id), emoji="👍", on=False)
    assert access.timeline(alice, ward.pk).messages[0].reactions == {}
    assert (len(entries("reaction:added")), len(entries("reaction:removed"))) == (1, 1)


@pytest.mark.parametrize("emoji", ["👍", "👩‍⚕️", "❤️", "🇩🇪", "1️⃣", "👍🏽"])
def test_any_emoji_is_a_reaction(emoji: str, alice: User, bob: User) -> None:
    ack = say(alice, room(alice, bob), "good news")
    react(user=bob, message_id=UUID(ack.id), emoji=emoji, on=True)


@pytest.mark.parametrize("words", ["yes", "👍 ok", "12", "", "<b>"])
def test_words_are_no_reaction(words: str, alice: User, bob: User) -> None:
    ack = say(alice, room(alice, bob), "good news")
    with pytest.raises(Invalid):
        react(user=bob, message_id=UUID(ack.id), emoji=words, on=True)


def test_a_reply_belongs_to_a_message_of_the_same_conversation(alice: User, bob: User) -> None:
    ward, other = room(alice, bob), room(alice, bob, name="other")
    root = say(alice, ward, "question")
    reply = say(bob, ward, "answer", thread=UUID(root.id))
    with pytest.raises(NotFound):
        say(bob, other, "answer", thread=UUID(root.id))
    with pytest.raises(Invalid):
        say(bob, ward, "nested", thread=UUID(reply.id))
    main = access.timeline(alice, ward.pk).messages
    assert [(view.body, view.replies) for view in main] == [("question", 1)]
    thread = access.timeline(alice, ward.pk, thread=UUID(root.id)).messages
    assert [view.body for view in thread] == ["question", "answer"]


def test_pages_by_offset_are_complete_and_do_not_overlap(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    send_messages([Draft(alice, ward.pk, str(uuid4()), str(number)) for number in range(25)])
    seen: list[str | None] = []
    page = access.timeline(bob, ward.pk, limit=10)
    while True:
        seen = [view.body for view in page.messages] + seen
        if not page.more:
            break
        before = page.messages[0].message.offset
        page = access.timeline(bob, ward.pk, before=before, limit=10)
    assert seen == [str(number) for number in range(25)]
    first = access.timeline(bob, ward.pk, after=0, limit=10)
    assert [view.body for view in first.messages] == [str(number) for number in range(10)]
    assert first.more


def test_unread_counts_what_others_said_and_reading_only_moves_forward(
    alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    acks = [say(alice, ward, str(number)) for number in range(3)]
    say(bob, ward, "mine")
    assert access.conversation(bob, ward.pk).unread == 3
    state = services.mark_read(user=bob, conversation_id=ward.pk, offset=acks[1].offset)
    assert state.unread == 1
    back = services.mark_read(user=bob, conversation_id=ward.pk, offset=1)
    assert (back.read, back.unread) == (acks[1].offset, 1)


def test_a_read_position_never_lies_beyond_what_there_is(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    services.mark_read(user=bob, conversation_id=ward.pk, offset=2**53 - 1)
    say(alice, ward, "new")
    assert access.conversation(bob, ward.pk).unread == 1


def test_the_database_refuses_a_version_without_its_entry(alice: User, bob: User) -> None:
    ack = say(alice, room(alice, bob), "in the trail")
    version = MessageVersion.objects.get(message=UUID(ack.id))
    with pytest.raises(IntegrityError, match="no entry"), transaction.atomic():  # noqa: PT012
        MessageVersion.objects.create(
            message_id=version.message_id,
            organization_id=version.organization_id,
            conversation_id=version.conversation_id,
            revision=2,
            kind=VersionKind.EDITED,
            body="beside the trail",
            editor=alice,
            at=version.at,
            entry_id=version.entry_id + 1000,
        )
        connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_if_the_trail_cannot_be_written_nothing_is_sent(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = room(alice, bob)

    def broken(records: object) -> None:
        raise RuntimeError("the trail is full")

    monkeypatch.setattr("app.chat.services.sending.record_rows", broken)
    with pytest.raises(RuntimeError):
        send_message(Draft(alice, ward.pk, str(uuid4()), "unseen"))
    assert access.timeline(bob, ward.pk).messages == []
    assert not StreamEvent.objects.filter(type="message.created").exists()


def test_a_row_that_was_tampered_with_takes_only_its_own_text_away(
    alice: User, bob: User, caplog: pytest.LogCaptureFixture
) -> None:
    ward = room(alice, bob)
    acks = [say(alice, ward, text) for text in ("one", "two", "three")]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chat_messageversion SET body = (SELECT body FROM chat_messageversion "
            "WHERE message_id = %s) WHERE message_id = %s",
            [acks[0].id, acks[1].id],
        )
    assert [view.body for view in access.timeline(bob, ward.pk).messages] == ["one", None, "three"]
    assert [record.message for record in caplog.records] == ["message_unreadable"]
    assert "one" not in caplog.text


@pytest.mark.parametrize("table", ["chat_message", "chat_messageversion", "chat_membership"])
@pytest.mark.parametrize("means", ["DELETE FROM", "TRUNCATE"])
def test_the_database_refuses_to_delete_what_was_said(
    means: str, table: str, live_db: LiveDatabase, alice: User, bob: User
) -> None:
    say(alice, room(alice, bob), "kept")
    cascade = " CASCADE" if means == "TRUNCATE" else ""
    with (
        live_db.acting_as("owner"),
        pytest.raises(DatabaseError, match="refused"),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"{means} {table}{cascade}")


def test_nothing_is_sent_after_a_leaving_that_commits_meanwhile(
    live_db: LiveDatabase, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    outcome: list[object] = []

    def send() -> None:
        outcome.extend(send_messages([Draft(bob, ward.pk, str(uuid4()), "still here?")]))
        connection.close()

    with transaction.atomic():
        services.leave(user=bob, conversation_id=ward.pk)
        sender = threading.Thread(target=send)
        sender.start()
        sender.join(timeout=1)  # it waits for the stream, or else it has sent
    sender.join(timeout=10)
    assert [type(one) for one in outcome] == [NotFound]
