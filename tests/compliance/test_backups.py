"""The drill: a backup, then more happens, then the database is lost and put back."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from app.accounts.models import User
from app.audit.anchoring import bring, enrolled
from app.audit.services import SYSTEM
from app.chat import access
from app.chat.models import Message
from app.compliance import backups
from app.encryption import gate
from app.encryption.destruction import Reason, destroy_data_keys
from app.encryption.keyring import keyring
from app.settings.base import BASE_DIR
from dev.binaries import postgresql_programs
from tests.chat.talk import room, say
from tests.fakes.gcs import GcsServer
from tests.live import LiveDatabase
from tests.stack import Stack

PROGRAMS = postgresql_programs()


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A list of erasures and a bucket for checkpoints, which no restore touches."""
    monkeypatch.setattr(gate, "_AGAIN", 0.0)
    monkeypatch.setattr(gate, "_good_until", 0.0)
    settings.ERASURE_LIST = tmp_path / "erasures.list"
    settings.ANCHOR_WITNESS, settings.ANCHOR_MAIL, settings.ANCHOR_KEEP_DAYS = [], [], 30
    with GcsServer.running() as gcs:
        gcs.make_bucket("anchors", retention=timedelta(days=30), locked=True)
        settings.ANCHOR_BUCKET = [f"gs://anchors/log?endpoint={gcs.url}"]
        yield


@pytest.fixture
def empty(stack: Stack, live_db: LiveDatabase) -> Iterator[LiveDatabase]:
    with stack.fresh_database(template="") as database:
        yield LiveDatabase(database)


def seal_and_anchor(live: LiveDatabase, organization: object) -> None:
    with live.acting_as("sealer"):
        call_command("seal", "--once", stdout=StringIO())
    for anchor in enrolled(organization):  # type: ignore[arg-type]
        bring(anchor, although_nothing_is_new=True)
    with live.acting_as("sealer"):
        call_command("seal", "--once", stdout=StringIO())


def command(live: LiveDatabase, role: str, *words: object) -> str:
    said = StringIO()
    with live.acting_as(role):  # type: ignore[arg-type]
        try:
            call_command(*map(str, words), stdout=said)
        except CommandError as error:
            return f"{said.getvalue()}FAILED: {error}"
    return said.getvalue()


def test_the_drill(
    live_db: LiveDatabase, empty: LiveDatabase, alice: User, bob: User, tmp_path: Path
) -> None:
    ward, doomed = room(alice, bob), room(alice, bob, name="doomed")
    say(alice, ward, "before the backup")
    say(alice, doomed, "to be erased")
    seal_and_anchor(live_db, alice.organization_id)
    folder = tmp_path / "backup"
    assert "MB" in command(live_db, "owner", "backup", folder, "--programs", PROGRAMS)
    size = backups.read(folder).logs[str(alice.organization_id)]

    # What happens after the backup, and is lost with the database.
    say(alice, ward, "after the backup")
    destroy_data_keys(
        organization=alice.organization_id,
        conversation=doomed.pk,
        actor=SYSTEM,
        reason=Reason.REQUEST,
    )
    seal_and_anchor(live_db, alice.organization_id)
    assert "whole up to" in command(live_db, "app", "recovery")

    keyring.forget()
    assert "restored" in command(empty, "owner", "restore", folder, "--programs", PROGRAMS)
    with empty.acting_as("app"):
        assert Message.objects.count() == 2
        assert connection.settings_dict["NAME"] == empty.name
    told = command(empty, "app", "recovery")
    assert "1 erased data keys are alive" in told
    assert "ENTRIES ARE MISSING: " in told
    assert "FAILED" in told

    with empty.acting_as("app"):
        call_command("keys", "replay-erasures", stdout=StringIO())
        assert backups.recovery().alive == 0
        [log] = backups.recovery().logs
        assert log.report.size == size
        assert log.missing == log.outside - size > 0
        texts = [one.body for one in access.timeline(alice, ward.pk).messages]
        assert texts == ["before the backup"]
        assert [one.body for one in access.timeline(alice, doomed.pk).messages] == [None]
        say(bob, ward, "and it goes on")
    with empty.acting_as("sealer"):
        call_command("seal", "--once", stdout=StringIO())
    with empty.acting_as("app"):
        assert backups.recovery().logs[0].report.waiting == 0
        # The anchor goes on to say that something was lost: nobody can talk that away.
        assert not backups.recovery().whole


def test_a_backup_of_now_lacks_nothing(
    live_db: LiveDatabase, empty: LiveDatabase, alice: User, tmp_path: Path
) -> None:
    seal_and_anchor(live_db, alice.organization_id)
    command(live_db, "owner", "backup", tmp_path / "b", "--programs", PROGRAMS)
    command(empty, "owner", "restore", tmp_path / "b", "--programs", PROGRAMS)
    told = command(empty, "app", "recovery")
    assert "FAILED" not in told, told
    assert "whole up to" in told


def test_a_backup_shows_no_text_and_no_password(
    live_db: LiveDatabase, alice: User, bob: User, tmp_path: Path
) -> None:
    say(alice, room(alice, bob), "a text that must not be in it")
    folder = tmp_path / "b"
    done = subprocess.run(
        [sys.executable, "manage.py", "backup", folder, "--programs", PROGRAMS],
        cwd=BASE_DIR,
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "app.settings.test", "OWNER_DATABASE_URL": live_db.owner_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plain = subprocess.run(
        [PROGRAMS / "pg_restore", "-f", "-", folder / backups.DUMP],
        capture_output=True,
        check=True,
    ).stdout
    assert b"COPY public.chat_messageversion" in plain
    assert b"a text that must" not in plain
    assert (folder / backups.DUMP).stat().st_mode & 0o077 == 0


def test_what_is_no_backup_is_refused_and_nothing_is_changed(
    live_db: LiveDatabase, empty: LiveDatabase, alice: User, tmp_path: Path
) -> None:
    def refused(live: LiveDatabase, *words: object) -> str:
        told = command(live, "owner", *words, "--programs", PROGRAMS)
        assert "FAILED: " in told
        return told

    folder = tmp_path / "b"
    command(live_db, "owner", "backup", folder, "--programs", PROGRAMS)
    assert "holds a backup already" in refused(live_db, "backup", folder)
    assert "not empty" in refused(live_db, "restore", folder)
    dump = folder / backups.DUMP
    whole = dump.read_bytes()
    dump.write_bytes(whole[:-1])
    assert "not what was backed up" in refused(empty, "restore", folder)
    dump.write_bytes(whole)
    (folder / backups.MANIFEST).unlink()
    assert "cut" in refused(empty, "restore", folder)
    told = command(live_db, "owner", "backup", tmp_path / "c", "--programs", tmp_path)
    assert "pg_dump is not here" in told
    assert not (tmp_path / "c" / backups.MANIFEST).exists()
