"""Files over HTTP: headers that keep a browser from harm, refusals, and what breaks off."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from app.accounts.models import User
from app.chat.models import Conversation
from app.encryption.stream import PART_BYTES
from tests.chat.attachments.files import bytes_of, picture, send_files, uploaded

Api = Callable[[User], Client]


def begin(client: Client, ward: Conversation, name: str, size: int) -> Any:
    announced = {"id": str(uuid4()), "name": name, "size": size}
    path = f"/api/conversations/{ward.pk}/attachments"
    return client.post(path, json.dumps(announced), content_type="application/json")


def put(client: Client, attachment: str, part: int, data: bytes) -> Any:
    path = f"/api/attachments/{attachment}/parts/{part}"
    return client.put(path, data, content_type="application/octet-stream")


def test_the_whole_way_over_rest(api: Api, alice: User, bob: User, ward: Conversation) -> None:
    sender, data = api(alice), bytes_of(PART_BYTES + 10)
    begun = begin(sender, ward, "r\u00e9sum\u00e9.bin", len(data))
    assert begun.status_code == 201
    told = begun.json()
    assert (told["parts"], told["part_bytes"], told["stored"]) == (2, PART_BYTES, [])
    for part in range(2):
        piece = data[part * PART_BYTES : (part + 1) * PART_BYTES]
        assert put(sender, told["id"], part, piece).status_code == 204
    done = sender.post(f"/api/attachments/{told['id']}/complete")
    assert done.json()["sha256"] == hashlib.sha256(data).hexdigest()
    sent = sender.post(
        f"/api/conversations/{ward.pk}/messages",
        json.dumps({"id": str(uuid4()), "body": "", "attachments": [told["id"]]}),
        content_type="application/json",
    )
    assert sent.status_code == 201
    reader = api(bob)
    page = reader.get(f"/api/conversations/{ward.pk}/messages").json()
    assert page["messages"][-1]["attachments"] == [done.json()]
    got = reader.get(f"/api/attachments/{told['id']}")
    assert b"".join(got) == data
    assert got["Content-Length"] == str(len(data))
    assert got["Content-Disposition"] == "attachment; filename*=utf-8''r%C3%A9sum%C3%A9.bin"


HARMLESS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "application/octet-stream"),
        ("x.html", b"<!DOCTYPE html><script>alert(1)</script>", "application/octet-stream"),
        ("x.png", b"<!DOCTYPE html><script>alert(1)</script>", "application/octet-stream"),
        ("x.html", picture(), "image/png"),
    ],
)
def test_no_browser_runs_what_it_downloads(
    name: str, data: bytes, kind: str, api: Api, alice: User, ward: Conversation
) -> None:
    file = uploaded(alice, ward, data, name)
    got = api(alice).get(f"/api/attachments/{file.id}")
    assert got["Content-Type"] == kind
    assert got["Content-Disposition"].startswith("attachment;")
    assert {header: got[header] for header in HARMLESS} == HARMLESS


def test_a_preview_is_shown_with_the_same_care(api: Api, alice: User, ward: Conversation) -> None:
    file = uploaded(alice, ward, picture(), "x.png")
    got = api(alice).get(f"/api/attachments/{file.id}/preview")
    assert (got["Content-Type"], got.content[:4]) == ("image/webp", b"RIFF")
    assert "Content-Disposition" not in got
    assert {header: got[header] for header in HARMLESS} == HARMLESS
    letter = uploaded(alice, ward, b"no picture", "x.txt")
    assert api(alice).get(f"/api/attachments/{letter.id}/preview").status_code == 404


def test_a_name_cannot_write_headers(api: Api, alice: User, ward: Conversation) -> None:
    file = uploaded(alice, ward, b"1", 'a"; filename="evil.exe')
    got = api(alice).get(f"/api/attachments/{file.id}")
    assert got["Content-Disposition"] == r'attachment; filename="a\"; filename=\"evil.exe"'
    assert begin(api(alice), ward, "a\r\nSet-Cookie: x", 1).status_code == 400


def test_wrong_sizes_are_refused_with_words(api: Api, alice: User, ward: Conversation) -> None:
    client = api(alice)
    assert begin(client, ward, "x", 100 * 2**20 + 1).status_code == 413
    assert begin(client, ward, "x", -1).status_code == 400
    attachment = begin(client, ward, "x", 10).json()["id"]
    for data in (b"", b"123456789", b"12345678901", bytes(PART_BYTES + 2)):
        answer = put(client, attachment, 0, data)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid")
    complete = client.post(f"/api/attachments/{attachment}/complete")
    assert (complete.status_code, complete.json()["error"]["code"]) == (409, "conflict")


def test_a_full_disk_is_said_and_messages_still_go_through(
    api: Api, alice: User, ward: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = api(alice)
    attachment = begin(client, ward, "x", 4).json()["id"]
    import errno

    from app.chat.attachments.storage import folder

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(folder, "_write", full)
        answer = put(client, attachment, 0, b"1234")
    assert answer.status_code == 503
    assert "no room left" in answer.json()["error"]["message"]
    body = json.dumps({"id": str(uuid4()), "body": "still here"})
    path = f"/api/conversations/{ward.pk}/messages"
    assert client.post(path, body, content_type="application/json").status_code == 201
    assert put(client, attachment, 0, b"1234").status_code == 204
    assert client.post(f"/api/attachments/{attachment}/complete").status_code == 200


def parts_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("content-*"))


def test_a_damaged_file_is_refused_before_its_first_byte_or_broken_off(
    api: Api, alice: User, ward: Conversation, folder: Path
) -> None:
    file = uploaded(alice, ward, bytes_of(2 * PART_BYTES))
    send_files(alice, ward, file.id)
    first, second = parts_in(folder)
    whole = second.read_bytes()
    second.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    got = api(alice).get(f"/api/attachments/{file.id}")
    with pytest.raises(Exception, match="part 1 was changed"):
        b"".join(got)
    first.unlink()
    answer = api(alice).get(f"/api/attachments/{file.id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert "damaged" in answer.json()["error"]["message"]


def test_files_exchanged_in_the_storage_do_not_open(
    api: Api, alice: User, ward: Conversation, folder: Path
) -> None:
    files = [uploaded(alice, ward, data) for data in (b"contract", b"forgery!")]
    one, other = parts_in(folder)
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    for file in files:
        assert api(alice).get(f"/api/attachments/{file.id}").status_code == 503
