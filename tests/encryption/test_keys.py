"""Data keys from birth to destruction: wrapped, told of, and gone."""

import base64
import os
from collections import Counter
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.test.utils import CaptureQueriesContext, override_settings

from app.audit.actions import Action
from app.audit.context import Origin, acting_from
from app.audit.models import Entry
from app.encryption import services
from app.encryption.envelope import Fault
from app.encryption.fields import SealError, prefetch_data_keys, token
from app.encryption.keyring import keyring
from app.encryption.models import DataKey, KeyEncryptionKey
from tests.encryption.keys import again, destroy, key_file
from tests.encryption.rows import column
from tests.encryption.sample import Letter
from tests.live import LiveDatabase

THIS_MONTH = datetime.now(UTC).date().replace(day=1)


# What is at rest


@pytest.mark.usefixtures("samples")
def test_the_database_holds_no_data_key_that_opens_anything() -> None:
    letter = Letter.objects.create(body="hunter2")
    key = DataKey.objects.get(conversation_id=letter.conversation_id)
    assert key.wrapped is not None
    wrapped = base64.b64decode(key.wrapped)
    bare = services.unwrap_data_key(key)
    assert len(bare) == 32
    assert bare not in wrapped
    assert column(key, "wrapped") != key.wrapped  # and the package's field around it
    AESGCM(bare).decrypt  # noqa: B018 - 32 bytes make a key


@pytest.mark.usefixtures("samples")
def test_a_conversation_has_one_data_key_a_month_and_the_organization_one_too() -> None:
    organization = uuid4()
    conversations = [uuid4(), uuid4(), None]
    for conversation in conversations * 2:
        Letter.objects.create(
            organization_id=organization, conversation_id=conversation, body="text", note="note"
        )
    keys = DataKey.objects.filter(organization_id=organization)
    assert Counter(key.conversation_id for key in keys) == Counter(conversations)
    assert {key.month for key in keys} == {THIS_MONTH}
    assert KeyEncryptionKey.objects.filter(organization_id=organization).count() == 1


@pytest.mark.usefixtures("samples")
def test_the_creation_of_each_key_is_in_the_trail_with_who_caused_it() -> None:
    organization, conversation = uuid4(), uuid4()
    with acting_from(Origin(request_id="req-7", method="command")):
        keyring.to_seal(organization, conversation)
    keyring.to_seal(organization, conversation)
    entries = list(Entry.objects.filter(organization_id=organization).order_by("id"))
    assert [entry.action_name for entry in entries] == [
        Action.KEY_ENCRYPTION_KEY_CREATED,
        Action.DATA_KEY_CREATED,
    ]
    assert entries[1].scope_id == conversation
    assert entries[1].target_id == str(DataKey.objects.get(conversation_id=conversation).pk)
    assert all(b'"req-7"' in bytes(entry.body) for entry in entries)


def test_the_database_refuses_a_data_key_without_its_entry(live_db: LiveDatabase) -> None:
    kek = KeyEncryptionKey(organization_id=uuid4(), provider="local", reference="x")
    with pytest.raises(DatabaseError, match="has no entry"):
        kek.save()


def test_the_database_refuses_to_lose_the_row_of_a_key(live_db: LiveDatabase) -> None:
    keyring.to_seal(uuid4(), uuid4())
    for table in ("encryption_data_key", "encryption_key_encryption_key"):
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
            with (
                live_db.acting_as("superuser"),
                connection.cursor() as cursor,
                pytest.raises(DatabaseError, match="not deleted"),
            ):
                cursor.execute(statement)


# The key encryption key


@pytest.mark.usefixtures("samples")
def test_a_missing_key_file_is_named_by_its_setting(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.key", tmp_path, ""):
        with (
            override_settings(KEY_ENCRYPTION_KEY_FILE=path),
            pytest.raises(ImproperlyConfigured, match="KEY_ENCRYPTION_KEY_FILE"),
        ):
            keyring.to_seal(uuid4(), None)


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize(
    "content",
    [b"", b"hunter2", base64.b64encode(b"hunter2hunter2"), b"\xff" * 44, b"A" * 44 + b"!"],
)
def test_a_malformed_key_file_is_named_and_its_content_is_not(
    tmp_path: Path, content: bytes
) -> None:
    with (
        key_file(tmp_path / "bad.key", content),
        pytest.raises(ImproperlyConfigured, match="KEY_ENCRYPTION_KEY_FILE must hold") as raised,
    ):
        keyring.to_seal(uuid4(), None)
    assert "hunter2" not in str(raised.value)


@pytest.mark.usefixtures("samples")
def test_another_key_file_neither_opens_nor_seals_for_the_organization(tmp_path: Path) -> None:
    letter = Letter.objects.create(body="hunter2")
    with key_file(tmp_path / "other.key", base64.b64encode(os.urandom(32)) + b"\n"):
        with pytest.raises(SealError, match="KEY_ENCRYPTION_KEY_FILE") as raised:
            _ = again(letter).body
        assert raised.value.code is Fault.KEY_UNAVAILABLE
        letter.body = "changed"
        with pytest.raises(SealError), transaction.atomic():
            letter.save()
    assert again(letter).body == "hunter2"


@pytest.mark.usefixtures("samples")
def test_the_key_of_one_organization_unwraps_nothing_of_another() -> None:
    mine, theirs = Letter.objects.create(body="mine"), Letter.objects.create(body="theirs")
    my_key = DataKey.objects.get(conversation_id=mine.conversation_id)
    other = DataKey.objects.get(conversation_id=theirs.conversation_id)
    my_key.key_encryption_key = other.key_encryption_key
    my_key.save(update_fields=["key_encryption_key"])
    keyring.forget()
    with pytest.raises(SealError) as raised:
        _ = again(mine).body
    assert raised.value.code is Fault.KEY_UNAVAILABLE


@pytest.mark.usefixtures("samples")
def test_a_key_of_an_unknown_provider_is_refused() -> None:
    letter = Letter.objects.create(body="hunter2")
    KeyEncryptionKey.objects.filter(organization_id=letter.organization_id).update(
        provider="abacus"
    )
    keyring.forget()
    with pytest.raises(SealError, match="abacus"):
        _ = again(letter).body


# Destruction


@pytest.mark.usefixtures("samples")
def test_a_text_whose_data_key_was_destroyed_is_erased_for_good() -> None:
    letter = Letter.objects.create(body="hunter2")
    destroy(DataKey.objects.get(conversation_id=letter.conversation_id))
    keyring.forget()
    read = again(letter)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(3):
            with pytest.raises(SealError) as raised:
                _ = read.body
            assert raised.value.erased
            assert raised.value.code == "erased"
    assert len(queries.captured_queries) == 1  # it is remembered


@pytest.mark.usefixtures("samples")
def test_the_row_of_an_erased_text_can_still_be_saved() -> None:
    letter = Letter.objects.create(body="hunter2")
    before = column(letter, "body")
    destroy(DataKey.objects.get(conversation_id=letter.conversation_id))
    keyring.forget()
    read = again(letter)
    prefetch_data_keys([token(read, "body")])
    read.mark = "erased"
    read.save()
    read.refresh_from_db()
    assert (column(read, "body"), read.mark) == (before, "erased")


@pytest.mark.usefixtures("live_samples")
def test_after_a_destruction_the_same_month_gets_a_new_data_key() -> None:
    letter = Letter.objects.create(body="erased")
    destroy(DataKey.objects.get(conversation_id=letter.conversation_id))
    keyring.forget()
    letter.body = "written afterwards"
    letter.save()
    assert again(letter).body == "written afterwards"
    assert DataKey.objects.filter(conversation_id=letter.conversation_id).count() == 2


# What an operator sees


@pytest.mark.usefixtures("samples")
def test_the_status_tells_of_keys_without_showing_one(tmp_path: Path) -> None:
    organization = uuid4()
    for conversation in (uuid4(), uuid4()):
        keyring.to_seal(organization, conversation)
    destroy(DataKey.objects.filter(organization_id=organization).first() or DataKey())
    told = status_of(organization)
    assert "in force" in told
    assert "data keys: 2, of which destroyed: 1" in told
    assert f"uses reserved: {2 * services.USE_BLOCK}" in told
    for key in DataKey.objects.filter(organization_id=organization, wrapped__isnull=False):
        assert str(key.wrapped) not in told
    with key_file(tmp_path / "other.key", base64.b64encode(os.urandom(32))):
        assert "not held by this process" in status_of(organization)


def test_the_status_of_an_empty_database_says_so(live_db: LiveDatabase) -> None:
    out = StringIO()
    call_command("keys", "status", stdout=out)
    assert "No organization has a key yet" in out.getvalue()


def status_of(organization: UUID) -> str:
    out = StringIO()
    call_command("keys", "status", stdout=out)
    blocks = out.getvalue().split("organization ")
    return next(block for block in blocks if block.startswith(str(organization)))
