"""What is in a real package beside its messages: encryption, members, erasures, the one before."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage  # type: ignore[import-untyped]  # it has no types
import pytest
from django.db import connection
from django.utils import timezone

from app.accounts.models import User
from app.audit import disclosure
from app.audit.models import Cosignature, Entry
from app.chat.services import leave
from app.compliance import verify
from app.compliance.models import ExportRequest, Format, State
from app.compliance.scope import Scope
from app.compliance.services import approve_export, building, request_export
from app.compliance.services.downloads import package_path
from app.encryption.destruction import Reason, destroy_data_keys
from tests.chat.talk import say
from tests.compliance import packages
from tests.compliance.conftest import REASON, Ward
from tests.live import LiveDatabase

pytestmark = pytest.mark.usefixtures("export_dir", "sealer")
Ask = Callable[[Scope], ExportRequest]


def built(asked: ExportRequest) -> ExportRequest:
    assert building.build_export(asked.pk), ExportRequest.objects.get(pk=asked.pk).failure
    return ExportRequest.objects.get(pk=asked.pk)


def problems(path: Path, previous: Path | None = None) -> list[dict[str, Any]]:
    found = verify.verify(str(path), previous=str(previous) if previous else None)
    return [problem._asdict() for problem in found.problems]


def rows(path: Path, name: str) -> list[dict[str, Any]]:
    with zipfile.ZipFile(path) as package:
        return [json.loads(line) for line in package.read(name).splitlines()]


def unpacked(asked: ExportRequest, folder: Path) -> Path:
    with zipfile.ZipFile(package_path(asked)) as package:
        package.extractall(folder)
    return folder


def test_a_package_for_an_age_key_is_opened_by_that_key_alone(
    ward: Ward, olga: User, oscar: User, tmp_path: Path
) -> None:
    key, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    asked = request_export(
        olga,
        scope=Scope(),
        reason=REASON,
        formats=Format.values,
        recipient=str(key.to_public()),
    )
    found = built(approve_export(oscar, asked.pk))
    path = package_path(found)
    assert path.name.endswith(".zip.age")
    assert path.stat().st_mode & 0o077 == 0
    assert [left.name for left in path.parent.iterdir()] == [path.name], (
        "nothing of it in the clear"
    )
    sealed = path.read_bytes()
    assert hashlib.sha256(sealed).hexdigest() == found.sha256
    assert b"Bed 12" not in sealed
    with pytest.raises(verify.CannotCheck, match="age -d"):
        verify.verify(str(path))
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [other])
    plain = tmp_path / "package.zip"
    plain.write_bytes(pyrage.decrypt(sealed, [key]))
    assert problems(plain) == []
    names = zipfile.ZipFile(io.BytesIO(plain.read_bytes())).namelist()
    views = {"messages.csv", "messages.xlsx", "messages-0001.pdf", "messages.eml.zip"}
    assert views <= set(names)


def test_who_was_a_member_when_the_period_began_is_shown_by_the_log(
    ward: Ward, approved: Ask, alice: User, bob: User, tmp_path: Path
) -> None:
    since = timezone.now()
    say(alice, ward.ward, "After the beginning.")
    leave(user=bob, conversation_id=ward.ward.pk)
    asked = built(approved(Scope(conversations=(ward.ward.pk,), since=since)))
    assert problems(package_path(asked)) == []
    present = rows(package_path(asked), "members_at_start.jsonl")
    assert {row["user"] for row in present} == {str(alice.pk), str(bob.pk)}
    assert {row["user_email"] for row in present} == {"alice@example.org", "bob@example.org"}
    assert [row["action"] for row in rows(package_path(asked), "membership.jsonl")] == [
        "member:left"
    ]
    folder = unpacked(asked, tmp_path / "p")
    forge(folder, "members_at_start.jsonl", lambda row: row["user"] != str(bob.pk))
    assert "member-missing" in {problem["code"] for problem in problems(folder)}
    (folder / "members_at_start.jsonl").write_text(
        json.dumps({**present[0], "user": str(ward.edited)}) + "\n"
    )
    assert "member-unknown" in {problem["code"] for problem in problems(folder)}


def forge(folder: Path, name: str, keep: Callable[[dict[str, Any]], bool]) -> None:
    lines = (folder / name).read_text().splitlines(keepends=True)
    (folder / name).write_text("".join(line for line in lines if keep(json.loads(line))))


def test_an_erased_text_is_a_stated_reason_and_only_where_the_log_says_so(
    ward: Ward, approved: Ask, olga: User, tmp_path: Path
) -> None:
    destroy_data_keys(
        organization=ward.ward.organization_id,
        conversation=ward.ward.pk,
        actor=olga.actor,
        reason=Reason.REQUEST,
    )
    asked = built(approved(Scope(conversations=(ward.ward.pk,))))
    assert asked.state == State.READY
    assert asked.counts["texts_erased"] == 6
    report = verify.verify(str(package_path(asked)))
    assert report.problems == []
    assert any("6 texts or files of" in line for line in report.lines)
    folder = unpacked(asked, tmp_path / "p")
    messages = (folder / "messages.jsonl").read_text()
    leaf = str(rows(package_path(asked), "messages.jsonl")[0]["erased_by"])
    forged = messages.replace(f'"erased_by":{leaf}', f'"erased_by":{int(leaf) - 1}')
    (folder / "messages.jsonl").write_text(forged)
    assert "content-missing" in {problem["code"] for problem in problems(folder)}


def test_what_a_witness_signed_comes_with_the_package(ward: Ward, approved: Ask) -> None:
    key, organization = packages.signing_key("a witness"), ward.ward.organization_id
    built(approved(Scope()))
    tree = disclosure.latest_tree(organization)
    assert tree is not None
    Cosignature.objects.create(
        organization_id=organization,
        witness=packages.WITNESS,
        size=tree.size,
        note=packages.cosign(tree.note, key),
        at=timezone.now(),
    )
    path = package_path(built(approved(Scope())))
    report = verify.verify(str(path), witnesses=[packages.witness_vkey(key)])
    assert report.problems == []
    assert any(line.startswith("checkpoint.witnessed cosigned by") for line in report.lines)


def test_an_export_goes_on_from_the_one_before(
    ward: Ward, approved: Ask, alice: User, tmp_path: Path
) -> None:
    first = built(approved(Scope(conversations=(ward.ward.pk,))))
    say(alice, ward.ward, "Said after the first export.")
    second = built(approved(Scope()))
    with zipfile.ZipFile(package_path(second)) as package:
        manifest = json.loads(package.read("manifest.json"))
    assert manifest["previous"]["export"] == str(first.pk)
    assert manifest["previous"]["consistency"]
    old, new = package_path(first), package_path(second)
    assert problems(new, old) == []
    report = verify.verify(str(new), previous=str(old))
    assert any("7 versions of the older package are here" in line for line in report.lines)
    swapped = {problem["code"] for problem in problems(old, new)}
    assert "leaf-count" in swapped, "the older one does not hold what the later one knew"
    folder = unpacked(second, tmp_path / "p")
    gone = rows(new, "messages.jsonl")[1]["leaf"]
    forge(folder, "messages.jsonl", lambda row: row["leaf"] != gone)
    named = [item for item in problems(folder, old) if item["code"] == "previous-missing"]
    assert [item["leaf"] for item in named] == [gone]


def test_a_package_of_another_history_does_not_go_on_from_this_one(
    ward: Ward, approved: Ask, tmp_path: Path
) -> None:
    asked = built(approved(Scope()))
    folder = unpacked(asked, tmp_path / "p")
    lines = (folder / "leaves.txt").read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"v1 2", b"v1 1", 1)
    (folder / "leaves.txt").write_bytes(b"".join(lines))
    codes = {problem["code"] for problem in problems(folder, package_path(asked))}
    assert "root" in codes


def test_each_conversation_has_its_state_and_its_first_error(
    ward: Ward, approved: Ask, live_db: LiveDatabase
) -> None:
    with live_db.acting_as("superuser"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chat_messageversion SET body = overlay(body placing 'AAAA' from 100)"
            " WHERE message_id = %s AND revision = 1",
            [str(ward.edited)],
        )
    asked = built(approved(Scope()))
    items = {row["conversation"]: row for row in rows(package_path(asked), "items.jsonl")}
    broken, whole = items[str(ward.ward.pk)], items[str(ward.pharmacy.pk)]
    assert (broken["state"], broken["texts_missing"], broken["versions"]) == ("partial", 1, 7)
    assert broken["first_error"]["message"] == str(ward.edited)
    assert broken["first_error"]["status"] == "unreadable"
    assert (whole["state"], whole["versions"]) == ("complete", 1)
    assert None in items
    assert asked.partial_items == [broken]
    assert sum(row["entries"] for row in items.values()) == asked.counts["entries"]


def test_packages_without_a_view_or_with_a_false_item_are_refused(
    ward: Ward, approved: Ask, tmp_path: Path
) -> None:
    folder = unpacked(built(approved(Scope())), tmp_path / "p")
    for name in ("calls.jsonl", "holds.jsonl", "items.jsonl", "messages.csv"):
        broken = Path(shutil.copytree(folder, tmp_path / name))
        (broken / name).unlink()
        assert "file-missing" in {problem["code"] for problem in problems(broken)}
    items = (folder / "items.jsonl").read_text().replace('"versions":7', '"versions":6')
    (folder / "items.jsonl").write_text(items)
    assert "item" in {problem["code"] for problem in problems(folder)}
    assert Entry.objects.filter(action_name="export:built").count() == 1
