"""What is to go does go: asked of the storage, counted, and said when it did not."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.utils import timezone

from app.accounts.models import User
from app.audit.models import Entry
from app.chat import access
from app.chat.attachments.content import open_attachment, write_part
from app.chat.attachments.storage.folder import FolderStorage
from app.chat.models import Attachment, Conversation
from app.chat.services import (
    begin_upload,
    cancel_upload,
    leftovers,
    store_part,
    tidy_attachments,
)
from app.chat.services.leftovers import Tidied
from app.compliance.services import ask_release, place_hold, release_hold
from app.encryption.envelope import Fault
from app.encryption.fields import SealError
from app.encryption.keyring import keyring
from app.encryption.models import DataKey
from app.errors import Conflict, NotFound
from tests.chat.attachments.files import announce, picture, send_files, send_parts, uploaded
from tests.chat.talk import room

NOTHING = Tidied(0, 0, 0)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "SETTLED", timedelta(0))


def grow_old(*ids: UUID | str) -> None:
    long_ago = timezone.now() - leftovers.UNSENT_KEPT - timedelta(minutes=1)
    Attachment.objects.filter(pk__in=ids).update(created_at=long_ago)


def in_storage(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def deletions() -> list[str]:
    found = Entry.objects.filter(action_name="attachment:deleted").order_by("id")
    return list(found.values_list("target_id", flat=True))


def test_what_nobody_sent_within_a_day_is_deleted_bytes_key_and_name(
    alice: User, ward: Conversation, folder: Path
) -> None:
    whole = uploaded(alice, ward, picture(), "x.png").id
    begun = announce(alice, ward, b"1234")
    send_parts(alice, begun, b"1234")
    assert in_storage(folder) == 3
    assert tidy_attachments() == NOTHING
    grow_old(whole, begun)
    assert tidy_attachments() == Tidied(eligible=2, deleted=2, failed=0)
    assert in_storage(folder) == 0
    for row in Attachment.objects.all():
        assert (row.key, row.name, row.description) == (None, None, None)
        assert row.gone_at
        with pytest.raises(SealError) as erased:
            next(open_attachment(row))
        assert erased.value.code == Fault.ERASED
    assert sorted(deletions()) == sorted([whole, str(begun)])
    assert tidy_attachments() == NOTHING


def test_what_nobody_sent_is_kept_under_a_hold_until_its_release(
    alice: User, olga: User, oscar: User, ward: Conversation, folder: Path
) -> None:
    file, elsewhere = uploaded(alice, ward, b"1234"), uploaded(alice, room(alice), b"5678")
    grow_old(file.id, elsewhere.id)
    hold = place_hold(olga, conversations=[ward.pk], matter="M", reason="R")
    assert tidy_attachments() == Tidied(eligible=1, deleted=1, failed=0)
    kept = Attachment.objects.get(pk=file.id)
    assert b"".join(open_attachment(kept)) == b"1234"
    assert deletions() == [elsewhere.id]
    ask_release(olga, hold.pk, reason="Settled.")
    release_hold(oscar, hold.pk)
    assert tidy_attachments() == Tidied(eligible=1, deleted=1, failed=0)
    assert deletions() == [elsewhere.id, file.id]


def test_what_was_sent_stays_however_old(alice: User, ward: Conversation, folder: Path) -> None:
    file = uploaded(alice, ward, b"1234")
    grow_old(file.id)
    send_files(alice, ward, file.id)
    assert tidy_attachments() == NOTHING
    assert b"".join(open_attachment(Attachment.objects.get())) == b"1234"


def test_what_the_storage_does_not_let_go_is_counted_and_tried_again(
    alice: User, ward: Conversation, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage that says yes and keeps it: the answer is not believed."""
    grow_old(uploaded(alice, ward, b"1234").id)
    with monkeypatch.context() as broken:
        broken.setattr(FolderStorage, "delete", lambda *_: None)
        assert tidy_attachments() == Tidied(eligible=1, deleted=0, failed=1)
    assert Attachment.objects.get().gone_at is None
    assert tidy_attachments() == Tidied(eligible=1, deleted=1, failed=0)
    assert in_storage(folder) == 0
    assert len(deletions()) == 1


def test_a_cancelled_upload_whose_part_came_late_is_deleted_too(
    alice: User, ward: Conversation, folder: Path
) -> None:
    attachment = announce(alice, ward, b"1234")
    late = access.upload(alice, attachment)
    _ = late.key
    cancel_upload(uploader=alice, attachment_id=attachment)
    write_part(late, 0, b"1234")
    assert in_storage(folder) == 1
    assert tidy_attachments() == Tidied(eligible=1, deleted=1, failed=0)
    assert in_storage(folder) == 0


def test_nothing_is_called_gone_while_a_request_may_still_be_under_way(
    alice: User, ward: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "SETTLED", timedelta(minutes=15))
    cancel_upload(uploader=alice, attachment_id=announce(alice, ward, b"1234"))
    assert tidy_attachments() == NOTHING


def test_an_erased_file_is_unreadable_at_once_and_its_bytes_go(
    alice: User, bob: User, ward: Conversation, folder: Path
) -> None:
    file = uploaded(alice, ward, picture(), "x.png")
    ack = send_files(alice, ward, file.id)
    destroyed = DataKey.objects.filter(conversation_id=ward.pk)
    assert destroyed.update(wrapped=None, destroyed_at=timezone.now()) == 1
    keyring.forget()
    with pytest.raises(SealError) as erased:
        next(open_attachment(access.attachment_for(bob, UUID(file.id))))
    assert erased.value.erased
    (shown,) = access.message_view(bob, UUID(ack.id)).attachments
    assert (shown.id, shown.name, shown.sha256) == (file.id, None, None)
    assert tidy_attachments() == Tidied(eligible=1, deleted=1, failed=0)
    assert in_storage(folder) == 0
    assert deletions() == [file.id]
    assert tidy_attachments() == NOTHING


def test_an_upload_whose_data_key_is_destroyed_goes_like_any_other(
    alice: User, ward: Conversation, folder: Path
) -> None:
    whole = UUID(uploaded(alice, ward, b"1234").id)
    DataKey.objects.filter(conversation_id=ward.pk).update(
        wrapped=None, destroyed_at=timezone.now()
    )
    keyring.forget()
    with pytest.raises(NotFound):
        store_part(uploader=alice, attachment_id=whole, index=0, part=b"1234")
    with pytest.raises(NotFound):
        send_files(alice, ward, whole)
    with pytest.raises(Conflict):
        begin_upload(
            uploader=alice,
            conversation_id=ward.pk,
            attachment_id=whole,
            name="scan.pdf",
            size=4,
        )
    grow_old(whole)
    assert tidy_attachments() == Tidied(eligible=1, deleted=1, failed=0)
    assert in_storage(folder) == 0
