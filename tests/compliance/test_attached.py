"""The files of a real package: bound to the log by their hash, erased or missing for a reason."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from app import outside
from app.accounts.models import User
from app.chat.attachments.storage import faults
from app.chat.attachments.storage.folder import FolderStorage
from app.chat.models import Attachment
from app.compliance.models import ExportRequest, State
from app.compliance.scope import Scope
from app.compliance.services import building
from app.compliance.services.downloads import package_path
from app.encryption.destruction import Reason, destroy_data_keys
from tests.chat.attachments.files import bytes_of, send_files, uploaded
from tests.compliance.conftest import Ward
from tests.compliance.test_packages import built, problems, rows, unpacked

pytestmark = pytest.mark.usefixtures("export_dir", "sealer")
Ask = Callable[[Scope], ExportRequest]
BIG = 5 * 2**20 + 7  # two parts


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, settings: Settings) -> Path:
    settings.ATTACHMENT_STORAGE = f"file://{tmp_path}/attachments"
    return tmp_path / "attachments"


def file_of(uploader: User, ward: Ward, data: bytes, name: str) -> str:
    return uploaded(uploader, ward.ward, data, name).id


def codes(folder: Path) -> set[str]:
    return {problem["code"] for problem in problems(folder)}


def test_files_are_in_the_package_and_no_other_bytes_pass_for_them(
    ward: Ward, approved: Ask, alice: User, tmp_path: Path
) -> None:
    files = [file_of(alice, ward, data, name) for data, name in (
        (bytes_of(BIG), "Röntgen.bin"), (b"", "empty.txt"), (b"=1", "a.csv"))]  # fmt: skip
    never = file_of(alice, ward, b"never sent", "draft.txt")
    send_files(alice, ward.ward, *files, body="With files.")
    asked = built(approved(Scope(conversations=(ward.ward.pk,))))
    assert (asked.state, problems(package_path(asked))) == (State.READY, [])
    told = {row["target"]["id"]: row for row in rows(package_path(asked), "attachments.jsonl")}
    assert [told[str(file)]["status"] for file in files] == ["ok"] * 3
    assert told[str(never)]["status"] == "not sent"
    folder = unpacked(asked, tmp_path / "p")
    big = folder / told[str(files[0])]["file"]
    assert big.read_bytes() == bytes_of(BIG)
    assert not (folder / f"attachments/{never}").exists()
    assert json.loads(told[str(files[0])]["description"])["name"] == "Röntgen.bin"
    (last,) = [row for row in rows(package_path(asked), "messages.jsonl") if row["attachments"]]
    assert [one["id"] for one in last["attachments"]] == [str(file) for file in files]
    big.write_bytes(bytes_of(BIG)[:-1] + b"!")
    assert {"file-changed", "file-content"} <= codes(folder)
    big.write_bytes(bytes_of(BIG))
    lines = (folder / "attachments.jsonl").read_text()
    (folder / "attachments.jsonl").write_text(lines.replace("Röntgen", "Rontgen"))
    assert "file-content" in codes(folder)
    forged = [json.loads(line) for line in lines.splitlines()]
    forged[0] |= {"status": "not sent", "description": None, "file": None}
    (folder / "attachments.jsonl").write_text("".join(json.dumps(row) + "\n" for row in forged))
    assert "file-missing" in codes(folder), "a message carries it"


def test_a_file_uploaded_before_the_period_of_its_message_is_there(
    ward: Ward, approved: Ask, alice: User
) -> None:
    file = file_of(alice, ward, b"early", "early.txt")
    since = timezone.now()
    send_files(alice, ward.ward, *[file], body="Later.")
    asked = built(approved(Scope(conversations=(ward.ward.pk,), since=since)))
    assert problems(package_path(asked)) == []
    with zipfile.ZipFile(package_path(asked)) as package:
        assert package.read(f"attachments/{file}") == b"early"


def test_a_file_that_the_storage_lost_makes_the_package_partial_and_ends_nothing(
    ward: Ward, approved: Ask, alice: User, storage: Path
) -> None:
    lost = file_of(alice, ward, bytes_of(BIG), "lost.bin")
    kept = file_of(alice, ward, b"kept", "kept.txt")
    send_files(alice, ward.ward, *[lost, kept], body="Two.")
    parts = sorted(path for path in storage.rglob("*") if path.is_file() and str(lost) in str(path))
    parts[-1].unlink()
    asked = built(approved(Scope()))
    assert (asked.state, asked.counts["files_missing"]) == (State.PARTIAL, 1)
    assert asked.partial_items[0]["first_error"] == {
        "leaf": asked.partial_items[0]["first_error"]["leaf"],
        "file": str(lost),
        "status": "missing",
    }
    assert [item["code"] for item in problems(package_path(asked))] == ["file-content-missing"]
    with zipfile.ZipFile(package_path(asked)) as package:
        assert package.read(f"attachments/{kept}") == b"kept"
        assert f"attachments/{lost}" not in package.namelist(), "not half of it"


def away(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(*_: object) -> bytes:
        with faults.asked():
            raise faults.StorageFailed(faults.Reason.UNREACHABLE)

    monkeypatch.setattr(FolderStorage, "get", get)


def test_an_export_waits_for_a_storage_that_is_away_and_is_whole_afterwards(
    ward: Ward, approved: Ask, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package without its files because of an hour's outage would be no evidence."""
    send_files(alice, ward.ward, *[file_of(alice, ward, b"kept", "kept.txt")], body="One.")
    asked = approved(Scope(conversations=(ward.ward.pk,)))
    with monkeypatch.context() as outage:
        away(outage)
        assert not building.build_export(asked.pk)
        assert ExportRequest.objects.get(pk=asked.pk).state == State.BUILDING
        assert not building.build_export(asked.pk), "not at once again"
    assert building.resume_exports() == 0
    ExportRequest.objects.update(heartbeat=timezone.now() - building.LEASE)  # a minute later
    outside.forget()
    assert building.resume_exports() == 1
    asked = built(asked)
    assert (asked.state, problems(package_path(asked))) == (State.READY, [])
    assert [row["status"] for row in rows(package_path(asked), "attachments.jsonl")] == ["ok"]


def test_an_export_does_not_wait_for_ever(
    ward: Ward, approved: Ask, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_files(alice, ward.ward, *[file_of(alice, ward, b"kept", "kept.txt")], body="One.")
    asked = approved(Scope(conversations=(ward.ward.pk,)))
    ExportRequest.objects.update(decided_at=timezone.now() - building.LONGEST_WAIT)
    away(monkeypatch)
    assert not building.build_export(asked.pk)
    asked.refresh_from_db()
    assert asked.state == State.FAILED
    assert asked.failure.startswith("The storage of the files is not to be had now. Tell whoever")


def test_an_erased_file_is_a_stated_reason(
    ward: Ward, approved: Ask, alice: User, olga: User
) -> None:
    send_files(alice, ward.ward, *[file_of(alice, ward, b"gone", "gone.txt")], body="")
    destroy_data_keys(
        organization=ward.ward.organization_id,
        conversation=ward.ward.pk,
        actor=olga.actor,
        reason=Reason.REQUEST,
    )
    asked = built(approved(Scope(conversations=(ward.ward.pk,))))
    assert (asked.state, problems(package_path(asked))) == (State.READY, [])
    (row,) = rows(package_path(asked), "attachments.jsonl")
    assert (row["status"], Attachment.objects.count()) == ("erased", 1)
