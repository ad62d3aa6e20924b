"""Erasing by destroying keys: what goes, what stays, what is told, and what a crash leaves."""

import json
import os
import resource
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import psycopg2
import pytest
from django.db import connection, transaction
from django.test.utils import override_settings

from app.accounts.models import User
from app.audit.models import Entry
from app.audit.services import SYSTEM
from app.chat.models import Conversation
from app.encryption import apart, erasures, services
from app.encryption.destruction import Reason, destroy_data_keys
from app.encryption.erasures import ErasureListUnusable
from app.encryption.fields import SealError
from app.encryption.keyring import KeyRing, keyring
from app.encryption.models import DataKey
from app.errors import UnderHold
from tests.chat.talk import room, say
from tests.encryption.sample import Letter
from tests.live import LiveDatabase
from tests.realtime.speaker import bearer
from tests.server import WebServer


@pytest.fixture(autouse=True)
def _own_list(tmp_path: Path) -> Iterator[None]:
    with override_settings(ERASURE_LIST=tmp_path / "erasures.list"):
        yield


def erase(letter: Letter, months: list[date] | None = None) -> list[UUID]:
    return destroy_data_keys(
        organization=letter.organization_id,
        conversation=letter.conversation_id,
        months=months,
        actor=SYSTEM,
        reason=Reason.REQUEST,
        request=letter.pk,
    )


def erased(letter: Letter) -> bool:
    try:
        return not Letter.objects.get(pk=letter.pk).body
    except SealError as error:
        return error.erased


def hold_everything(live: LiveDatabase) -> None:
    """As compliance tells the database what is held."""
    owner = psycopg2.connect(live.owner_url)
    with owner, owner.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION parley_is_held(organization uuid, conversation uuid)"
            " RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN true; END $$"
        )
    owner.close()


@pytest.mark.usefixtures("live_samples")
def test_what_a_key_sealed_is_erased_and_nothing_else() -> None:
    letter = Letter.objects.create(body="hunter2", note="also")
    other = Letter.objects.create(organization_id=letter.organization_id, body="kept")
    (key,) = erase(letter)
    assert erased(letter)
    assert Letter.objects.get(pk=other.pk).body == "kept"
    row = DataKey.objects.get(pk=key)
    assert row.wrapped is None
    assert row.destroyed_at is not None
    assert erase(letter) == []


@pytest.mark.usefixtures("live_samples")
def test_each_destroyed_key_is_an_entry_that_says_of_what_and_why() -> None:
    letter = Letter.objects.create(body="hunter2")
    (key,) = erase(letter)
    entry = Entry.objects.get(action_name="data_key:destroyed")
    assert entry.scope_id == letter.conversation_id
    assert entry.target_id == str(key)
    told = bytes(entry.body)
    month = DataKey.objects.get(pk=key).month
    assert f'"month":"{month}"'.encode() in told
    assert b'"reason":"request"' in told
    assert f'"request":"{letter.pk}"'.encode() in told


@pytest.mark.usefixtures("live_samples")
def test_a_month_is_erased_without_the_others() -> None:
    past = date(2026, 2, 1)
    letter = Letter.objects.create(body="of now")
    old = services.reserve_data_key(
        organization=letter.organization_id, conversation=letter.conversation_id, month=past
    )
    assert erase(letter, [date(2026, 1, 1)]) == []
    assert erase(letter, [past]) == [old.pk]
    assert not erased(letter)


@pytest.mark.usefixtures("live_samples")
def test_what_is_written_afterwards_has_another_key() -> None:
    letter = Letter.objects.create(body="hunter2")
    erase(letter)
    letter.body = "afterwards"
    letter.save()
    assert not erased(letter)


def test_nothing_under_a_legal_hold_is_destroyed(live_samples: LiveDatabase) -> None:
    letter = Letter.objects.create(body="hunter2")
    hold_everything(live_samples)
    with pytest.raises(UnderHold):
        erase(letter)
    keyring.forget()
    assert not erased(letter)
    assert not Entry.objects.filter(action_name="data_key:destroyed").exists()
    assert not erasures.entries()


@pytest.mark.usefixtures("live_samples")
def test_it_is_done_outside_of_other_transactions_because_a_list_cannot_roll_back() -> None:
    letter = Letter.objects.create(body="hunter2")
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        erase(letter)
    assert not erasures.entries()


# The list outside the database


@pytest.mark.usefixtures("live_samples")
def test_the_list_says_what_was_erased() -> None:
    letter = Letter.objects.create(body="hunter2")
    (key,) = erase(letter)
    (line,) = erasures.entries()
    assert (line.key, line.organization, line.conversation) == (
        key, letter.organization_id, letter.conversation_id,
    )  # fmt: skip
    assert (line.month, line.reason) == (DataKey.objects.get(pk=key).month, "request")
    assert erasures.listed() == {key}
    path = erasures._path()
    assert path.stat().st_mode & 0o077 == 0
    assert b"hunter2" not in path.read_bytes()


@pytest.mark.usefixtures("live_samples")
def test_without_the_list_nothing_is_erased(tmp_path: Path) -> None:
    letter = Letter.objects.create(body="hunter2")
    for unusable in (tmp_path, tmp_path / "nowhere" / "list"):
        with (
            override_settings(ERASURE_LIST=unusable),
            pytest.raises(ErasureListUnusable, match="ERASURE_LIST"),
        ):
            erase(letter)
    assert not erased(letter)
    assert not Entry.objects.filter(action_name="data_key:destroyed").exists()


def test_a_full_disk_leaves_no_half_line() -> None:
    erasures.append([line()])
    before = erasures._path().read_bytes()

    def work() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, resource.RLIM_INFINITY))
        try:
            erasures.append([line(), line()])
        except ErasureListUnusable:
            return 0
        return 1

    assert in_a_child(work) == 0
    assert erasures._path().read_bytes() == before


def test_a_line_that_a_crash_cut_off_is_dropped_and_a_changed_one_is_named() -> None:
    first, second = line(), line()
    erasures.append([first])
    with erasures._path().open("a") as file:
        file.write(second.line()[:40])
    assert erasures.entries() == [first]
    erasures.append([second])
    assert erasures.entries() == [first, second]
    text = erasures._path().read_text()
    erasures._path().write_text(text.replace(str(second.key), str(uuid4())))
    with pytest.raises(ErasureListUnusable, match="line 2"):
        erasures.entries()


def test_a_crash_between_the_list_and_the_commit_leaves_a_key_that_opens_nothing(
    live_samples: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = Letter.objects.create(body="hunter2")
    append = erasures.append

    def append_and_die(lines: list[erasures.Listed]) -> None:
        append(lines)
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> int:
        monkeypatch.setattr(erasures, "append", append_and_die)
        connection.close()
        erase(letter)
        return 0

    assert in_a_child(work) == -signal.SIGKILL
    key = DataKey.objects.get(conversation_id=letter.conversation_id)
    assert key.destroyed_at is None
    assert erasures.listed() == {key.pk}
    keyring.forget()
    assert erased(letter)


# Who forgets


def test_a_key_that_was_read_before_its_end_was_told_is_not_kept(
    live_samples: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = Letter.objects.create(body="hunter2")
    ring, key = KeyRing(), DataKey.objects.get(conversation_id=letter.conversation_id)
    unwrap = services.unwrap_data_key

    def unwrap_slowly(row: DataKey) -> bytes:
        bare = unwrap(row)
        erase(letter)
        ring.drop([row.id.bytes])
        return bare

    monkeypatch.setattr(services, "unwrap_data_key", unwrap_slowly)
    ring.to_open(key.id.bytes)
    monkeypatch.undo()
    with pytest.raises(SealError) as raised:
        ring.to_open(key.id.bytes)
    assert raised.value.erased


def test_a_running_server_forgets_at_once_and_shows_the_others_still(
    server: WebServer, alice: User, bob: User
) -> None:
    wards = room(alice, bob), room(alice, bob)
    for ward in wards:
        say(alice, ward, "hunter2")
    assert [seen(server, alice, ward) for ward in wards] == ["hunter2", "hunter2"]
    destroy_data_keys(
        organization=alice.organization_id,
        conversation=wards[0].pk,
        actor=SYSTEM,
        reason=Reason.OPERATOR,
    )
    assert eventually(lambda: seen(server, alice, wards[0]) is None)
    assert seen(server, alice, wards[1]) == "hunter2"


def seen(server: WebServer, user: User, ward: Conversation) -> str | None:
    """The only message of the conversation, as the running server shows it."""
    request = urllib.request.Request(
        f"{server.base_url}/api/conversations/{ward.pk}/messages",
        headers={"Authorization": f"Bearer {bearer(user)}"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        (message,) = json.load(response)["messages"]
    body: str | None = message["body"]
    return body


def eventually(holds: Callable[[], bool]) -> bool:
    for _ in range(100):
        if holds():
            return True
        time.sleep(0.05)
    return False


def line() -> erasures.Listed:
    return erasures.Listed(
        "2026-11-21T08:02:14.312345Z", uuid4(), None, date(2026, 11, 1), uuid4(), "request"
    )


def in_a_child(work: Callable[[], int]) -> int:
    """The exit code of a forked child that does `work`; minus the signal that ended it."""
    connection.close()
    apart.disconnect()
    child = os.fork()
    if child == 0:
        try:
            os._exit(work())
        except BaseException:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
