"""A build that is cut off goes on from its journal; one that meets a full disk leaves nothing."""

import os
import resource
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from django.utils import timezone

from app.audit import disclosure
from app.audit.models import Entry
from app.compliance import verify
from app.compliance.models import ExportRequest, State
from app.compliance.package import journal
from app.compliance.package.journal import Journal
from app.compliance.scope import Scope
from app.compliance.services import building
from app.compliance.services.downloads import package_path
from tests.compliance.conftest import Ward
from tests.live import LiveDatabase

pytestmark = pytest.mark.usefixtures("sealer")
Ask = Callable[[Scope], ExportRequest]

# Another process, which stops for good after its third journal: there it is killed.
BUILD_AND_HANG = """
import os, sys, time
os.environ["DJANGO_SETTINGS_MODULE"] = "app.settings.test"
import django
django.setup()
from app.audit import disclosure
from app.compliance.package.journal import Journal
from app.compliance.services import building
disclosure.BATCH, building._JOURNAL = 4, -1.0
write, written = Journal.write, []
def write_and_hang(self, folder):
    write(self, folder)
    written.append(folder)
    if len(written) == 3:
        print("ready", flush=True)
        time.sleep(600)
Journal.write = write_and_hang
building.build_export(sys.argv[1])
"""


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From which leaf each build went on."""
    positions: list[int] = []
    read = journal.read

    def noted(folder: Path) -> Journal | None:
        found = read(folder)
        positions.append(found.position if found else 0)
        return found

    monkeypatch.setattr(journal, "read", noted)
    return positions


def content(asked: ExportRequest) -> dict[str, bytes]:
    with zipfile.ZipFile(package_path(asked)) as package:
        names = ("messages.jsonl", "messages.csv", "people.jsonl", "items.jsonl")
        return {name: package.read(name) for name in names}


def test_a_killed_build_is_gone_on_with_where_it_was(
    ward: Ward, approved: Ask, live_db: LiveDatabase, export_dir: Path, begun: list[int]
) -> None:
    scope = Scope(until=timezone.now())
    asked = approved(scope)
    environment = os.environ | {"DATABASE_URL": live_db.app_url, "EXPORT_DIR": str(export_dir)}
    command = [sys.executable, "-c", BUILD_AND_HANG, str(asked.pk)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == b"ready\n"
        worker.send_signal(signal.SIGKILL)
    (left,) = export_dir.glob("*.building-*")
    with (left / "leaves.txt").open("ab") as file:
        file.write(b'{"torn": ')  # what was written after the journal counts for nothing
    assert not building.build_export(asked.pk), "its lease is not over"
    ExportRequest.objects.update(heartbeat=timezone.now() - building.LEASE)
    assert building.build_export(asked.pk)
    assert begun == [12]
    asked.refresh_from_db()
    assert asked.state == State.READY
    assert verify.verify(str(package_path(asked))).problems == []
    assert [path.name for path in export_dir.iterdir()] == [package_path(asked).name]
    whole = approved(scope)
    assert building.build_export(whole.pk)
    assert content(asked) == content(ExportRequest.objects.get(pk=whole.pk))


def test_a_build_in_slices_lets_others_have_their_turn_and_makes_the_same_package(
    ward: Ward,
    approved: Ask,
    export_dir: Path,
    begun: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scope = Scope(until=timezone.now())
    asked, whole = approved(scope), approved(scope)
    told: list[object] = []
    monkeypatch.setattr(disclosure, "BATCH", 5)
    monkeypatch.setattr(building, "enqueue_build", told.append)
    with monkeypatch.context() as patched:
        patched.setattr(building, "SLICE", -1.0)
        for _ in range(100):
            building.build_in_turn(asked.pk)
            if ExportRequest.objects.get(pk=asked.pk).state == State.READY:
                break
    assert begun == sorted(begun)
    assert begun[:3] == [5, 10, 15]
    assert told == [whole.pk] * (len(begun) + 1), "after each slice, who waits longest has a turn"
    assert building.build_export(whole.pk)
    done = [ExportRequest.objects.get(pk=one.pk) for one in (asked, whole)]
    assert content(done[0]) == content(done[1])
    assert verify.verify(str(package_path(done[0]))).problems == []
    assert Entry.objects.filter(action_name="export:built").count() == 2


def test_a_journal_that_was_damaged_is_begun_again_without(
    ward: Ward, approved: Ask, export_dir: Path, begun: list[int]
) -> None:
    asked = approved(Scope())
    left = export_dir / f"{asked.pk}.building-{uuid4()}"
    left.mkdir(parents=True)
    (left / "journal").write_text('{"size": 3, "position": 2, "files": {"leaves.txt": [900, 9]}')
    assert building.build_export(asked.pk)
    assert begun == [0]
    assert not left.exists()


def test_a_full_disk_is_said_leaves_nothing_and_stops_no_other(
    ward: Ward, approved: Ask, export_dir: Path
) -> None:
    asked, other = approved(Scope()), approved(Scope())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, hard))
    try:
        assert not building.build_export(asked.pk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    asked.refresh_from_db()
    assert asked.state == State.FAILED
    assert "not enough room on the disk" in asked.failure
    assert list(export_dir.iterdir()) == []
    (entry,) = Entry.objects.filter(action_name="export:failed")
    assert entry.document["after"]["failure"] == asked.failure
    assert building.build_export(other.pk)


def test_folders_of_builds_that_ended_are_cleared(
    ward: Ward, approved: Ask, export_dir: Path
) -> None:
    waiting = approved(Scope())
    for name in (waiting.pk, uuid4()):
        (export_dir / f"{name}.building-{uuid4()}").mkdir(parents=True)
    assert building.clear_leftovers() == 1
    (left,) = export_dir.iterdir()
    assert left.name.startswith(str(waiting.pk))
