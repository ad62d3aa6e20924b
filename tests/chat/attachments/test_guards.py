"""What the database itself refuses, whoever asks; and what a stream says of files."""

import json
from typing import Any
from uuid import UUID

import pytest
from django.db import Error, connection, transaction

from app.accounts.models import User
from app.chat import access
from app.chat.models import Conversation
from app.chat.streams import open_bodies
from app.realtime.frames import payload_of
from app.realtime.log import Event
from app.realtime.models import StreamEvent
from app.realtime.services import conversation_stream
from tests.chat.attachments.files import announce, send_files, uploaded
from tests.chat.talk import say


def refused(statement: str, *values: str) -> str:
    with pytest.raises(Error) as error, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"{statement}; SET CONSTRAINTS ALL IMMEDIATE", values)
    return str(error.value)


CHANGES = {
    "message_id": "NULL",
    "position": "7",
    "size": "1",
    "entry_id": "1",
    "conversation_id": "gen_random_uuid()",
    "organization_id": "gen_random_uuid()",
    "uploader_id": "gen_random_uuid()",
    "created_at": "now()",
    "completed_at": "now()",
}


@pytest.mark.parametrize("column", CHANGES)
def test_a_file_that_was_sent_stays_as_it_is(column: str, alice: User, ward: Conversation) -> None:
    send_files(alice, ward, uploaded(alice, ward, b"1234").id)
    told = refused(f"UPDATE chat_attachment SET {column} = {CHANGES[column]}")
    assert "stays with its message" in told


def test_a_sent_file_cannot_be_called_deleted(alice: User, ward: Conversation) -> None:
    send_files(alice, ward, uploaded(alice, ward, b"1234").id)
    assert refused(
        "UPDATE chat_attachment SET deleted_at = now(), key = NULL, name = NULL, description = NULL"
    )


@pytest.mark.parametrize("statement", ["DELETE FROM chat_attachment", "TRUNCATE chat_attachment"])
def test_no_row_of_a_file_is_deleted(statement: str, alice: User, ward: Conversation) -> None:
    announce(alice, ward, b"1234")
    assert refused(statement)


def test_no_upload_counts_as_whole_without_its_entry(alice: User, ward: Conversation) -> None:
    announce(alice, ward, b"1234")
    told = refused("UPDATE chat_attachment SET entry_id = 1, completed_at = now()")
    assert "has no entry" in told
    assert refused("UPDATE chat_attachment SET completed_at = now()")


def test_no_message_takes_a_file_that_is_not_whole(alice: User, ward: Conversation) -> None:
    announce(alice, ward, b"1234")
    ack = say(alice, ward, "hello")
    assert refused("UPDATE chat_attachment SET message_id = %s", ack.id)


def events(ward: Conversation) -> list[Event]:
    """As they are read from the log, which has no text."""
    name = conversation_stream(ward.pk)
    rows: Any = StreamEvent.objects.filter(stream=name, type="message.created").order_by("offset")
    return [Event(name, "e", row.offset, row.type, dict(row.data)) for row in rows]


def test_an_event_names_its_files_only_when_it_is_handed_out(
    alice: User, ward: Conversation
) -> None:
    say(alice, ward, "before")
    two = [uploaded(alice, ward, b"1234", f"{name}.txt").id for name in ("b", "a")]
    send_files(alice, ward, *two)
    found = events(ward)
    assert "txt" not in json.dumps([event.data for event in found])
    # The same event twice, as when a hint and the log bring it in one round.
    found += events(ward)
    open_bodies(found)
    for plain, carrier in (found[:2], found[2:]):
        assert json.loads(payload_of(plain.frame()))["d"]["attachments"] == []
        shown = json.loads(payload_of(carrier.frame()))["d"]["attachments"]
        assert [(file["id"], file["name"]) for file in shown] == [
            (two[0], "b.txt"),
            (two[1], "a.txt"),
        ]


def test_what_was_never_a_description_takes_only_itself_away(
    alice: User, ward: Conversation
) -> None:
    """A row that somebody with the database changed does not take the others' page away."""

    one, other = (uploaded(alice, ward, b"1234", f"{name}.txt").id for name in ("a", "b"))
    ack = send_files(alice, ward, one, other)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chat_attachment SET description = "
            "(SELECT description FROM chat_attachment WHERE id = %s) WHERE id = %s",
            [other, one],
        )
    shown = access.message_view(alice, UUID(ack.id)).attachments
    assert [file.name for file in shown] == [None, "b.txt"]
