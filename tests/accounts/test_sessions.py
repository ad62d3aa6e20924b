"""Sessions end when they should, and every door that they opened is shut with them."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.sessions.models import Session as Cookie
from django.test import Client
from django.utils import timezone

from app.accounts import access, services
from app.accounts.models import Session, User
from app.accounts.services import ending
from app.errors import NotFound
from tests.accounts.conftest import Trail, bearer, browser_session, tokens
from tests.cast import PASSWORD, sign_in_browser


@pytest.fixture
def revoked(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The sessions whose sockets were told to close."""
    told: list[UUID] = []

    def revoke(*, sessions: list[UUID]) -> None:
        told.extend(sessions)

    monkeypatch.setattr(ending, "revoke", revoke)
    return told


def test_signing_out_ends_cookie_session_and_sockets(
    alice: User, client: Client, trail: Trail, revoked: list[UUID]
) -> None:
    sign_in_browser(client, alice)
    assert client.get("/api/me").status_code == 200
    session = Session.objects.get()
    copied = dict(client.cookies)
    response = client.post("/sign-out")
    assert (response.status_code, response["Location"]) == (302, "/sign-in")
    assert response["Clear-Site-Data"] == '"storage"'
    client.cookies.update(copied)  # a thief's copy
    assert client.get("/api/me").status_code == 401
    assert revoked == [session.pk]
    [entry] = trail("session:ended")
    assert entry["parameters"] == {"reason": "signed_out", "kind": "browser"}


def test_signing_out_needs_the_form(alice: User) -> None:
    client = sign_in_browser(Client(enforce_csrf_checks=False), alice)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert client.get("/sign-out").status_code == 405
    assert strict.post("/sign-out").status_code == 403
    assert client.get("/api/me").status_code == 200


def test_signing_out_of_the_api_refuses_both_tokens(
    alice: User, client: Client, revoked: list[UUID]
) -> None:
    pair = tokens(alice)
    assert client.post("/api/auth/sign-out", headers=bearer(pair)).status_code == 204
    assert client.get("/api/me", headers=bearer(pair)).status_code == 401
    again = client.post(
        "/api/auth/token/refresh", {"refresh": pair.refresh}, content_type="application/json"
    )
    assert again.status_code == 401
    assert revoked == [Session.objects.get().pk]


def test_disabling_somebody_ends_every_session_of_theirs(
    alice: User, ada: User, client: Client, revoked: list[UUID], trail: Trail
) -> None:
    sign_in_browser(client, alice)
    pair = tokens(alice)
    services.set_active(by=ada, person_id=alice.pk, active=False)
    assert client.get("/api/me").status_code == 401
    assert Client().get("/api/me", headers=bearer(pair)).status_code == 401
    ended = set(Session.objects.filter(user=alice).values_list("pk", flat=True))
    assert (set(revoked), len(ended)) == (ended, 2)
    assert {entry["parameters"]["reason"] for entry in trail("session:ended")} == {"disabled"}
    assert trail("session:ended")[0]["actor"]["id"] == str(ada.pk)


def test_a_session_of_a_disabled_user_is_dead_whatever_its_row_says(alice: User) -> None:
    session = browser_session(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert access.live_sessions([session.pk]) == set()


@pytest.mark.parametrize(
    "change",
    [
        {"last_seen_at": timedelta(hours=12, seconds=1)},
        {"created_at": timedelta(days=14, seconds=1)},
    ],
    ids=["idle", "old"],
)
def test_an_idle_or_an_old_session_opens_nothing(
    alice: User, client: Client, change: dict[str, timedelta]
) -> None:
    sign_in_browser(client, alice)
    Session.objects.update(**{name: timezone.now() - ago for name, ago in change.items()})
    assert client.get("/api/me").status_code == 401
    assert access.live_sessions([Session.objects.get().pk]) == set()


def test_being_used_keeps_a_session_from_being_idle(alice: User, client: Client) -> None:
    sign_in_browser(client, alice)
    Session.objects.update(last_seen_at=timezone.now() - timedelta(hours=11))
    client.get("/api/me")
    assert Session.objects.get().last_seen_at > timezone.now() - timedelta(minutes=1)


def test_which_sessions_live_is_one_question(
    alice: User, bob: User, django_assert_num_queries: Any
) -> None:
    ended, live = browser_session(alice), browser_session(bob)
    services.sign_out(session=ended)
    with django_assert_num_queries(1):
        assert access.live_sessions([ended.pk, live.pk, uuid4()]) == {live.pk}


def test_one_ends_a_session_of_ones_own_elsewhere(
    alice: User, api: Any, client: Client, revoked: list[UUID]
) -> None:
    sign_in_browser(client, alice)
    elsewhere = Session.objects.get()
    mine = api(alice)
    assert mine.delete(f"/api/me/sessions/{elsewhere.pk}").status_code == 204
    assert client.get("/api/me").status_code == 401
    assert mine.get("/api/me").status_code == 200
    assert revoked == [elsewhere.pk]


def test_one_cannot_end_or_see_a_session_of_somebody_else(
    alice: User, mallory: User, api: Any
) -> None:
    session = browser_session(alice)
    answer = api(mallory).delete(f"/api/me/sessions/{session.pk}")
    assert answer.status_code == 404
    assert access.live_sessions([session.pk]) == {session.pk}
    listed = api(mallory).get("/api/me/sessions").json()["sessions"]
    assert str(session.pk) not in {one["id"] for one in listed}


def test_an_ended_session_cannot_be_ended_again(alice: User, trail: Trail) -> None:
    session = browser_session(alice)
    services.end_session(user=alice, session_id=session.pk)
    with pytest.raises(NotFound):
        services.end_session(user=alice, session_id=session.pk)
    assert len(trail("session:ended")) == 1


def test_changing_the_password_ends_every_other_session(
    alice: User, client: Client, trail: Trail
) -> None:
    sign_in_browser(client, alice)
    other = sign_in_browser(Client(), alice)
    pair = tokens(alice)
    change = {"current": PASSWORD, "new": "four other random words"}
    answer = client.post("/api/me/password", change, content_type="application/json")
    assert answer.status_code == 204, answer.content
    assert client.get("/api/me").status_code == 200
    assert other.get("/api/me").status_code == 401
    assert Client().get("/api/me", headers=bearer(pair)).status_code == 401
    assert len(trail("user:password_changed")) == 1
    assert client.post("/sign-in", {"email": alice.email, "password": PASSWORD}).status_code == 401


def test_a_wrong_current_password_changes_nothing_and_is_recorded(
    alice: User, api: Any, trail: Trail
) -> None:
    change = {"current": "wrong", "new": "four other random words"}
    answer = api(alice).post("/api/me/password", change, content_type="application/json")
    assert answer.status_code == 400
    assert "current" in answer.json()["error"]["fields"]
    [entry] = trail("user:password_changed")
    assert entry["outcome"] == "failure"


def test_the_cookie_is_not_to_be_had_from_the_database(alice: User, client: Client) -> None:
    sign_in_browser(client, alice)
    key = client.cookies["sessionid"].value
    stored = Cookie.objects.get().session_key
    assert stored != key
    thief = Client()
    thief.cookies["sessionid"] = stored
    assert thief.get("/api/me").status_code == 401


def test_signing_in_gives_the_cookie_a_new_key(alice: User, client: Client) -> None:
    planted = Client()
    planted.get("/sign-in")
    sign_in_browser(client, alice)
    before = client.cookies["sessionid"].value
    sign_in_browser(client, alice)
    assert client.cookies["sessionid"].value != before
    assert Session.objects.filter(ended_at=None).count() == 1  # the replaced one was ended


def test_a_cookie_without_its_session_is_nobody(alice: User, client: Client) -> None:
    sign_in_browser(client, alice)
    kept = client.session
    del kept["parley.session"]
    kept.save()
    assert client.get("/api/me").status_code == 401
    assert client.get("/settings").status_code == 302
