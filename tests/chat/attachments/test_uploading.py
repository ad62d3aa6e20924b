"""From bytes to a file in a message: what is accepted, what is refused, what the trail says."""

import hashlib
import json
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.accounts.models import User
from app.audit.models import Entry
from app.chat import access
from app.chat.attachments.content import open_attachment, open_preview
from app.chat.attachments.description import load
from app.chat.models import Attachment, Conversation
from app.chat.services import (
    attachments as uploads,
)
from app.chat.services import (
    begin_upload,
    cancel_upload,
    complete_upload,
    delete_message,
    leave,
    open_download,
    store_part,
)
from app.encryption.envelope import commitment
from app.encryption.fields import opened
from app.encryption.stream import PART_BYTES
from app.errors import Conflict, DomainError, Invalid, NotFound, TooLarge
from tests.chat.attachments.files import (
    announce,
    bytes_of,
    picture,
    send_files,
    send_parts,
    uploaded,
)
from tests.chat.talk import room, say


def stored_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def entries(action: str) -> list[Entry]:
    return list(Entry.objects.filter(action_name=action).order_by("id"))


def body_of(entry: Entry) -> dict[str, object]:
    parsed: dict[str, object] = json.loads(bytes(entry.body))
    return parsed


@pytest.mark.parametrize(
    "size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 5]
)
def test_what_was_uploaded_is_what_is_fetched(
    size: int, alice: User, bob: User, ward: Conversation
) -> None:
    data = bytes_of(size)
    file = uploaded(alice, ward, data)
    assert (file.size, file.sha256) == (size, hashlib.sha256(data).hexdigest())
    send_files(alice, ward, file.id)
    assert b"".join(open_attachment(open_download(bob, UUID(file.id)))) == data


def test_the_storage_holds_neither_content_nor_name(
    alice: User, ward: Conversation, folder: Path
) -> None:
    data = b"Kanarienvogel in cage 4. " * 40
    uploaded(alice, ward, data, name="Kanarienvogel.txt")
    assert stored_bytes(folder)
    assert b"Kanarienvogel" not in stored_bytes(folder)
    assert not any("Kanarienvogel" in str(path) for path in folder.rglob("*"))


def test_a_message_shows_its_files_in_order_to_members(
    alice: User, bob: User, ward: Conversation
) -> None:
    one = uploaded(alice, ward, b"one", "one.txt")
    two = uploaded(alice, ward, picture(), "two.png")
    ack = send_files(alice, ward, two.id, one.id)
    shown = access.message_view(bob, UUID(ack.id)).attachments
    assert [file.name for file in shown] == ["two.png", "one.txt"]
    assert [(file.type, file.width, file.height) for file in shown] == [
        ("image/png", 640, 400),
        ("text/plain", None, None),
    ]


def test_the_trail_commits_to_name_size_type_and_hash_without_telling_them(
    alice: User, ward: Conversation
) -> None:
    data = b"Kanarienvogel in cage 4"
    file = uploaded(alice, ward, data, "Kanarienvogel.txt")
    send_files(alice, ward, file.id, body="see this")
    row = Attachment.objects.get(pk=file.id)
    text, salt = opened(row, "description")
    assert load(text).sha256 == hashlib.sha256(data).hexdigest()
    committed = commitment(salt, text).hex()
    (upload,), (message,) = entries("attachment:uploaded"), entries("message:sent")
    assert body_of(upload)["after"] == {"content": committed}
    assert body_of(upload)["target"] == {
        "type": "attachment",
        "id": file.id,
        "parent": str(ward.pk),
    }
    after = body_of(message)["after"]
    assert isinstance(after, dict)
    assert after["attachments"] == [{"id": file.id, "content": committed}]
    for entry in Entry.objects.all():
        assert b"Kanarienvogel" not in bytes(entry.body)
        assert hashlib.sha256(data).hexdigest().encode() not in bytes(entry.body)


def test_a_message_without_files_has_no_list_of_them_in_its_entry(
    alice: User, ward: Conversation
) -> None:
    say(alice, ward, "plain")
    (message,) = entries("message:sent")
    after = body_of(message)["after"]
    assert isinstance(after, dict)
    assert "attachments" not in after


def test_each_download_is_an_entry_and_a_preview_is_none(
    alice: User, bob: User, ward: Conversation
) -> None:
    file = uploaded(alice, ward, picture(), "x.png")
    send_files(alice, ward, file.id)
    open_preview(access.attachment_for(bob, UUID(file.id)))
    assert entries("attachment:downloaded") == []
    open_download(bob, UUID(file.id))
    (entry,) = entries("attachment:downloaded")
    assert (entry.actor_id, entry.target_id, entry.scope_id) == (bob.pk, file.id, ward.pk)


def test_an_upload_that_broke_off_goes_on_where_it_was(alice: User, ward: Conversation) -> None:
    data = bytes_of(2 * PART_BYTES + 5)
    attachment = announce(alice, ward, data)
    store_part(
        uploader=alice,
        attachment_id=attachment,
        index=1,
        part=data[PART_BYTES : 2 * PART_BYTES],
    )
    with pytest.raises(Conflict):
        complete_upload(uploader=alice, attachment_id=attachment)
    again = begin_upload(
        uploader=alice,
        conversation_id=ward.pk,
        attachment_id=attachment,
        name="scan.pdf",
        size=len(data),
    )
    assert again.stored == [1]
    send_parts(alice, attachment, data)
    done = complete_upload(uploader=alice, attachment_id=attachment)
    assert done.sha256 == hashlib.sha256(data).hexdigest()
    assert complete_upload(uploader=alice, attachment_id=attachment) == done
    assert len(entries("attachment:uploaded")) == 1


def test_a_part_is_written_once(alice: User, ward: Conversation) -> None:
    """Else a file could be changed after the trail has committed to it."""
    attachment = announce(alice, ward, b"first")
    for part in (b"first", b"other"):
        store_part(uploader=alice, attachment_id=attachment, index=0, part=part)
    done = complete_upload(uploader=alice, attachment_id=attachment)
    store_part(uploader=alice, attachment_id=attachment, index=0, part=b"third")
    assert done.sha256 == hashlib.sha256(b"first").hexdigest()
    assert b"".join(open_attachment(Attachment.objects.get())) == b"first"


@pytest.mark.parametrize("part", [b"", b"123", b"12345"])
def test_a_part_of_another_length_is_refused(part: bytes, alice: User, ward: Conversation) -> None:
    attachment = announce(alice, ward, b"1234")
    with pytest.raises(Invalid):
        store_part(uploader=alice, attachment_id=attachment, index=0, part=part)


@pytest.mark.parametrize("index", [1, 999])
def test_there_is_no_part_beyond_the_file(index: int, alice: User, ward: Conversation) -> None:
    attachment = announce(alice, ward, b"1234")
    with pytest.raises(Invalid):
        store_part(uploader=alice, attachment_id=attachment, index=index, part=b"1234")


def test_a_file_above_the_limit_is_refused(alice: User, ward: Conversation) -> None:
    def begin(size: int) -> None:
        begin_upload(
            uploader=alice, conversation_id=ward.pk, attachment_id=uuid4(), name="x", size=size
        )

    begin(uploads.MAX_BYTES)
    with pytest.raises(TooLarge):
        begin(uploads.MAX_BYTES + 1)


def test_nobody_can_fill_the_storage_with_what_they_never_send(
    alice: User, ward: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_UNSENT", 2)
    announce(alice, ward, b"1")
    attachment = announce(alice, ward, b"2")
    with pytest.raises(Conflict):
        announce(alice, ward, b"3")
    cancel_upload(uploader=alice, attachment_id=attachment)
    announce(alice, ward, b"3")


@pytest.mark.parametrize(
    "name", ["", "  ", "a/", "x" * 201, "a\x00b", "line\nbreak", "\u202egpj.exe"]
)
def test_a_name_that_deceives_is_refused(name: str, alice: User, ward: Conversation) -> None:
    with pytest.raises(Invalid):
        announce(alice, ward, b"1", name)


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\Users\\me\\passwd", "passwd"])
def test_of_a_path_only_the_name_is_kept(name: str, alice: User, ward: Conversation) -> None:
    assert uploaded(alice, ward, b"1", name).name == "passwd"


def test_another_file_under_a_taken_id_is_a_conflict(
    alice: User, bob: User, ward: Conversation
) -> None:
    taken = announce(alice, ward, b"1234", "mine.txt")
    for uploader, name, size in ((bob, "mine.txt", 4), (alice, "x", 4), (alice, "mine.txt", 5)):
        with pytest.raises(Conflict):
            begin_upload(
                uploader=uploader,
                conversation_id=ward.pk,
                attachment_id=taken,
                name=name,
                size=size,
            )


# Who may.


def test_only_members_fetch_it_and_only_while_they_are(
    alice: User, bob: User, mallory: User, olga: User, ada: User, eve: User, ward: Conversation
) -> None:
    file = uploaded(alice, ward, picture(), "x.png")
    attachment = UUID(file.id)
    with pytest.raises(NotFound):
        access.attachment_for(bob, attachment)  # it is not sent yet
    assert access.attachment_for(alice, attachment)
    send_files(alice, ward, file.id)
    assert access.attachment_for(bob, attachment)
    for outsider in (mallory, olga, ada, eve):
        with pytest.raises(NotFound):
            open_download(outsider, attachment)
    leave(user=bob, conversation_id=ward.pk)
    with pytest.raises(NotFound):
        open_download(bob, attachment)


def test_a_deleted_message_takes_its_files_out_of_sight_and_keeps_them(
    alice: User, bob: User, ward: Conversation
) -> None:
    file = uploaded(alice, ward, b"kept")
    ack = send_files(alice, ward, file.id)
    delete_message(editor=alice, message_id=UUID(ack.id))
    for member in (alice, bob):
        with pytest.raises(NotFound):
            open_download(member, UUID(file.id))
    assert access.message_view(bob, UUID(ack.id)).attachments == []
    assert b"".join(open_attachment(Attachment.objects.get())) == b"kept"


def test_nobody_else_touches_an_upload(alice: User, bob: User, ward: Conversation) -> None:
    attachment = announce(alice, ward, b"1234")
    with pytest.raises(NotFound):
        store_part(uploader=bob, attachment_id=attachment, index=0, part=b"evil")
    with pytest.raises(NotFound):
        complete_upload(uploader=bob, attachment_id=attachment)
    with pytest.raises(NotFound):
        cancel_upload(uploader=bob, attachment_id=attachment)


def test_who_left_cannot_go_on_with_an_upload(alice: User, bob: User, ward: Conversation) -> None:
    attachment = announce(bob, ward, b"1234")
    leave(user=bob, conversation_id=ward.pk)
    with pytest.raises(NotFound):
        store_part(uploader=bob, attachment_id=attachment, index=0, part=b"1234")


# In a message.


def refusal(author: User, conversation: Conversation, *ids: object) -> type[DomainError]:
    with pytest.raises(DomainError) as refused:
        send_files(author, conversation, *(str(one) for one in ids))
    return type(refused.value)


def test_a_message_carries_only_whole_unsent_files_of_its_author_here(
    alice: User, bob: User, ward: Conversation
) -> None:
    elsewhere = room(alice, bob, name="other")
    assert refusal(alice, ward, announce(alice, ward, b"1")) is Conflict
    assert refusal(alice, ward, uploaded(bob, ward, b"1").id) is NotFound
    assert refusal(alice, ward, uploaded(alice, elsewhere, b"1").id) is NotFound
    assert refusal(alice, ward, uuid4()) is NotFound
    file = uploaded(alice, ward, b"1")
    assert refusal(alice, ward, file.id, file.id) is Invalid
    send_files(alice, ward, file.id)
    assert refusal(alice, ward, file.id) is Conflict
    cancelled = uploaded(alice, ward, b"1").id
    cancel_upload(uploader=alice, attachment_id=UUID(cancelled))
    assert refusal(alice, ward, cancelled) is NotFound


def test_a_message_without_text_needs_a_file(alice: User, ward: Conversation) -> None:
    with pytest.raises(Invalid):
        send_files(alice, ward)
    assert send_files(alice, ward, uploaded(alice, ward, b"1").id)


def test_the_same_message_again_gets_its_acknowledgement_and_with_other_files_a_conflict(
    alice: User, ward: Conversation
) -> None:
    one, two = uploaded(alice, ward, b"1"), uploaded(alice, ward, b"2")
    again = uuid4()
    ack = send_files(alice, ward, one.id, message_id=again)
    assert send_files(alice, ward, one.id, message_id=again) == ack
    for others in ((), (two.id,), (one.id, two.id)):
        with pytest.raises(DomainError) as refused:
            send_files(alice, ward, *others, body="" if others else "x", message_id=again)
        assert isinstance(refused.value, Conflict)


def test_a_file_that_was_sent_cannot_be_taken_back(alice: User, ward: Conversation) -> None:
    file = uploaded(alice, ward, b"1")
    send_files(alice, ward, file.id)
    with pytest.raises(Conflict):
        cancel_upload(uploader=alice, attachment_id=UUID(file.id))
    assert b"".join(open_attachment(access.attachment_for(alice, UUID(file.id)))) == b"1"
