"""An officer reads what is not theirs: never without a reason, never without a record."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from app.accounts.models import Organization, Role, User
from app.audit.models import Entry
from app.chat.attachments.content import open_attachment
from app.chat.models import MessageVersion
from app.chat.services import delete_message
from app.compliance import services
from app.compliance.access import readings as disclosure
from app.compliance.access.readings import Seen
from app.compliance.models import Reading
from app.compliance.services import readings
from app.encryption import fields
from app.encryption.envelope import Fault, SealError
from app.encryption.keyring import keyring
from app.encryption.models import DataKey
from app.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from app.realtime import protocol
from tests.cast import join, sign_in_browser
from tests.chat.attachments.files import send_files, uploaded
from tests.chat.talk import room, say
from tests.compliance.conftest import Ward

MATTER, REASON = "Matter 2026-114", "A patient's complaint about a discharge."


@pytest.fixture
def reading(olga: User, ward: Ward) -> Reading:
    return services.open_conversation(olga, ward.ward.pk, matter=MATTER, reason=REASON)


def entries(action: str) -> list[Entry]:
    return list(Entry.objects.filter(action_name=action).order_by("id"))


def test_an_officer_sees_every_version_and_what_was_deleted(
    olga: User, bob: User, ward: Ward, reading: Reading
) -> None:
    page = services.read_page(olga, reading.pk)
    told = {message.id: message for message in page.messages}
    assert [message.offset for message in page.messages] == sorted(m.offset for m in page.messages)
    assert len(page.messages) == 5
    first, second = told[ward.edited].versions
    assert (first.text, second.text) == (
        '=HYPERLINK("http://mallory.example")',
        "Noted.\r\n\tTwo lines.",
    )
    assert (second.editor, second.kind) == (bob.pk, "edited")
    kept, deletion = told[ward.deleted].versions
    assert kept.text == "Wrong channel, schön \U0001f642"
    assert (deletion.seen, deletion.text) == (Seen.DELETED, None)
    (reply,) = [message for message in page.messages if message.thread]
    assert reply.thread in told


def test_each_page_is_an_entry_with_the_range_that_it_shows(
    olga: User, ward: Ward, reading: Reading
) -> None:
    last = services.read_page(olga, reading.pk, limit=3)
    assert last.more
    first = services.read_page(olga, reading.pk, before=last.first, limit=3)
    assert not first.more
    shown = [entry.document["parameters"] for entry in entries("message:disclosed")]
    assert [(item["first"], item["last"], item["messages"]) for item in shown] == [
        (last.first, last.last, 3),
        (first.first, first.last, 2),
    ]
    assert {entry.scope_id for entry in entries("message:disclosed")} == {ward.ward.pk}
    services.read_page(olga, reading.pk, limit=3)
    assert len(entries("message:disclosed")) == 3, "the same page again is another look"


def test_opening_is_recorded_without_a_word_of_why(
    olga: User, ward: Ward, reading: Reading
) -> None:
    (entry,) = entries("conversation:opened")
    assert (entry.pk, entry.scope_id) == (reading.open_entry, ward.ward.pk)
    assert entry.document["after"] == {
        "matter": fields.opened(reading, "matter").commitment.hex(),
        "reason": fields.opened(reading, "reason").commitment.hex(),
    }
    assert b"complaint" not in bytes(entry.body)


def test_nothing_is_shown_when_the_look_cannot_be_recorded(
    olga: User, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **more: object) -> None:
        raise RuntimeError("no trail")

    monkeypatch.setattr(readings, "record", fail)
    with pytest.raises(RuntimeError):
        services.read_page(olga, reading.pk)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 1001}, "reason"),
        ({"matter": ""}, "matter"),
        ({"matter": "x" * 201}, "matter"),
        ({"matter": "a\0b"}, "matter"),
    ],
)
def test_without_a_reason_nothing_is_opened(
    wrong: dict[str, str], field: str, olga: User, ward: Ward
) -> None:
    given = {"matter": MATTER, "reason": REASON} | wrong
    with pytest.raises(Invalid) as refusal:
        services.open_conversation(olga, ward.ward.pk, **given)
    assert field in refusal.value.fields
    assert not Reading.objects.exists()


@pytest.mark.parametrize("name", ["alice", "ada"])
def test_members_and_administrators_read_nothing_this_way(
    name: str, ward: Ward, reading: Reading, request: pytest.FixtureRequest
) -> None:
    person: User = request.getfixturevalue(name)
    attempts: list[Callable[[], object]] = [
        lambda: services.conversation_list(person),
        lambda: services.open_conversation(person, ward.ward.pk, matter=MATTER, reason=REASON),
        lambda: services.read_page(person, reading.pk),
        lambda: disclosure.conversations(person),
        lambda: disclosure.readings(person),
        lambda: disclosure.reading(person, reading.pk),
        lambda: disclosure.disclosed(person, reading.pk),
    ]
    for attempt in attempts:
        with pytest.raises(Denied):
            attempt()
    assert not entries("message:disclosed")


def test_a_reading_serves_the_officer_who_opened_it_alone(
    oscar: User, ward: Ward, reading: Reading, other_organization: Organization
) -> None:
    erin = join(other_organization, "erin", Role.OFFICER)
    for officer in (oscar, erin):
        with pytest.raises(NotFound):
            services.read_page(officer, reading.pk)
        assert disclosure.readings(officer) == []
    for unknown in (ward.ward.pk, uuid4()):
        with pytest.raises(NotFound):
            services.open_conversation(erin, unknown, matter=MATTER, reason=REASON)
    assert services.conversation_list(erin) == []


def test_a_reason_serves_for_an_hour(
    olga: User, ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "OPEN_FOR", timedelta(0))
    over = services.open_conversation(olga, ward.ward.pk, matter=MATTER, reason=REASON)
    with pytest.raises(Conflict, match="again"):
        services.read_page(olga, over.pk)
    assert disclosure.readings(olga) == []


def test_an_officer_who_lost_the_role_reads_no_further(olga: User, reading: Reading) -> None:
    olga.role = Role.MEMBER
    with pytest.raises(Denied):
        services.read_page(olga, reading.pk)


def test_what_was_erased_and_what_was_tampered_with_is_shown_as_such(
    olga: User, alice: User, ward: Ward, reading: Reading
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chat_messageversion SET body = overlay(body placing 'AAAA' from 60)"
            " WHERE message_id = %s AND revision = 1",
            [ward.edited],
        )
    page = services.read_page(olga, reading.pk)
    seen = {version.seen for message in page.messages for version in message.versions}
    assert seen == {Seen.READABLE, Seen.UNREADABLE, Seen.DELETED}
    with transaction.atomic():
        DataKey.objects.filter(conversation_id=ward.ward.pk).update(
            wrapped=None, destroyed_at=timezone.now()
        )
    keyring.forget()
    page = services.read_page(olga, reading.pk)
    seen = {version.seen for message in page.messages for version in message.versions}
    assert seen == {Seen.ERASED, Seen.DELETED}
    assert all(version.text is None for message in page.messages for version in message.versions)


def test_without_keys_the_officer_is_told_to_come_back(
    olga: User, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object) -> None:
        raise SealError(Fault.KEY_UNAVAILABLE, "the key service is away")

    keyring.forget()
    monkeypatch.setattr(keyring, "to_open", away)
    with pytest.raises(Unavailable):
        services.read_page(olga, reading.pk)
    assert not entries("message:disclosed")


def test_the_list_says_what_is_where_and_what_is_held(olga: User, alice: User, ward: Ward) -> None:
    services.place_hold(olga, conversations=[ward.ward.pk], matter=MATTER, reason=REASON)
    empty = room(alice, name="empty")
    told = {item.id: item for item in services.conversation_list(olga)}
    assert (told[ward.ward.pk].messages, told[ward.ward.pk].held) == (5, True)
    assert (told[ward.pharmacy.pk].messages, told[ward.pharmacy.pk].held) == (1, False)
    assert (told[empty.pk].messages, told[empty.pk].last_at, told[empty.pk].members) == (0, None, 1)
    assert told[ward.ward.pk].label == "ward-4"
    assert len(entries("names:read")) == 1


def test_the_database_keeps_readings_and_their_entries(reading: Reading) -> None:
    mine = Reading.objects.filter(pk=reading.pk)
    with pytest.raises(ProgrammingError, match="refused"), transaction.atomic():
        mine.update(closes_at=timezone.now() + timedelta(days=9))
    with pytest.raises(ProgrammingError, match="refused"), transaction.atomic():
        mine._raw_delete("default")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    unrecorded = Reading(
        organization=reading.organization,
        conversation=reading.conversation,
        officer=reading.officer,
        matter="x",
        reason="x",
        closes_at=timezone.now(),
        open_entry=1,
    )
    with pytest.raises(IntegrityError, match="no entry"), transaction.atomic():
        unrecorded.save(force_insert=True)


def test_a_message_that_was_said_meanwhile_does_not_move_the_pages(
    olga: User, alice: User, ward: Ward, reading: Reading
) -> None:
    seen: list[UUID] = []
    page = services.read_page(olga, reading.pk, limit=2)
    seen += [message.id for message in page.messages]
    say(alice, ward.ward, "Meanwhile.")
    while page.more:
        page = services.read_page(olga, reading.pk, before=page.first, limit=2)
        seen += [message.id for message in page.messages]
    expected = MessageVersion.objects.filter(conversation_id=ward.ward.pk, revision=1)
    assert len(seen) == len(set(seen)) == expected.count() - 1


@pytest.fixture
def sent_file(alice: User, ward: Ward, tmp_path: Path, settings: Settings) -> protocol.Attachment:
    """A file in the ward, in a message that was deleted since."""
    settings.ATTACHMENT_STORAGE = f"file://{tmp_path}/attachments"
    file = uploaded(alice, ward.ward, b"%PDF-1.7 a scan", "scan.pdf")
    ack = send_files(alice, ward.ward, file.id)
    delete_message(editor=alice, message_id=UUID(ack.id))
    return file


def test_an_officer_gets_a_file_of_a_deleted_message_and_that_is_recorded_first(
    olga: User, oscar: User, ward: Ward, sent_file: protocol.Attachment, reading: Reading
) -> None:
    page = services.read_page(olga, reading.pk)
    (told,) = page.messages[-1].files
    assert (told.name, told.sha256) == ("scan.pdf", sent_file.sha256)
    before = len(entries("message:disclosed"))
    found = services.open_file(olga, reading.pk, UUID(sent_file.id))
    assert b"".join(open_attachment(found)) == b"%PDF-1.7 a scan"
    look = entries("message:disclosed")[before]
    assert (look.target_id, look.scope_id) == (sent_file.id, ward.ward.pk)
    with pytest.raises(NotFound):
        services.open_file(oscar, reading.pk, UUID(sent_file.id))


def test_a_reading_opens_no_file_of_another_conversation_and_none_that_was_not_sent(
    olga: User, bob: User, ward: Ward, sent_file: protocol.Attachment, reading: Reading
) -> None:
    elsewhere = uploaded(bob, ward.pharmacy, b"other", "other.txt")
    send_files(bob, ward.pharmacy, elsewhere.id)
    unsent = uploaded(bob, ward.ward, b"not sent", "draft.txt")
    for hidden in (elsewhere.id, unsent.id, str(uuid4())):
        with pytest.raises(NotFound):
            services.open_file(olga, reading.pk, UUID(hidden))
    assert not entries("message:disclosed")


def test_a_file_is_downloaded_with_headers_that_run_nothing(
    api: Callable[[User], Any], olga: User, sent_file: protocol.Attachment, reading: Reading
) -> None:
    answer = api(olga).get(f"/api/compliance/readings/{reading.pk}/files/{sent_file.id}")
    assert b"".join(answer.streaming_content) == b"%PDF-1.7 a scan"
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    browser = sign_in_browser(Client(), olga)
    assert "scan.pdf" in browser.get(f"/readings/{reading.pk}").content.decode()
    path = f"/readings/{reading.pk}/files/{sent_file.id}"
    assert browser.get(path).status_code == 405
    downloaded: Any = browser.post(path)
    assert b"".join(downloaded.streaming_content) == b"%PDF-1.7 a scan"
