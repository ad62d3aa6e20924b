"""`manage.py keys` as a process of its own, killed in the middle, beside a service that goes on."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import override_settings

from app.accounts.models import User
from app.audit.models import Entry
from app.chat import access
from app.chat.models import Conversation, Message, MessageVersion
from app.chat.services import Draft, send_messages
from app.encryption import apart
from app.encryption.fields import opened
from app.encryption.keyring import keyring
from app.encryption.models import DataKey, KeyEncryptionKey
from tests.chat.talk import room, say
from tests.realtime.speaker import Speaker, connected
from tests.server import WebServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For the processes that are started as well."""
    monkeypatch.setenv("DATA_KEY_SECONDS", "1")
    monkeypatch.setenv("ERASURE_LIST", str(tmp_path / "erasures.list"))
    with override_settings(DATA_KEY_SECONDS=1, ERASURE_LIST=tmp_path / "erasures.list"):
        yield


class Writer:
    """Says something again and again through the running server; notes what was acknowledged."""

    def __init__(self, server: WebServer, user: User, ward: Conversation) -> None:
        self.acked: dict[UUID, str] = {}
        self._stop = threading.Event()
        self._given = (server.base_url, user, ward)
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _write(self) -> None:
        base_url, user, ward = self._given
        with connected(base_url, user) as speaker:
            while not self._stop.wait(0.1):
                self._say(speaker, ward)
        connection.close()
        apart.disconnect()

    def _say(self, speaker: Speaker, ward: Conversation) -> None:
        body = f"live {len(self.acked)}"
        ack = speaker.send(ward.pk, body)
        self.acked[UUID(ack["id"])] = body


def start(server: WebServer, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "manage.py", "keys", *arguments, "--json"],
        cwd=ROOT,
        env=os.environ | server.environment() | {"RECEIPTS": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_at(process: "subprocess.Popen[str]", step: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if json.loads(line)["step"] == step:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def finish(process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    told, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in told.splitlines()]


@pytest.mark.parametrize(
    ("command", "step"), [("rotate-data", "resealed"), ("rotate-kek", "begun")]
)
def test_a_rotation_is_killed_and_run_again_while_people_write(
    server: WebServer, alice: User, bob: User, command: str, step: str
) -> None:
    ward = room(alice, bob)
    drafts = [Draft(alice, ward.pk, str(uuid4()), f"before {number}") for number in range(450)]
    send_messages(drafts)
    before = {UUID(draft.id): draft.body for draft in drafts}
    first = list(DataKey.objects.values_list("pk", flat=True))
    wrapping = KeyEncryptionKey.objects.get(organization_id=alice.organization_id)
    with Writer(server, alice, ward) as writer:
        kill_at(start(server, command), step)
        told = finish(start(server, command))
    assert told[-1]["step"] == "done"
    if command == "rotate-data":
        assert not DataKey.objects.filter(pk__in=first, destroyed_at=None).exists()
    else:
        wrapping.refresh_from_db()
        assert wrapping.retired_at is not None
        assert KeyEncryptionKey.objects.count() == 2
    assert writer.acked
    keyring.forget()
    said = before | writer.acked
    versions = MessageVersion.objects.filter(message__conversation=ward)
    assert {version.message_id: version.body for version in versions} == said
    for version in versions.order_by("-at")[:20]:
        entry = Entry.objects.get(pk=version.entry_id)
        assert opened(version, "body").commitment.hex().encode() in bytes(entry.body)


@pytest.mark.usefixtures("live_db")
def test_erasing_by_command_needs_to_be_meant(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    ack = say(alice, ward, "hunter2")
    where = ["--organization", str(alice.organization_id), "--conversation", str(ward.pk)]
    command = ["keys", "destroy", *where, "--reason", "operator"]
    with pytest.raises(CommandError, match="--yes"):
        call_command(*command, stdout=StringIO())
    out = StringIO()
    call_command(*command, "--month", "2020-01", "--yes", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"step": "destroyed", "data_keys": 0}
    call_command(*command, "--yes", stdout=(out := StringIO()))
    assert out.getvalue() == "destroyed: data keys 1\n"
    keyring.forget()
    assert access.message_view(alice, UUID(ack.id)).body is None
    assert Message.objects.filter(pk=UUID(ack.id)).exists()
