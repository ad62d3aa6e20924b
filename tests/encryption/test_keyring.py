"""What a process holds in memory: keys for five minutes, not too many, and none of another's."""

import os
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from app.encryption import apart, services
from app.encryption.fields import SealError
from app.encryption.keyring import KeyRing, keyring
from app.encryption.models import DataKey
from tests.encryption.keys import again, destroy
from tests.encryption.sample import Letter
from tests.live import LiveDatabase


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
