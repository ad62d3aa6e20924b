"""Real exports: built from the real log, checked by an outsider, tampered with, interrupted."""

import json
import shutil
import threading
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from app.accounts.models import User
from app.audit.models import Entry
from app.compliance import services, verify
from app.compliance.models import ExportRequest, Stage, State
from app.compliance.package.files import write_archive
from app.compliance.scope import Scope
from app.compliance.services import building
from app.compliance.services.downloads import package_path
from app.errors import Conflict
from tests.chat.talk import say
from tests.compliance.conftest import QuickSealer, Ward
from tests.compliance.outsider import check, outside
from tests.compliance.packages import VERIFY, make
from tests.compliance.tamperings import TAMPERINGS, rehash
from tests.live import LiveDatabase

pytestmark = pytest.mark.usefixtures("export_dir")
Ask = Callable[[Scope], ExportRequest]


def built(asked: ExportRequest) -> ExportRequest:
    assert building.build_export(asked.pk), ExportRequest.objects.get(pk=asked.pk).failure
    return ExportRequest.objects.get(pk=asked.pk)


def package_of(asked: ExportRequest) -> Path:
    return package_path(asked)


def rows(asked: ExportRequest, name: str) -> list[dict[str, object]]:
    with zipfile.ZipFile(package_of(asked)) as package:
        return [json.loads(line) for line in package.read(name).splitlines()]


def key_of(asked: ExportRequest) -> str:
    with zipfile.ZipFile(package_of(asked)) as package:
        return str(json.loads(package.read("manifest.json"))["log"]["key"])


def entries(action: str) -> list[Entry]:
    return list(Entry.objects.filter(action_name=action).order_by("id"))


def test_an_outsider_verifies_a_real_export_and_its_table_has_no_formulas(
    ward: Ward, approved: Ask, sealer: QuickSealer, tmp_path: Path
) -> None:
    asked = built(approved(Scope(conversations=(ward.ward.pk,))))
    assert asked.state == State.READY
    verdict = check(
        package_of(asked),
        "--json",
        "--key",
        key_of(asked),
        site=outside(tmp_path),
        program=VERIFY,
    )
    assert verdict.status == 0, verdict.text
    assert verdict.document["versions"] == 7
    messages = rows(asked, "messages.jsonl")
    assert [row["kind"] for row in messages].count("edited") == 1
    assert {row["conversation_name"] for row in messages} == {"ward-4"}
    assert {row["author_email"] for row in messages} == {"alice@example.org", "bob@example.org"}
    assert [row["body"] for row in messages if row["kind"] == "deleted"] == [None]
    assert "schön" in json.dumps(messages, ensure_ascii=False)
    assert not any("Nothing of the ward" in str(row["body"]) for row in messages)
    with zipfile.ZipFile(package_of(asked)) as package:
        table = package.read("messages.csv").decode("utf-8-sig")
    assert '"\'=HYPERLINK(""http://mallory.example"")"' in table
    assert '"=' not in table


def test_every_kind_of_scope_is_verified(
    ward: Ward, approved: Ask, sealer: QuickSealer, alice: User
) -> None:
    halfway = Entry.objects.filter(action_name="message:sent").order_by("id")[2].at
    for scope, versions in (
        (Scope(), 8),
        (Scope(people=(alice.pk,)), 5),
        (Scope(since=halfway, until=timezone.now()), 6),
        (Scope(conversations=(ward.ward.pk, ward.pharmacy.pk), people=(alice.pk,)), 5),
        (Scope(until=halfway), 2),
    ):
        asked = built(approved(scope))
        assert verify.verify(str(package_of(asked)), key_of(asked)).problems == []
        assert asked.counts["versions"] == len(rows(asked, "messages.jsonl")) == versions


@pytest.fixture
def real_package(
    ward: Ward, approved: Ask, sealer: QuickSealer, tmp_path: Path
) -> tuple[Path, str]:
    asked = built(approved(Scope(conversations=(ward.ward.pk,))))
    with zipfile.ZipFile(package_of(asked)) as package:
        package.extractall(tmp_path / "package")
    return tmp_path / "package", key_of(asked)


def test_each_tampering_with_a_real_package_is_named(
    real_package: tuple[Path, str], tmp_path: Path
) -> None:
    sound, key = real_package
    for name, tamper in TAMPERINGS.items():
        for careful in (False, True):
            folder = Path(shutil.copytree(sound, tmp_path / "tampered"))
            named = tamper(folder)
            if careful and named.code not in ("file-missing", "approval"):
                rehash(folder)
            found = [item._asdict() for item in verify.verify(str(folder), key).problems]
            assert named.is_in(found), (name, careful, found)
            shutil.rmtree(folder)


def test_an_export_is_built_while_members_keep_writing(
    ward: Ward, approved: Ask, sealer: QuickSealer, alice: User
) -> None:
    stop, sent = threading.Event(), 0

    def write() -> None:
        nonlocal sent
        try:
            while not stop.wait(0.01):
                say(alice, ward.ward, f"still writing {sent}")
                sent += 1
        finally:
            connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        asked = built(approved(Scope(conversations=(ward.ward.pk,))))
        still = sent
    finally:
        stop.set()
        writer.join()
    assert still > 5
    assert verify.verify(str(package_of(asked)), key_of(asked)).problems == []


def test_a_package_is_logged_then_downloaded_then_deleted_all_of_it_recorded(
    ward: Ward, approved: Ask, sealer: QuickSealer, olga: User, oscar: User
) -> None:
    asked = built(approved(Scope()))
    (entry,) = entries("export:built")
    assert entry.document["after"]["manifest_sha256"] == asked.manifest_sha256
    for officer in (olga, oscar, olga):
        download = services.open_download(officer, asked.pk)
        assert download.path.stat().st_size == download.size == asked.size
        assert download.path.stat().st_mode & 0o077 == 0
    found = entries("export:downloaded")
    assert [look.actor_id for look in found] == [olga.pk, oscar.pk, olga.pk]
    assert found[0].document["parameters"]["sha256"] == asked.sha256
    assert building.expire_exports() == 0
    ExportRequest.objects.filter(pk=asked.pk).update(expires_at=timezone.now())
    with pytest.raises(Conflict, match="deleted"):
        services.open_download(olga, asked.pk)
    assert building.expire_exports() == 1
    assert not package_of(asked).exists()
    assert entries("export:deleted")[0].target_id == str(asked.pk)
    assert ExportRequest.objects.get(pk=asked.pk).state == State.EXPIRED


def test_the_package_is_the_same_in_every_byte_for_the_same_files(tmp_path: Path) -> None:
    made = make(tmp_path / "package")
    names = sorted(path.name for path in made.folder.iterdir())
    one = write_archive(tmp_path / "one.zip", made.folder, names)
    assert write_archive(tmp_path / "two.zip", made.folder, names) == one


def test_without_a_sealer_the_build_fails_and_says_why(
    live_db: LiveDatabase, approved: Ask, monkeypatch: pytest.MonkeyPatch, export_dir: Path
) -> None:
    monkeypatch.setattr(building, "PATIENCE", 0.3)
    asked = approved(Scope())
    assert not building.build_export(asked.pk)
    asked.refresh_from_db()
    assert asked.state == State.FAILED
    assert "sealer" in asked.failure
    assert entries("export:failed")[0].document["outcome"] == "failure"
    assert not list(export_dir.glob("*"))


def test_a_build_is_done_by_one_worker_only(ward: Ward, approved: Ask, sealer: QuickSealer) -> None:
    asked = approved(Scope())
    ExportRequest.objects.filter(pk=asked.pk).update(
        state=State.BUILDING, lease=uuid4(), heartbeat=timezone.now()
    )
    assert not building.build_export(asked.pk)
    ExportRequest.objects.filter(pk=asked.pk).update(heartbeat=timezone.now() - building.LEASE)
    assert built(asked).state == State.READY
    assert not building.build_export(asked.pk)
    assert len(entries("export:built")) == 1


def test_a_worker_whose_lease_was_taken_leaves_nothing_behind(
    ward: Ward,
    approved: Ask,
    sealer: QuickSealer,
    monkeypatch: pytest.MonkeyPatch,
    export_dir: Path,
) -> None:
    asked = approved(Scope())

    def take_the_lease(*_: object, **__: object) -> str:
        ExportRequest.objects.filter(pk=asked.pk).update(lease=uuid4())
        return "0" * 64

    monkeypatch.setattr(building, "write_archive", take_the_lease)
    monkeypatch.setattr(building._Build, "_check", lambda *_, **__: None)
    assert not building.build_export(asked.pk)
    asked.refresh_from_db()
    assert asked.state == State.BUILDING, "the other worker's state is not ours to change"
    assert not list(export_dir.glob("*"))


def test_a_text_that_cannot_be_opened_makes_the_package_partial(
    ward: Ward, approved: Ask, sealer: QuickSealer, live_db: LiveDatabase
) -> None:
    with live_db.acting_as("superuser"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chat_messageversion SET body = overlay(body placing 'AAAA' from 100)"
            " WHERE message_id = %s AND revision = 1",
            [str(ward.edited)],
        )
    asked = built(approved(Scope(conversations=(ward.ward.pk,))))
    assert asked.state == State.PARTIAL
    assert asked.counts["texts_missing"] == 1
    (broken,) = [row for row in rows(asked, "messages.jsonl") if row["status"] != "ok"]
    assert (broken["message"], broken["status"]) == (str(ward.edited), "unreadable")
    (problem,) = verify.verify(str(package_of(asked)), key_of(asked)).problems
    assert (problem.code, problem.message) == ("content-missing", str(ward.edited))


def test_a_forged_row_is_never_offered(
    ward: Ward, approved: Ask, sealer: QuickSealer, live_db: LiveDatabase
) -> None:
    """Whoever writes to the database invents an earlier text: the build refuses its own work."""
    with live_db.acting_as("superuser"), connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER ALL")
        cursor.execute(
            "UPDATE audit_entry SET body = convert_to(replace(convert_from(body, 'utf8'),"
            " '\"revision\":2', '\"revision\":9'), 'utf8') WHERE action_name = 'message:edited'"
        )
    asked = approved(Scope(conversations=(ward.ward.pk,)))
    assert not building.build_export(asked.pk)
    asked.refresh_from_db()
    assert asked.state == State.FAILED
    assert "body-changed in bodies.jsonl" in asked.failure


def test_exports_that_nobody_builds_are_found_again(
    ward: Ward, approved: Ask, live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(building, "enqueue_build", told.append)
    asked = approved(Scope())
    assert building.resume_exports() == 0
    ExportRequest.objects.update(decided_at=timezone.now() - timedelta(minutes=2))
    assert building.resume_exports() == 1
    ExportRequest.objects.update(
        state=State.BUILDING, stage=Stage.READING, heartbeat=timezone.now()
    )
    assert building.resume_exports() == 0
    ExportRequest.objects.update(heartbeat=timezone.now() - timedelta(minutes=2))
    assert building.resume_exports() == 1
    assert told == [asked.pk, asked.pk]


def test_so_many_are_built_at_once_and_who_ends_tells_of_who_waits_longest(
    ward: Ward, approved: Ask, sealer: QuickSealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fifth officer's export must not take the last thread from everybody's mail."""
    told: list[object] = []
    monkeypatch.setattr(building, "enqueue_build", told.append)
    asked = [approved(Scope()) for _ in range(building.AT_ONCE + 2)]
    begun, go_on = threading.Semaphore(0), threading.Event()
    read = building._Build._read

    def read_slowly(*given: Any) -> Any:
        begun.release()
        assert go_on.wait(30)
        return read(*given)

    def build(one: ExportRequest) -> None:
        try:
            building.build_in_turn(one.pk)
        finally:
            connection.close()

    monkeypatch.setattr(building._Build, "_read", read_slowly)
    builders = [threading.Thread(target=build, args=[one]) for one in asked[: building.AT_ONCE]]
    for builder in builders:
        builder.start()
        assert begun.acquire(timeout=30)
    for one in asked[building.AT_ONCE :]:
        building.build_in_turn(one.pk)  # returns: its turn comes
    assert not told
    go_on.set()
    for builder in builders:
        builder.join()
    states = [ExportRequest.objects.get(pk=one.pk).state for one in asked]
    assert states == [State.READY] * building.AT_ONCE + [State.APPROVED] * 2
    assert told == [asked[building.AT_ONCE].pk] * building.AT_ONCE
