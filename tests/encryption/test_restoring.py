"""A backup brings back what was erased: until it is erased again, nobody is let in."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.test.utils import override_settings

from app.accounts.models import User
from app.audit.models import Entry
from app.audit.services import SYSTEM
from app.chat import access
from app.chat.models import Conversation
from app.encryption import erasures, gate
from app.encryption.destruction import Reason, destroy_data_keys, replay_erasures
from app.encryption.keyring import keyring
from app.encryption.models import DataKey
from app.errors import UnderHold
from dev.services import worker_command
from tests.chat.talk import room, say
from tests.encryption.test_destruction import hold_everything
from tests.live import LiveDatabase
from tests.server import WebServer
from tests.stack import Stack


@pytest.fixture(autouse=True)
def _own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gate, "_AGAIN", 0.0)
    monkeypatch.setattr(gate, "_good_until", 0.0)  # of an earlier test
    # Processes that are started read it from the environment.
    monkeypatch.setenv("ERASURE_LIST", str(tmp_path / "erasures.list"))
    with override_settings(ERASURE_LIST=tmp_path / "erasures.list"):
        yield


def erase(ward: Conversation) -> None:
    destroy_data_keys(
        organization=ward.organization_id,
        conversation=ward.pk,
        actor=SYSTEM,
        reason=Reason.REQUEST,
    )
    keyring.forget()


def backup(live: LiveDatabase, path: Path) -> None:
    subprocess.run(["pg_dump", "-Fc", "-f", path, live.superuser_url], check=True, timeout=60)


def restore(live: LiveDatabase, path: Path) -> None:
    """Over what is there, as an operator does after an accident."""
    subprocess.run(
        ["pg_restore", "--clean", "--if-exists", "-d", live.superuser_url, path],
        check=True,
        timeout=90,
    )
    keyring.forget()


def body(user: User, ward: Conversation) -> str | None:
    return access.timeline(user, ward.pk).messages[0].body


def status(server: WebServer, path: str) -> int:
    try:
        with urllib.request.urlopen(server.base_url + path, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:  # else its socket is left to the garbage collector, in another test's time
            return error.code


def test_after_a_restore_nobody_is_let_in_until_the_erasures_were_replayed(
    server: WebServer, live_db: LiveDatabase, alice: User, bob: User, tmp_path: Path, stack: Stack
) -> None:
    ward, other = room(alice, bob), room(alice, bob)
    say(alice, ward, "hunter2")
    say(alice, other, "kept")
    backup(live_db, tmp_path / "dump")
    erase(ward)
    assert status(server, "/sign-in") == 200
    server.terminate()
    restore(live_db, tmp_path / "dump")
    assert not DataKey.objects.filter(destroyed_at__isnull=False).exists()

    server.start()
    assert status(server, "/sign-in") == 503
    assert status(server, "/api/conversations") == 503
    assert status(server, "/healthz") == 200
    assert body(alice, ward) is None  # nor does the key open for anybody else
    worker = subprocess.run(
        worker_command(sys.executable),
        env=os.environ | server.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert worker.returncode != 0
    assert "replay-erasures" in worker.stderr + worker.stdout
    with pytest.raises(CommandError, match="replay-erasures"):
        call_command("keys", "status", stdout=StringIO())

    call_command("keys", "replay-erasures", stdout=StringIO())
    assert status(server, "/sign-in") == 200
    assert body(alice, ward) is None
    assert body(alice, other) == "kept"
    entry = Entry.objects.get(action_name="data_key:destroyed")
    assert b'"reason":"replay"' in bytes(entry.body)
    assert replay_erasures() == 0


def test_a_hold_that_the_backup_brought_back_is_passed_by_the_owner_alone(
    live_db: LiveDatabase, alice: User, bob: User, tmp_path: Path
) -> None:
    ward, other = room(alice, bob), room(alice, bob)
    say(alice, ward, "hunter2")
    say(alice, other, "kept")
    key = DataKey.objects.get(conversation_id=ward.pk)
    erasures.append([listed(key)])
    hold_everything(live_db)
    with pytest.raises(UnderHold):
        replay_erasures()
    with pytest.raises(Exception, match="must be owner"):
        replay_erasures(despite_hold=True)
    with live_db.acting_as("owner"):
        assert replay_erasures(despite_hold=True) == 1
    keyring.forget()
    assert body(alice, ward) is None
    with pytest.raises(UnderHold):  # the trigger is back
        erase(other)


def listed(key: DataKey) -> erasures.Listed:
    return erasures.Listed(
        "2026-11-21T08:02:14.312345Z",
        key.organization_id,
        key.conversation_id,
        key.month,
        key.pk,
        "request",
    )


@pytest.mark.usefixtures("db")
def test_a_list_that_was_tampered_with_lets_nobody_in(client: Client) -> None:
    assert client.get("/sign-in").status_code == 200
    erasures._path().write_text("v1 of something else\n")
    answer = client.get("/sign-in")
    assert answer.status_code == 503
    assert "ERASURE_LIST" in answer.content.decode()
    assert client.get("/api/people").json()["error"]["code"] == "unavailable"
