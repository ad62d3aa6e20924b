"""New keys for old ones, while people write, when the plug is pulled, beside an erasure."""

import base64
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from django.test.utils import override_settings

from app import outside
from app.accounts.models import User
from app.audit.models import Entry
from app.audit.services import SYSTEM
from app.chat import access
from app.chat.models import Conversation, MessageVersion
from app.chat.search.models import SearchTokens
from app.encryption import cloud_kms, erasures
from app.encryption.destruction import Reason, destroy_data_keys
from app.encryption.envelope import dek_id_in
from app.encryption.fields import opened, token
from app.encryption.keyring import keyring
from app.encryption.models import DataKey, KeyEncryptionKey
from app.encryption.rotation import columns, resealing, wrapping
from app.encryption.rotation.resealing import rotate_data_keys
from app.encryption.rotation.wrapping import rotate_key_encryption_key
from app.encryption.unavailable import KeyUnavailable
from app.errors import Conflict
from tests.chat.talk import room, say
from tests.encryption.rows import column, overwrite
from tests.encryption.test_destruction import hold_everything, in_a_child
from tests.fakes.kms import KmsServer
from tests.live import LiveDatabase

pytestmark = pytest.mark.usefixtures("live_db")
KMS_KEY = "projects/acme/locations/europe-west1/keyRings/parley/cryptoKeys/main"


@pytest.fixture(autouse=True)
def _quickly(tmp_path: Path) -> Iterator[None]:
    with override_settings(DATA_KEY_SECONDS=0.2, ERASURE_LIST=tmp_path / "erasures.list"):
        yield


class Told(list[tuple[str, dict[str, Any]]]):
    def __call__(self, step: str, **facts: object) -> None:
        self.append((step, facts))

    def steps(self) -> list[str]:
        return [step for step, _ in self]


def texts(user: User, ward: Conversation) -> list[str | None]:
    """What a process that has just started reads."""
    keyring.forget()
    return [view.body for view in access.timeline(user, ward.pk).messages]


def key_file(path: Path) -> Path:
    path.write_bytes(base64.b64encode(os.urandom(32)))
    return path


def keys_of(ward: Conversation) -> list[DataKey]:
    return list(DataKey.objects.filter(conversation_id=ward.pk).order_by("created_at"))


# Key encryption keys


def test_a_new_key_wraps_all_data_keys_and_the_old_one_retires(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    say(alice, ward, "hunter2")
    told = Told()
    assert rotate_key_encryption_key(alice.organization_id, tell=told) == 0
    old, new = KeyEncryptionKey.objects.order_by("created_at")
    assert old.superseded_at is not None
    assert old.retired_at is not None
    assert new.superseded_at is None
    assert {key.key_encryption_key_id for key in DataKey.objects.all()} == {new.pk}
    assert texts(alice, ward) == ["hunter2"]
    rewrapped = Entry.objects.filter(action_name="data_key:rewrapped")
    assert {entry.target_id for entry in rewrapped} == {
        str(key.pk) for key in DataKey.objects.all()
    }
    assert Entry.objects.get(action_name="key_encryption_key:retired").target_id == str(old.pk)
    assert told.steps() == ["begun", "rewrapped", "retired"]


def test_a_new_key_file_takes_over_and_the_old_one_may_then_go(
    alice: User, bob: User, tmp_path: Path, settings: Any
) -> None:
    ward = room(alice, bob)
    say(alice, ward, "hunter2")
    old, new = str(settings.KEY_ENCRYPTION_KEY_FILE), key_file(tmp_path / "new.key")
    with override_settings(KEY_ENCRYPTION_KEY_FILE=new, KEY_ENCRYPTION_KEY_FILES_OLD=[old]):
        assert texts(alice, ward) == ["hunter2"]
        assert rotate_key_encryption_key(alice.organization_id, tell=Told()) == 0
    with override_settings(KEY_ENCRYPTION_KEY_FILE=new):
        assert texts(alice, ward) == ["hunter2"]


def test_without_the_old_file_the_old_key_is_kept_and_the_failure_told(
    alice: User, bob: User, tmp_path: Path, settings: Any
) -> None:
    ward = room(alice, bob)
    say(alice, ward, "hunter2")
    told, old = Told(), str(settings.KEY_ENCRYPTION_KEY_FILE)
    new = key_file(tmp_path / "new.key")
    with override_settings(KEY_ENCRYPTION_KEY_FILE=new):
        failed = rotate_key_encryption_key(alice.organization_id, tell=told)
    assert failed == DataKey.objects.count()
    assert all(
        "KEY_ENCRYPTION_KEY_FILE" in facts["why"] for step, facts in told if step == "failed"
    )
    assert not KeyEncryptionKey.objects.filter(retired_at__isnull=False).exists()
    with override_settings(KEY_ENCRYPTION_KEY_FILE=new, KEY_ENCRYPTION_KEY_FILES_OLD=[old]):
        assert texts(alice, ward) == ["hunter2"]
        assert rotate_key_encryption_key(alice.organization_id, tell=Told()) == 0
        assert KeyEncryptionKey.objects.count() == 2  # finished, not begun once more


def test_keys_move_from_a_file_to_cloud_kms_and_only_if_it_works(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    say(alice, ward, "hunter2")
    with (
        KmsServer.running() as kms,
        override_settings(
            KEY_PROVIDER="cloud-kms",
            KMS_KEY=KMS_KEY,
            KMS_INSECURE_LOOPBACK_ENDPOINT=kms.address,
        ),
    ):
        try:
            with pytest.raises(KeyUnavailable, match="NOT_FOUND"):
                rotate_key_encryption_key(alice.organization_id, tell=Told())
            assert KeyEncryptionKey.objects.count() == 1
            outside.forget()
            kms.make_key(KMS_KEY)
            assert rotate_key_encryption_key(alice.organization_id, tell=Told()) == 0
            with override_settings(KEY_ENCRYPTION_KEY_FILE=None):
                assert texts(alice, ward) == ["hunter2"]
                say(alice, ward, "under the new one")
        finally:
            cloud_kms._connected.cache_clear()
    assert {key.key_encryption_key.provider for key in keys_of(ward)} == {"cloud-kms"}


@pytest.mark.parametrize("moment", range(6))
def test_a_rewrapping_that_is_killed_is_finished_by_the_next(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    wards = [room(alice, bob) for _ in range(4)]
    for ward in wards:
        say(alice, ward, "hunter2")
    monkeypatch.setattr(wrapping, "BATCH", 1)
    killed = in_a_child(
        lambda: rotate_key_encryption_key(alice.organization_id, tell=dying(moment))
    )
    assert killed == -signal.SIGKILL
    for ward in wards:
        assert texts(alice, ward) == ["hunter2"]
        say(alice, ward, "meanwhile")
    assert rotate_key_encryption_key(alice.organization_id, tell=Told()) == 0
    retired = KeyEncryptionKey.objects.filter(retired_at__isnull=False)
    assert not DataKey.objects.filter(key_encryption_key__in=retired).exists()
    assert KeyEncryptionKey.objects.filter(superseded_at=None).count() == 1
    for ward in wards:
        assert texts(alice, ward) == ["hunter2", "meanwhile"]


def dying(moment: int) -> Callable[..., None]:
    """Kills its own process when it is told of a step for the `moment`th time."""
    left = [moment]

    def tell(step: str, **facts: object) -> None:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    return tell


def test_two_at_the_same_time_are_one_too_many(alice: User, live_db: LiveDatabase) -> None:
    rival = psycopg2.connect(live_db.app_url)
    with rival.cursor() as cursor:
        lock = f"parley/rotate-kek/{alice.organization_id}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
        with pytest.raises(Conflict):
            rotate_key_encryption_key(alice.organization_id, tell=Told())
    rival.rollback()  # not close(): its lock would be let go some time after it
    rotate_key_encryption_key(alice.organization_id, tell=Told())
    rival.close()


# Data keys


def commitments() -> dict[UUID, bytes]:
    keyring.forget()
    versions = MessageVersion.objects.filter(body__isnull=False)
    return {version.pk: opened(version, "body").commitment for version in versions}


def test_all_that_was_sealed_is_sealed_anew_and_keeps_its_commitment(
    alice: User, bob: User
) -> None:
    ward = room(alice, bob, name="ward-4")
    for number in range(5):
        say(alice, ward, f"hunter{number}")
    before, old = commitments(), {key.pk for key in DataKey.objects.all()}
    outcome = rotate_data_keys(alice.organization_id, tell=Told())
    assert outcome.destroyed == len(old)
    assert not DataKey.objects.filter(pk__in=old, wrapped__isnull=False).exists()
    assert commitments() == before
    for model in columns.sealed_models():
        for row in model._base_manager.all():
            assert not list(columns.tokens_under(row, {key.bytes for key in old}))
    keyring.forget()
    assert Conversation.objects.get(pk=ward.pk).name == "ward-4"
    assert User.objects.get(pk=bob.pk).display_name == "Bob"
    rotated = Entry.objects.filter(action_name="data_key:rotated")
    assert {entry.target_id for entry in rotated} == {str(key) for key in old}
    assert not erasures.entries()  # nothing was erased: a backup's rows need their keys


def test_one_conversation_is_rotated_without_the_others(alice: User, bob: User) -> None:
    ward, other = room(alice, bob), room(alice, bob)
    say(alice, ward, "hunter2")
    say(alice, other, "hunter2")
    rotate_data_keys(alice.organization_id, tell=Told(), conversation=ward.pk)
    assert [bool(key.destroyed_at) for key in keys_of(ward)] == [True, False]
    assert [bool(key.destroyed_at) for key in keys_of(other)] == [False]


def test_what_was_found_before_is_found_afterwards(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    ack = say(alice, ward, "the red folder")
    before = SearchTokens.objects.get(pk=UUID(ack.id))
    rotate_data_keys(alice.organization_id, tell=Told())
    after = SearchTokens.objects.get(pk=UUID(ack.id))
    version = MessageVersion.objects.get(message_id=UUID(ack.id))
    assert after.key_id.bytes == dek_id_in(token(version, "body"))
    assert after.key_id != before.key_id
    assert set(after.words) & set(before.words) == set()
    assert len(after.words) == len(before.words)


@pytest.mark.parametrize("moment", range(1, 8))
def test_a_rotation_that_is_killed_is_finished_by_the_next(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    ward = room(alice, bob)
    for number in range(4):
        say(alice, ward, f"hunter{number}")
    before = commitments()
    monkeypatch.setattr(resealing, "BATCH", 1)
    killed = in_a_child(lambda: bool(rotate_data_keys(alice.organization_id, tell=dying(moment))))
    assert killed == -signal.SIGKILL
    assert commitments() == before
    say(alice, ward, "meanwhile")
    rotate_data_keys(alice.organization_id, tell=Told())
    assert texts(alice, ward) == [*(f"hunter{number}" for number in range(4)), "meanwhile"]
    assert commitments().items() >= before.items()
    assert not DataKey.objects.filter(closed_at__isnull=False, destroyed_at=None).exists()


def test_a_row_that_is_written_back_as_it_was_read_before_is_not_lost(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = room(alice, bob, name="ward-4")
    stale = Conversation.objects.get(pk=ward.pk)
    wait = resealing._wait

    def wait_and_be_late(tell: Any) -> None:
        wait(tell)
        if not late:
            overwrite(ward, "name", token(stale, "name"))
            late.append(True)

    late: list[bool] = []
    monkeypatch.setattr(resealing, "_wait", wait_and_be_late)
    rotate_data_keys(alice.organization_id, tell=Told())
    keyring.forget()
    assert late
    assert Conversation.objects.get(pk=ward.pk).name == "ward-4"


def test_a_key_is_not_destroyed_while_a_transaction_of_before_goes_on(
    alice: User, live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = psycopg2.connect(live_db.app_url)
    with old.cursor() as cursor:
        cursor.execute("SELECT 1")
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        os.sched_yield()
        if len(naps) == 40:
            assert not DataKey.objects.filter(destroyed_at__isnull=False).exists()
            old.rollback()

    with override_settings(DATA_KEY_SECONDS=0):
        monkeypatch.setattr("app.encryption.rotation.resealing.time.sleep", nap)
        rotate_data_keys(alice.organization_id, tell=Told())
    old.close()
    assert len(naps) == 40


def test_a_row_that_does_not_open_is_named_and_keeps_its_key(alice: User, bob: User) -> None:
    ward, other = room(alice, bob), room(alice, bob)
    ack = say(alice, ward, "hunter2")
    say(alice, other, "kept")
    broken = MessageVersion.objects.get(message_id=UUID(ack.id))
    sealed = column(broken, "body")
    overwrite(broken, "body", sealed[:-6] + ("AAAAAA" if sealed[-6:] != "AAAAAA" else "QQQQQQ"))
    told = Told()
    outcome = rotate_data_keys(alice.organization_id, tell=told)
    assert outcome.unreadable == {keys_of(ward)[0].pk}
    (named,) = [facts for step, facts in told if step == "unreadable"]
    assert named["table"] == "chat_messageversion"
    assert (named["row"], named["column"]) == (str(broken.pk), "body")
    assert keys_of(ward)[0].destroyed_at is None
    assert keys_of(other)[0].destroyed_at is not None
    assert texts(alice, other) == ["kept"]


def test_an_erasure_in_the_middle_wins(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rotation has the old key in memory, has not heard of its end, and makes a new one."""
    ward = room(alice, bob)
    say(alice, ward, "hunter2")
    to_seal, erased = keyring.to_seal, list[UUID]()

    def erased_just_before(organization: UUID, conversation: UUID | None, *month: Any) -> Any:
        if conversation == ward.pk and not erased:
            erased.extend(erase(ward))
        return to_seal(organization, conversation, *month)

    monkeypatch.setattr("app.encryption.forgetting.tell", lambda _: None)
    monkeypatch.setattr(resealing, "_wait", lambda _: None)
    monkeypatch.setattr(keyring, "to_seal", erased_just_before)
    with override_settings(DATA_KEY_SECONDS=300):
        assert texts(alice, ward) == ["hunter2"]
        rotate_data_keys(alice.organization_id, tell=Told())
        assert len(erased) == 1
        assert texts(alice, ward) == [None]


def erase(ward: Conversation) -> list[UUID]:
    return destroy_data_keys(
        organization=ward.organization_id,
        conversation=ward.pk,
        actor=SYSTEM,
        reason=Reason.REQUEST,
    )


def test_an_erasure_reaches_backups_from_before_a_rotation(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    say(alice, ward, "hunter2")
    rotate_data_keys(alice.organization_id, tell=Told())
    erase(ward)
    assert erasures.listed() == {key.pk for key in keys_of(ward)}
    assert len(keys_of(ward)) == 2


def test_a_hold_keeps_the_old_key_and_the_rotation_goes_on(
    alice: User, bob: User, live_db: LiveDatabase
) -> None:
    ward = room(alice, bob)
    say(alice, ward, "hunter2")
    hold_everything(live_db)
    told = Told()
    outcome = rotate_data_keys(alice.organization_id, tell=told)
    assert outcome.destroyed == 0
    assert "held" in told.steps()
    assert texts(alice, ward) == ["hunter2"]
    assert not DataKey.objects.filter(closed_at=None, destroyed_at__isnull=False).exists()
