"""The REST API of accounts: who is answered what, and one shape for every error."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from app.accounts.models import Invitation, User
from tests.accounts.conftest import Trail
from tests.cast import PASSWORD, address, sign_in_browser

JSON = "application/json"
Api = Callable[[User], Client]


def test_me_says_who_what_and_where(alice: User, api: Api) -> None:
    me = api(alice).get("/api/me").json()
    assert me["id"] == str(alice.pk)
    assert (me["display_name"], me["email"], me["role"]) == ("Alice", address("alice"), "member")
    assert me["organization"] == {"id": str(alice.organization_id), "name": "Acme"}
    assert "messages:send" in me["permissions"]
    assert "trail:read" not in me["permissions"]
    assert set(me["session"]) == {"id"}


def test_people_show_addresses_to_administrators_only(
    alice: User, ada: User, eve: User, api: Api
) -> None:
    seen = api(alice).get("/api/people").json()["people"]
    assert [one["display_name"] for one in seen] == ["Ada", "Alice"]
    assert not any("email" in one for one in seen)
    managed = api(ada).get("/api/people").json()["people"]
    assert {one["email"] for one in managed} == {address("ada"), address("alice")}


@pytest.mark.parametrize("asker", ["mallory", "olga"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/api/invitations", None),
        ("post", "/api/invitations", {"role": "administrator"}),
        ("delete", "/api/invitations/{invitation}", None),
        ("patch", "/api/people/{alice}", {"role": "officer"}),
        ("patch", "/api/people/{alice}", {"is_active": False}),
    ],
)
def test_only_administrators_manage(
    request: pytest.FixtureRequest,
    *,
    alice: User,
    api: Api,
    trail: Trail,
    asker: str,
    method: str,
    path: str,
    body: Any,
) -> None:
    where = path.format(alice=alice.pk, invitation=alice.pk)
    client = api(request.getfixturevalue(asker))
    answer = getattr(client, method)(where, body, content_type=JSON)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "denied"
    [entry] = trail("access:denied")
    assert entry["parameters"] == {"method": method.upper()}
    assert entry["target"]["id"].startswith("api/")
    assert str(alice.pk) not in entry["target"]["id"]


def test_an_administrator_of_another_organization_finds_nobody(
    alice: User, eve: User, api: Api
) -> None:
    User.objects.filter(pk=eve.pk).update(role="administrator")
    answer = api(eve).patch(f"/api/people/{alice.pk}", {"role": "officer"}, content_type=JSON)
    assert answer.status_code == 404


def test_an_administrator_changes_both_or_neither(ada: User, alice: User, api: Api) -> None:
    change = {"role": "officer", "is_active": False}
    answer = api(ada).patch(f"/api/people/{alice.pk}", change, content_type=JSON)
    assert answer.status_code == 200
    assert answer.json() == {
        "id": str(alice.pk),
        "display_name": "Alice",
        "email": address("alice"),
        **change,
    }
    mine = api(ada).patch(f"/api/people/{ada.pk}", change, content_type=JSON)
    assert mine.status_code == 403


def test_an_invitation_goes_round(ada: User, api: Api, client: Client) -> None:
    asked = {"role": "member", "uses": 2, "expires_in_hours": 1, "label": "nurses"}
    made = api(ada).post("/api/invitations", asked, content_type=JSON)
    assert made.status_code == 201, made.content
    given = {
        "code": made.json()["code"],
        "email": address("newcomer"),
        "display_name": "New Comer",
        "password": PASSWORD,
    }
    joined = client.post("/api/invitations/accept", given, content_type=JSON)
    assert joined.status_code == 201, joined.content
    assert joined.json()["role"] == "member"
    [listed] = api(ada).get("/api/invitations").json()["invitations"]
    assert (listed["label"], listed["uses_left"]) == ("nurses", 1)
    assert "code" not in listed
    gone = api(ada).delete(f"/api/invitations/{made.json()['id']}")
    assert gone.status_code == 204
    assert Invitation.objects.get().revoked_at is not None
    again = client.post(
        "/api/invitations/accept",
        given | {"email": address("another")},
        content_type=JSON,
    )
    assert (again.status_code, again.json()["error"]["code"]) == (404, "not_found")


def test_a_browser_needs_the_csrf_header_and_a_token_does_not(alice: User, api: Api) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = sign_in_browser(Client(), alice).cookies
    refused = strict.patch("/api/me", {"display_name": "Al"}, content_type=JSON)
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "denied"
    csrf = strict.get("/settings").context["csrf_token"]
    done = strict.patch(
        "/api/me", {"display_name": "Al"}, content_type=JSON, headers={"X-CSRFToken": str(csrf)}
    )
    assert done.json()["display_name"] == "Al"
    assert (
        api(alice).patch("/api/me", {"display_name": "Ali"}, content_type=JSON).status_code == 200
    )


@pytest.mark.parametrize(
    "path", ["/api/me", "/api/me/sessions", "/api/people", "/api/invitations", "/api/no-such"]
)
def test_nobody_gets_an_error_document(db: None, client: Client, path: str) -> None:
    answer = client.get(path)
    error = answer.json()["error"]
    assert answer.status_code == (404 if path == "/api/no-such" else 401)
    assert set(error) == {"code", "message", "fields", "request_id"}
    assert error["request_id"] == answer["X-Request-ID"]


SECRET = "what-somebody-wrote"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed"),
        (b"", 400, "invalid"),
        (b'{"display_name": "' + b"\xff" + b'"}', 400, "malformed"),
        (b'{"display_name": NaN}', 400, "malformed"),
        (b"[" * 100_000, 400, "malformed"),
        (b'"' + SECRET.encode() + b'"', 400, "invalid"),
        (b"[]", 400, "invalid"),
        (b"null", 400, "invalid"),
        (b'{"display_name": {"a": 1}}', 400, "invalid"),
        (b'{"display_name": "x", "role": "administrator"}', 400, "invalid"),
        (b'{"display_name": "\\u0000"}', 400, "invalid"),
        (b'{"display_name": "\\ud800"}', 400, "invalid"),
        (json.dumps({"display_name": SECRET * 20}).encode(), 400, "invalid"),
        (b'{"display_name": "' + b"x" * 1_100_000 + b'"}', 413, "too_large"),
    ],
)
def test_bad_bodies_get_an_error_document_without_what_they_held(
    alice: User, api: Api, body: bytes, status: int, code: str
) -> None:
    answer = api(alice).patch("/api/me", body, content_type=JSON)
    assert answer.status_code == status, answer.content
    assert answer.json()["error"]["code"] == code
    assert SECRET not in answer.content.decode()


def test_an_unknown_field_is_named(alice: User, api: Api) -> None:
    given = {"display_name": "x", "is_active": True}
    answer = api(alice).patch("/api/me", given, content_type=JSON)
    assert answer.json()["error"]["fields"] == {"is_active": ["There is no such field."]}


def test_other_methods_and_media_types_are_refused(alice: User, api: Api) -> None:
    client = api(alice)
    assert client.delete("/api/me").json()["error"]["code"] == "method_not_allowed"
    form = client.patch("/api/me", "display_name=x", content_type="text/plain")
    assert (form.status_code, form.json()["error"]["code"]) == (415, "unsupported_media_type")
    xml = client.get("/api/me", headers={"Accept": "text/xml"})
    assert (xml.status_code, xml.json()["error"]["code"]) == (406, "not_acceptable")


def test_a_refused_role_is_not_repeated(ada: User, api: Api) -> None:
    answer = api(ada).post("/api/invitations", {"role": SECRET}, content_type=JSON)
    assert answer.status_code == 400
    assert SECRET not in answer.content.decode()
    assert set(answer.json()["error"]["fields"]) == {"role"}
