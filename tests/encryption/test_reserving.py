"""Data keys that many ask for at once, and the count of their uses: never below the truth."""

import base64
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import connection, transaction

from app.audit.models import Entry
from app.encryption import apart, services
from app.encryption.envelope import Fault
from app.encryption.fields import SealError
from app.encryption.keyring import KeyRing, keyring
from app.encryption.models import DataKey
from app.errors import Unavailable
from tests.encryption.keys import key_file
from tests.encryption.sample import Letter
from tests.live import LiveDatabase

THIS_MONTH = datetime.now(UTC).date().replace(day=1)


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


def test_so_many_threads_commit_by_themselves_at_once_and_no_more(live_db: LiveDatabase) -> None:
    """Each has a connection beside its own: the others wait for their turn."""
    counting, here, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal here, most
        with counting:
            here += 1
            most = max(most, here)
        time.sleep(0.05)
        with counting:
            here -= 1

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda _: apart.apart(work), range(6)))
    assert 0 < most <= apart.AT_ONCE


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
            "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    cutter.close()
    connection.close()
    keyring.to_seal(organization, uuid4())


def test_a_key_store_that_keeps_us_waiting_is_unavailable_and_not_a_deadlock(
    live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rival's insert that is never committed: PostgreSQL cannot see that we wait for it."""
    monkeypatch.setattr(apart, "LOCK_SECONDS", 0.2)
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
