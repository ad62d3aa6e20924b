"""The officer's REST API: the same services, strict bodies, one shape of errors."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from app.accounts.models import Organization, Role, User
from app.audit.models import Entry
from app.compliance.models import ExportRequest, State
from app.compliance.services.downloads import package_path
from tests.cast import api_client, join, sign_in_browser
from tests.compliance.conftest import REASON, Ward
from tests.compliance.packages import VERIFY

Api = Callable[[User], Client]
BASE = "/api/compliance"


def post(client: Client, path: str, body: Any = None) -> Any:
    return client.post(f"{BASE}/{path}", json.dumps(body or {}), content_type="application/json")


@pytest.fixture
def asked(api: Api, olga: User, ward: Ward) -> str:
    body = {"conversations": [str(ward.ward.pk)], "reason": REASON}
    answer = post(api(olga), "exports", body)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def test_an_export_is_asked_for_and_approved_by_another(
    api: Api, asked: str, olga: User, oscar: User
) -> None:
    assert post(api(olga), f"exports/{asked}/approve").status_code == 403
    answer = post(api(oscar), f"exports/{asked}/approve")
    assert answer.status_code == 200
    assert answer.json()["state"] == "approved"
    again = post(api(oscar), f"exports/{asked}/refuse")
    assert again.status_code == 409
    assert again.json()["error"]["code"] == "conflict"
    (listed,) = api(olga).get(f"{BASE}/exports").json()["exports"]
    assert listed == api(olga).get(f"{BASE}/exports/{asked}").json()
    assert (listed["reason"], listed["decider"]) == (REASON, str(oscar.pk))


def test_the_preview_counts(api: Api, olga: User, ward: Ward) -> None:
    answer = post(api(olga), "exports/preview", {"conversations": [str(ward.ward.pk)]})
    assert answer.status_code == 200
    assert (answer.json()["sent"], answer.json()["versions"]) == (5, 7)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": REASON, "everything": True}, "everything"),
        ({"reason": REASON, "conversations": ["x"]}, "conversations.0"),
        ({"reason": REASON, "since": "yesterday"}, "since"),
        ({"reason": REASON, "until": "2999-01-01T00:00:00Z"}, "until"),
        ({}, "reason"),
    ],
)
def test_a_bad_request_names_its_field(
    body: dict[str, Any], field: str, api: Api, olga: User
) -> None:
    answer = post(api(olga), "exports", body)
    assert answer.status_code == 400
    assert field in answer.json()["error"]["fields"]


def test_the_trail_is_read_with_filters_and_the_look_is_recorded(
    api: Api, olga: User, ward: Ward
) -> None:
    query = {"action": "message", "conversation": str(ward.ward.pk), "limit": "3"}
    first = api(olga).get(f"{BASE}/trail", query).json()
    assert first["more"]
    last = first["entries"][-1]["id"]
    second = api(olga).get(f"{BASE}/trail", query | {"before": str(last)}).json()
    ids = [entry["id"] for entry in first["entries"] + second["entries"]]
    assert ids == sorted(set(ids), reverse=True)
    assert Entry.objects.filter(action_name="trail:read").count() == 1
    one = api(olga).get(f"{BASE}/trail/{last}").json()
    assert one["body"] == first["entries"][-1]["body"]


@pytest.mark.parametrize(
    "query", ["actor=1", "action=all", "limit=0", "before=-1", "filter=x", "since=1", "target=%00"]
)
def test_a_filter_that_does_not_exist_is_refused_rather_than_dropped(
    query: str, api: Api, olga: User
) -> None:
    answer = api(olga).get(f"{BASE}/trail?{query}")
    assert answer.status_code == 400, answer.content
    assert not Entry.objects.filter(action_name="trail:read").exists()


PATHS = [
    ("get", "trail"),
    ("get", "trail/1"),
    ("get", "exports"),
    ("post", "exports"),
    ("post", "exports/preview"),
    ("get", "exports/{id}"),
    ("post", "exports/{id}/approve"),
    ("post", "exports/{id}/refuse"),
    ("post", "exports/{id}/withdraw"),
    ("get", "exports/{id}/download"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_members_administrators_and_strangers_are_refused(
    method: str, path: str, asked: str, request: pytest.FixtureRequest
) -> None:
    address = f"{BASE}/{path.format(id=asked)}"
    body: Any = {"reason": REASON} if path == "exports" else {}
    options: Any = {"content_type": "application/json"} if method == "post" else {}
    assert getattr(Client(), method)(address, body, **options).status_code == 401
    for name in ("alice", "ada"):
        client = api_client(request.getfixturevalue(name))
        assert getattr(client, method)(address, body, **options).status_code == 403


@pytest.mark.parametrize(("method", "path"), [item for item in PATHS if "{id}" in item[1]])
def test_another_organization_finds_no_export(
    method: str, path: str, api: Api, asked: str, other_organization: Organization
) -> None:
    erin = join(other_organization, "erin", Role.OFFICER)
    address = f"{BASE}/{path.format(id=asked)}"
    options: Any = {"content_type": "application/json"} if method == "post" else {}
    answer = getattr(api(erin), method)(address, {}, **options)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


@pytest.fixture
def finished(asked: str, oscar: User, api: Api, export_dir: Path) -> ExportRequest:
    """As a build leaves it; building itself is tested with the real sealer."""
    post(api(oscar), f"exports/{asked}/approve")
    export_dir.mkdir()
    row = ExportRequest.objects.get(pk=asked)
    package_path(row).write_bytes(b"PK" * 1000)
    ExportRequest.objects.filter(pk=asked).update(
        state=State.READY, size=2000, sha256="0" * 64, expires_at=timezone.now().replace(year=2999)
    )
    return ExportRequest.objects.get(pk=asked)


def test_the_package_is_downloaded_and_that_is_an_entry(
    api: Api, finished: ExportRequest, olga: User
) -> None:
    answer = api(olga).get(f"{BASE}/exports/{finished.pk}/download")
    assert answer.status_code == 200
    assert answer.getvalue() == b"PK" * 1000
    assert answer["Cache-Control"] == "no-store"
    assert f"parley-export-{finished.pk}.zip" in answer["Content-Disposition"]
    assert Entry.objects.get(action_name="export:downloaded").actor_id == olga.pk


def test_a_package_that_is_gone_is_not_found(api: Api, finished: ExportRequest, olga: User) -> None:
    package_path(finished).unlink()
    assert api(olga).get(f"{BASE}/exports/{finished.pk}/download").status_code == 404
    assert not Entry.objects.filter(action_name="export:downloaded").exists()


def test_a_cut_download_goes_on_without_another_record(
    api: Api, finished: ExportRequest, olga: User, oscar: User
) -> None:
    address = f"{BASE}/exports/{finished.pk}/download"
    whole = api(olga).get(address)
    tag = whole["ETag"]
    assert tag == f'"{finished.sha256}"'
    assert whole["Accept-Ranges"] == "bytes"
    rest = api(olga).get(address, headers={"Range": "bytes=500-", "If-Range": tag})
    assert (rest.status_code, rest["Content-Range"]) == (206, "bytes 500-1999/2000")
    assert rest.getvalue() == (b"PK" * 1000)[500:]
    middle = api(olga).get(address, headers={"Range": "bytes=3-5"})
    assert (middle.getvalue(), middle["Content-Length"]) == (b"KPK", "3")
    other = api(olga).get(address, headers={"Range": "bytes=500-", "If-Range": '"another"'})
    assert (other.status_code, len(other.getvalue())) == (200, 2000)
    beyond = api(olga).get(address, headers={"Range": "bytes=2000-"})
    assert (beyond.status_code, beyond["Content-Range"]) == (416, "bytes */2000")
    assert Entry.objects.filter(action_name="export:downloaded").count() == 1
    assert api(oscar).get(address, headers={"Range": "bytes=500-"}).status_code == 206
    looks = Entry.objects.filter(action_name="export:downloaded").order_by("id")
    assert [look.actor_id for look in looks] == [olga.pk, oscar.pk], "his first range is a download"


def test_an_age_key_is_kept_with_the_request_and_nothing_else_is_taken_for_one(
    api: Api, olga: User
) -> None:
    key = "age1auc86deztwglc769q75dg5txjh3anlw6rdsym8y5duzdezmly40ssjk34v"
    answer = post(api(olga), "exports", {"reason": REASON, "recipient": key, "formats": ["pdf"]})
    assert (answer.json()["recipient"], answer.json()["formats"]) == (key, ["pdf"])
    (entry,) = Entry.objects.filter(action_name="export:requested")
    assert entry.document["parameters"]["recipient"] == key
    for wrong in (key[:-1], key.upper()[:-2], "ssh-ed25519 AAAA", "age1", "AGE-SECRET-KEY-1QQ"):
        answer = post(api(olga), "exports", {"reason": REASON, "recipient": wrong})
        assert answer.status_code == 400, wrong
        assert "recipient" in answer.json()["error"]["fields"]
        assert wrong not in answer.content.decode() or len(wrong) < 5
    assert post(api(olga), "exports", {"reason": REASON, "formats": ["doc"]}).status_code == 400


def test_a_browser_gets_the_package_where_its_download_was_recorded(
    finished: ExportRequest, olga: User
) -> None:
    browser = sign_in_browser(Client(), olga)
    page = f"/exports/{finished.pk}"
    refused = browser.get(f"{page}/package")
    assert (refused.status_code, refused["Location"]) == (302, page)
    assert not Entry.objects.filter(action_name="export:downloaded").exists()
    begun = browser.post(f"{page}/download")
    assert (begun.status_code, begun["Location"]) == (302, f"{page}/package")
    assert browser.get(f"{page}/package").getvalue() == b"PK" * 1000
    rest = browser.get(f"{page}/package", headers={"Range": "bytes=1990-"})
    assert (rest.status_code, rest.getvalue()) == (206, b"PK" * 5)
    assert Entry.objects.filter(action_name="export:downloaded").count() == 1


def test_the_program_is_published_to_everybody_as_it_is_in_the_repository(db: None) -> None:
    answer = Client().get("/verify.py")
    assert (answer.status_code, answer.content) == (200, VERIFY.read_bytes())
    digest = hashlib.sha256(VERIFY.read_bytes()).hexdigest()
    assert answer["X-Content-SHA256"] == digest
    printed = (VERIFY.parents[2] / "docs" / "export.md").read_text()
    assert digest in printed, f"docs/export.md prints the program's SHA-256: it is {digest} now"
