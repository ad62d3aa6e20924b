"""What officers meet while a grave entry is not signed, and that they meet nothing when it is."""

import json
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from django.test import Client
from pytest_django import Settings

from app.accounts.models import Role, User
from app.audit.models import Entry
from app.compliance.models import ExportRequest
from app.compliance.scope import Scope
from app.compliance.services import request_export
from app.web.signing import RECORDED
from dev.redis_server import RedisServer
from tests.audit.test_sealing import seal
from tests.cast import api_client, sign_in_browser
from tests.live import LiveDatabase
from tests.realtime.speaker import bearer
from tests.server import WebServer
from tests.stack import Stack

Api = Callable[[User], Client]
pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture(autouse=True)
def patience(settings: Settings) -> None:
    settings.GRAVE_PATIENCE = 0.1


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    call = getattr(client, method)
    return call(path, json.dumps(body or {}), content_type="application/json")


def test_a_look_shows_nothing_until_it_is_signed(olga: User, live_db: LiveDatabase) -> None:
    client = api_client(olga)
    for _ in range(2):  # the second time the look is not recorded anew, and is held back as well
        answer = client.get("/api/compliance/trail")
        assert answer.status_code == 503
        assert answer["Retry-After"] == "2"
        assert answer.json()["error"]["code"] == "not_signed"
        assert set(answer.json()) == {"error"}
    assert Entry.objects.filter(action_name="trail:read").count() == 1
    seal(live_db)
    assert client.get("/api/compliance/trail").json()["entries"]


def test_a_page_shows_nothing_until_the_look_is_signed(olga: User, live_db: LiveDatabase) -> None:
    client = sign_in_browser(Client(), olga)
    page = client.get("/trail")
    assert page.status_code == 503
    assert page["Retry-After"] == "2"
    assert b"recorded, but the record is not signed yet" in page.content
    assert b"trail:read" not in page.content
    assert b'href="/trail"' in page.content, "there is a way to try again"
    seal(live_db)
    assert client.get("/trail").status_code == 200


def test_a_change_stands_and_is_told_to_be_unsigned(
    ada: User, bob: User, olga: User, oscar: User, live_db: LiveDatabase
) -> None:
    path = f"/api/people/{bob.pk}"
    answer = send(api_client(ada), "patch", path, {"role": "officer"})
    assert answer.status_code == 202
    assert answer.json()["role"] == "officer"
    bob.refresh_from_db()
    assert bob.role == Role.OFFICER
    asked = request_export(olga, scope=Scope(), reason="A complaint.")
    page = sign_in_browser(Client(), oscar)
    decided = page.post(f"/exports/{asked.pk}/approve")
    assert decided.status_code == 302
    assert ExportRequest.objects.get(pk=asked.pk).state == "approved"
    told = page.get(decided["Location"])
    assert told.status_code == 503, "the page shows names, so it is a look of its own"
    assert RECORDED in told.content.decode()
    seal(live_db)
    assert page.get(decided["Location"]).status_code == 200


def test_what_is_signed_in_time_is_answered_as_ever(
    ada: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = api_client(ada)
    monkeypatch.setattr("app.audit.signing._unsigned", lambda _: [])
    assert send(client, "patch", f"/api/people/{bob.pk}", {"role": "officer"}).status_code == 200


def test_who_does_nothing_grave_waits_for_nobody(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("waits"))
    assert api_client(alice).get("/api/people").status_code == 200


class Patient(WebServer):
    """A real web process, under ASGI, that waits as in production, if not for so long."""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"GRAVE_PATIENCE": "1"}


def test_the_real_process_withholds_and_then_shows(
    olga: User, live_db: LiveDatabase, redis_server: RedisServer, stack: Stack
) -> None:
    token = bearer(olga)
    with Patient.running(live_db, redis_server, stack) as server:
        look = Request(
            f"{server.base_url}/api/compliance/trail", headers={"Authorization": f"Bearer {token}"}
        )
        with pytest.raises(HTTPError) as withheld:
            urlopen(look, timeout=30)
        assert withheld.value.code == 503
        with withheld.value as answer:
            assert json.load(answer)["error"]["code"] == "not_signed"
        seal(live_db)
        with urlopen(look, timeout=30) as shown:
            assert json.load(shown)["entries"]
