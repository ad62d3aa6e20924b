"""Keys in Google Cloud KMS: the real client against a faithful server, and what it may meet."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import grpc
import pytest
from django.test.utils import override_settings

from app import outside
from app.accounts.models import Organization, User
from app.chat import access
from app.chat.services import Draft, send_messages
from app.encryption import cloud_kms, services
from app.encryption.cloud_kms import CloudKms
from app.encryption.envelope import Fault, SealError
from app.encryption.keyring import keyring
from app.encryption.models import DataKey, KeyEncryptionKey
from app.encryption.unavailable import KeyUnavailable
from app.errors import Unavailable
from app.realtime.protocol import Ack
from tests.chat.talk import room, say
from tests.encryption.sample import Letter
from tests.fakes import kms as fake
from tests.fakes.kms import KmsServer
from tests.live import LiveDatabase

RING = "projects/acme/locations/europe-west1/keyRings/parley/cryptoKeys"
NAME = f"{RING}/main"
KEY, BINDING = bytes(range(32)), b"of this row"


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[KmsServer]:
    monkeypatch.setattr(cloud_kms, "ATTEMPT", 0.5)
    monkeypatch.setattr(cloud_kms, "PATIENCE", 1.5)
    monkeypatch.setattr(outside, "PAUSE", 0.0)
    with KmsServer.running() as server:
        server.make_key(NAME)
        with override_settings(
            KEY_PROVIDER="cloud-kms",
            KMS_KEY=NAME,
            KEY_ENCRYPTION_KEY_FILE=None,
            KMS_INSECURE_LOOPBACK_ENDPOINT=server.address,
        ):
            yield server
        cloud_kms._connected.cache_clear()


def refused(call: object, status: str) -> KeyUnavailable:
    with pytest.raises(KeyUnavailable) as raised:
        call()  # type: ignore[operator]
    told = str(raised.value)
    assert NAME in told
    assert f"[{status}]" in told
    assert raised.value.code == Fault.KEY_UNAVAILABLE == Unavailable.code
    assert NAME not in raised.value.message  # what people are told
    return raised.value


def test_a_wrapped_key_opens_where_it_belongs_and_nowhere_else(kms: KmsServer) -> None:
    key = CloudKms(NAME)
    wrapped = key.wrap(KEY, BINDING)
    assert KEY not in wrapped
    assert key.unwrap(wrapped, BINDING) == KEY
    refused(lambda: key.unwrap(wrapped, b"of another row"), "INVALID_ARGUMENT")
    refused(lambda: key.unwrap(wrapped[:-1] + b"\0", BINDING), "INVALID_ARGUMENT")


@pytest.mark.usefixtures("samples")
def test_texts_are_sealed_under_keys_that_cloud_kms_wrapped(kms: KmsServer) -> None:
    letters = [Letter.objects.create(body=f"letter {number}") for number in range(2)]
    for letter in letters:
        kek = KeyEncryptionKey.objects.get(organization_id=letter.organization_id)
        assert (kek.provider, kek.reference) == ("cloud-kms", NAME)
    keyring.forget()
    assert [Letter.objects.get(pk=one.pk).body for one in letters] == ["letter 0", "letter 1"]
    assert kms.calls == ["encrypt", "decrypt"] * 2 + ["decrypt"] * 2


@pytest.mark.usefixtures("samples")
def test_one_kms_key_serves_organizations_that_still_cannot_open_each_other(
    kms: KmsServer,
) -> None:
    """Which organization and row a data key is of stands in the associated data."""
    mine, theirs = Letter.objects.create(body="mine"), Letter.objects.create(body="theirs")
    my_key, other = (
        DataKey.objects.get(conversation_id=one.conversation_id) for one in (mine, theirs)
    )
    my_key.wrapped = other.wrapped
    my_key.save(update_fields=["wrapped"])
    keyring.forget()
    with pytest.raises(SealError, match=str(my_key.pk)):
        _ = Letter.objects.get(pk=mine.pk).body


# Faults


def test_a_revoked_permission_is_named_with_the_key_and_what_it_needs(kms: KmsServer) -> None:
    kms.keys[NAME].denied = True
    error = refused(lambda: CloudKms(NAME).wrap(KEY, BINDING), "PERMISSION_DENIED")
    assert "cryptoKeyEncrypterDecrypter" in str(error)


def test_a_disabled_or_destroyed_version_is_named_and_another_goes_on(kms: KmsServer) -> None:
    key = CloudKms(NAME)
    first = key.wrap(KEY, BINDING)
    kms.keys[NAME].rotate()
    second = key.wrap(KEY, BINDING)
    kms.keys[NAME].unusable = {1}
    refused(lambda: key.unwrap(first, BINDING), "FAILED_PRECONDITION")
    assert key.unwrap(second, BINDING) == KEY
    kms.keys[NAME].unusable = {2}
    refused(lambda: key.wrap(KEY, BINDING), "FAILED_PRECONDITION")
    assert key.unwrap(first, BINDING) == KEY


def test_a_key_that_is_not_there_is_named(kms: KmsServer) -> None:
    del kms.keys[NAME]
    refused(lambda: CloudKms(NAME).unwrap(b"x" * 60, BINDING), "NOT_FOUND")


def test_a_service_that_comes_back_in_time_is_not_noticed(kms: KmsServer) -> None:
    kms.faults = [fake.Fault(status=grpc.StatusCode.UNAVAILABLE)] * 2
    wrapped = CloudKms(NAME).wrap(KEY, BINDING)
    kms.faults = [fake.Fault(status=grpc.StatusCode.DEADLINE_EXCEEDED)]
    assert CloudKms(NAME).unwrap(wrapped, BINDING) == KEY
    assert kms.calls == ["encrypt"] * 3 + ["decrypt"] * 2


def test_a_service_that_stays_away_is_given_up(kms: KmsServer) -> None:
    kms.faults = [fake.Fault(status=grpc.StatusCode.UNAVAILABLE)] * 100
    refused(lambda: CloudKms(NAME).wrap(KEY, BINDING), "UNAVAILABLE")
    assert 1 < len(kms.calls) < 20


def test_a_service_that_never_answers_is_given_up(kms: KmsServer) -> None:
    released = threading.Event()
    kms.faults = [fake.Fault(held_until=released)] * 8
    try:
        refused(lambda: CloudKms(NAME).wrap(KEY, BINDING), "DEADLINE_EXCEEDED")
    finally:
        released.set()


def test_no_server_at_all_is_given_up(kms: KmsServer) -> None:
    with override_settings(KMS_INSECURE_LOOPBACK_ENDPOINT="127.0.0.1:1"):
        refused(lambda: CloudKms(NAME).wrap(KEY, BINDING), "UNAVAILABLE")


@pytest.mark.parametrize(
    "damage",
    [
        fake.Fault(wrong_checksum=True),
        fake.Fault(unverified=True),
        fake.Fault(wrong_version=True),
    ],
)
def test_an_answer_that_was_damaged_is_asked_for_again_and_never_used(
    kms: KmsServer, damage: fake.Fault
) -> None:
    key = CloudKms(NAME)
    kms.faults = [damage]
    wrapped = key.wrap(KEY, BINDING)
    assert kms.calls == ["encrypt"] * 2
    assert key.unwrap(wrapped, BINDING) == KEY
    kms.faults = [damage] * 10
    refused(lambda: key.wrap(KEY, BINDING), "CHECKSUM")


def test_a_damaged_answer_to_unwrapping_is_never_used(kms: KmsServer) -> None:
    wrapped = CloudKms(NAME).wrap(KEY, BINDING)
    kms.faults = [fake.Fault(wrong_checksum=True)] * 10
    refused(lambda: CloudKms(NAME).unwrap(wrapped, BINDING), "CHECKSUM")
    assert kms.calls == ["encrypt"] + ["decrypt"] * 3


def test_after_a_failure_a_key_is_left_alone_for_a_moment(
    kms: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a thousand who ask for it do not each wait for it."""
    now = [1000.0]
    monkeypatch.setattr(outside, "PAUSE", 5.0)
    monkeypatch.setattr("app.outside.time.monotonic", lambda: now[0])
    kms.make_key(f"{RING}/other")
    kms.keys[NAME].denied = True
    for _ in range(3):
        refused(lambda: CloudKms(NAME).wrap(KEY, BINDING), "PERMISSION_DENIED")
    assert kms.calls == ["encrypt"]
    assert CloudKms(f"{RING}/other").wrap(KEY, BINDING)
    kms.keys[NAME].denied = False
    now[0] += 5.1
    assert CloudKms(NAME).wrap(KEY, BINDING)


# What members meet


@pytest.mark.usefixtures("samples")
def test_keys_in_memory_go_on_when_the_permission_is_revoked(kms: KmsServer) -> None:
    letter = Letter.objects.create(body="hunter2")
    kms.keys[NAME].denied = True
    assert Letter.objects.get(pk=letter.pk).body == "hunter2"
    letter.body = "changed"
    letter.save()
    keyring.drop()
    with pytest.raises(KeyUnavailable):
        _ = Letter.objects.get(pk=letter.pk).body
    kms.keys[NAME].denied = False
    assert Letter.objects.get(pk=letter.pk).body == "changed"


def move_to_own_key(organization: Organization, kms: KmsServer) -> str:
    """As an organization with a key of its own."""
    own = kms.make_key(f"{RING}/{organization.slug}").name
    for row in DataKey.objects.filter(organization_id=organization.pk):
        bare = services.unwrap_data_key(row)
        kek = row.key_encryption_key
        kek.reference = own
        row.wrapped = services.wrapped_data_key(row, kek, bare)
        row.save(update_fields=["wrapped"])
    KeyEncryptionKey.objects.filter(organization_id=organization.pk).update(reference=own)
    return own


def test_one_organization_s_revoked_key_stops_nobody_else(
    kms: KmsServer, live_db: LiveDatabase, alice: User, bob: User, eve: User
) -> None:
    mine, theirs = room(alice, bob), room(eve)
    say(alice, mine, "before")
    say(eve, theirs, "before")
    own = move_to_own_key(alice.organization, kms)
    keyring.forget()
    kms.keys[own].denied = True
    drafts = [
        Draft(author, where.pk, str(uuid4()), "in one batch")
        for author, where in ((alice, mine), (eve, theirs))
    ]
    refusal, ack = send_messages(drafts)
    assert isinstance(refusal, Unavailable)
    assert isinstance(ack, Ack)
    with pytest.raises(Unavailable):
        access.timeline(alice, mine.pk)
    assert [view.body for view in access.timeline(eve, theirs.pk).messages][-1] == "in one batch"


def test_one_organization_s_slow_key_keeps_nobody_else_waiting(
    kms: KmsServer, live_db: LiveDatabase
) -> None:
    released = threading.Event()
    kms.faults = [fake.Fault(held_until=released)]
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(keyring.to_seal, uuid4(), UUID(int=1))
        while not kms.calls:  # it waits for its answer now
            pass
        keyring.to_seal(uuid4(), UUID(int=2))
        assert not slow.done()
        released.set()
        slow.result(timeout=30)
