"""Data keys from birth to destruction: wrapped, cached, counted, raced for, and gone."""

import base64
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from uuid import UUID, uuid4

import psycopg2
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
from app.encryption import apart, services
from app.encryption.envelope import Fault
from app.encryption.fields import SealError, prefetch_data_keys, token
from app.encryption.keyring import KeyRing, keyring
from app.encryption.models import DataKey, KeyEncryptionKey
from app.errors import Unavailable
from tests.encryption.rows import column
from tests.encryption.sample import Letter
from tests.live import LiveDatabase

THIS_MONTH = datetime.now(UTC).date().replace(day=1)


def again(letter: Letter) -> Letter:
    return Letter.objects.get(pk=letter.pk)


def destroy(key: DataKey) -> None:
    DataKey.objects.filter(pk=key.pk).update(wrapped=None, destroyed_at=datetime.now(UTC))


@contextmanager
def key_file(path: Path, content: bytes) -> Iterator[None]:
    path.write_bytes(content)
    with override_settings(KEY_ENCRYPTION_KEY_FILE=path):
        keyring.forget()
        yield
    keyring.forget()


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


# The cache


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("app.encryption.keyring.time.monotonic", lambda: self.now)


@pytest.mark.usefixtures("samples")
def test_an_unwrapped_key_is_kept_for_five_minutes_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    letter = Letter.objects.create(body="hunter2")
    clock.now += 299
    row = again(letter)
    with CaptureQueriesContext(connection) as queries:
        assert row.body == "hunter2"
    assert not queries.captured_queries
    clock.now += 2
    row = again(letter)
    with CaptureQueriesContext(connection) as queries:
        assert row.body == "hunter2"
    assert len(queries.captured_queries) == 1


@pytest.mark.usefixtures("live_db")
def test_a_destroyed_key_seals_nothing_once_five_minutes_have_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    organization, conversation = uuid4(), uuid4()
    first = keyring.to_seal(organization, conversation)
    destroy(DataKey.objects.get(conversation_id=conversation))
    clock.now += 301
    assert keyring.to_seal(organization, conversation).dek_id != first.dek_id


@pytest.mark.usefixtures("samples")
def test_reserved_uses_outlive_the_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    organization, conversation = uuid4(), uuid4()
    for _ in range(20):
        keyring.to_seal(organization, conversation)
        clock.now += 301
    assert DataKey.objects.get(conversation_id=conversation).uses == services.USE_BLOCK


@pytest.mark.usefixtures("samples")
def test_the_cache_is_bounded() -> None:
    ring = KeyRing(capacity=3)
    organization = uuid4()
    ids = [ring.to_seal(organization, uuid4()).dek_id for _ in range(6)]
    assert len(ring._by_id) == len(ring._sealing) == 3
    assert ring.to_open(ids[0]).dek_id == ids[0]
    assert len(ring._by_id) == 3
    for key in DataKey.objects.filter(organization_id=organization):
        destroy(key)
    ring._by_id.clear()
    for dek_id in ids:
        with pytest.raises(SealError):
            ring.to_open(dek_id)
    assert len(ring._erased) <= 3


def test_a_rolled_back_transaction_leaves_a_key_that_others_can_use(
    live_samples: LiveDatabase,
) -> None:
    """The trap: a key made in a transaction that rolls back stays in memory and seals texts
    that nobody can open after a restart."""
    organization, conversation = uuid4(), uuid4()

    def letter(body: str) -> Letter:
        return Letter(organization_id=organization, conversation_id=conversation, body=body)

    class Abandoned(Exception):
        pass

    def abandon() -> None:
        with transaction.atomic():
            letter("never happened").save()
            raise Abandoned

    with pytest.raises(Abandoned):
        abandon()
    assert not Letter.objects.exists()

    kept = letter("happened")
    kept.save()
    keyring.forget()  # a restart
    assert again(kept).body == "happened"


def test_a_forked_child_does_not_share_the_uses_of_its_parent(live_db: LiveDatabase) -> None:
    keyring.to_seal(uuid4(), uuid4())
    assert keyring._sealing
    assert apart._idle
    child = os.fork()
    if child == 0:
        os._exit(1 if keyring._sealing or keyring._by_id or apart._idle else 0)
    assert os.waitpid(child, 0)[1] == 0
    keyring.to_seal(uuid4(), uuid4())  # and the parent's connection is whole


# Races and counting


def test_many_threads_agree_on_one_data_key(live_db: LiveDatabase) -> None:
    """As many processes would: each has its own ring."""
    organization, conversation = uuid4(), uuid4()
    barrier = threading.Barrier(8)

    def seal(_: int) -> bytes:
        barrier.wait()
        return KeyRing().to_seal(organization, conversation).dek_id

    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(seal, range(8)))
    key = DataKey.objects.get(organization_id=organization)
    assert ids == {key.id.bytes}
    assert key.uses == 8 * services.USE_BLOCK
    created = Entry.objects.filter(organization_id=organization)
    assert sorted(entry.action_name for entry in created) == [
        "data_key:created",
        "key_encryption_key:created",
    ]


def test_no_use_is_given_twice_to_threads_that_share_a_ring(
    live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "USE_BLOCK", 50)
    organization, conversation = uuid4(), uuid4()

    def seal_often(_: int) -> None:
        for _ in range(100):
            keyring.to_seal(organization, conversation)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(seal_often, range(4)))
    assert DataKey.objects.get(organization_id=organization).uses == 400


def test_a_lock_held_by_the_caller_is_no_deadlock(live_samples: LiveDatabase) -> None:
    """Chat seals while it holds its stream's row: the key must not wait for that row."""
    held = Letter.objects.create(body="stands for a stream")
    with transaction.atomic():
        Letter.objects.select_for_update().get(pk=held.pk)
        Letter.objects.create(body="in a conversation that has no key yet")


def test_the_caller_s_transaction_is_neither_seen_nor_ended(live_db: LiveDatabase) -> None:
    def session() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid: int = cursor.fetchone()[0]
        return pid

    with transaction.atomic():
        mine = session()
        theirs = apart.apart(session)
        assert theirs != mine
        assert apart.apart(session) == theirs  # kept between two calls
        assert session() == mine
        assert connection.in_atomic_block


def test_a_connection_that_was_cut_meanwhile_is_replaced(live_db: LiveDatabase) -> None:
    organization = uuid4()
    keyring.to_seal(organization, uuid4())
    cutter = psycopg2.connect(live_db.superuser_url)
    with cutter.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    cutter.close()
    connection.close()
    keyring.to_seal(organization, uuid4())


def test_a_key_store_that_keeps_us_waiting_is_unavailable_and_not_a_deadlock(
    live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rival's insert that is never committed: PostgreSQL cannot see that we wait for it."""
    monkeypatch.setattr(apart, "LOCK_TIMEOUT", "200ms")
    organization, conversation = uuid4(), uuid4()
    keyring.to_seal(organization, conversation)
    rival = psycopg2.connect(live_db.app_url)
    with rival.cursor() as cursor:
        cursor.execute("SELECT * FROM encryption_data_key FOR UPDATE")
        with pytest.raises(Unavailable):
            KeyRing().to_seal(organization, conversation)
    rival.rollback()
    rival.close()
    KeyRing().to_seal(organization, conversation)


@pytest.mark.usefixtures("live_db")
def test_a_data_key_is_refused_above_its_limit_of_uses() -> None:
    assert services.USE_LIMIT == 2**28
    organization, conversation = uuid4(), uuid4()
    ring = KeyRing()
    ring.to_seal(organization, conversation)
    key = DataKey.objects.get(conversation_id=conversation)
    DataKey.objects.filter(pk=key.pk).update(uses=2**28 - services.USE_BLOCK)
    other = KeyRing()
    for _ in range(services.USE_BLOCK):
        other.to_seal(organization, conversation)
    with pytest.raises(SealError) as raised:
        other.to_seal(organization, conversation)
    assert raised.value.code is Fault.EXHAUSTED
    assert other.to_open(key.id.bytes)  # it still opens
    assert DataKey.objects.get(pk=key.pk).uses == 2**28


@pytest.mark.usefixtures("samples")
def test_a_refused_reservation_counts_no_use(tmp_path: Path) -> None:
    organization, conversation = uuid4(), uuid4()
    keyring.to_seal(organization, conversation)
    with (
        key_file(tmp_path / "other.key", base64.b64encode(os.urandom(32))),
        pytest.raises(SealError),
    ):
        keyring.to_seal(organization, conversation)
    assert DataKey.objects.get(conversation_id=conversation).uses == services.USE_BLOCK


def test_a_cipher_may_be_used_by_many_threads_at_once() -> None:
    cipher = AESGCM(os.urandom(32))

    def work(number: int) -> bool:
        text = str(number).encode() * 50
        for _ in range(200):
            nonce = os.urandom(12)
            if cipher.decrypt(nonce, cipher.encrypt(nonce, text, b"a"), b"a") != text:
                return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))


@pytest.mark.parametrize(
    ("now", "month"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1)),
        (datetime(2026, 11, 30, 23, 59, 59, 999_999, UTC), date(2026, 11, 1)),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), date(2026, 12, 1)),
        (datetime(2027, 1, 1, tzinfo=UTC), date(2027, 1, 1)),
        (datetime(2028, 2, 29, 12, tzinfo=UTC), date(2028, 2, 1)),
    ],
)
def test_the_month_of_a_key_is_the_utc_month(
    monkeypatch: pytest.MonkeyPatch, now: datetime, month: date
) -> None:
    ring = KeyRing()
    ring._this_month()
    monkeypatch.setattr("app.encryption.keyring.time.time", now.timestamp)
    assert ring._this_month() == month


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
