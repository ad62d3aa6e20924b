"""The pages of accounts work without scripts, refuse by role, and say errors in their place."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from app.accounts import services
from app.accounts.models import Invitation, Role, Session, SessionKind, User
from tests.accounts.conftest import Trail
from tests.cast import PASSWORD, address, sign_in_browser


def text(response: Any) -> str:
    return str(response.content.decode())


def test_signing_in_leads_back_to_where_one_wanted_to_go(alice: User, client: Client) -> None:
    sent = client.get("/settings")
    assert (sent.status_code, sent["Location"]) == (302, "/sign-in?next=%2Fsettings")
    page = client.get(sent["Location"])
    assert 'name="next" value="/settings"' in text(page)
    given = {"email": address("alice"), "password": PASSWORD, "next": "/settings"}
    assert client.post("/sign-in", given)["Location"] == "/settings"
    assert client.get("/sign-in?next=/settings")["Location"] == "/settings"


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_nowhere_else(alice: User, client: Client, target: str) -> None:
    given = {"email": address("alice"), "password": PASSWORD, "next": target}
    assert client.post("/sign-in", given)["Location"] == "/"


def test_a_refusal_stands_beside_the_password_and_keeps_the_address_alone(
    alice: User, client: Client
) -> None:
    page = client.post("/sign-in", {"email": address("alice"), "password": "wrong one"})
    assert page.status_code == 401
    field = re.search(r'<input type="password"[^>]*>', text(page))
    assert field is not None
    assert 'aria-invalid="true"' in field[0]
    assert "id_password_error" in field[0]
    assert "wrong one" not in text(page)
    assert address("alice") in text(page)


def test_a_page_is_not_kept_by_the_browser_and_has_no_inline_script_or_style(
    ada: User, client: Client
) -> None:
    sign_in_browser(client, ada)
    for path in ("/settings", "/people", f"/people/{ada.pk}", "/invitations", "/sign-out"):
        page = client.get(path)
        assert "<script>" not in text(page)
        assert " style=" not in text(page)
        assert not re.search(r"\son\w+=", text(page))
        if page.status_code == 200:
            assert "no-store" in page["Cache-Control"]


PAGES = [
    ("get", "/people"),
    ("get", "/people/{alice}"),
    ("post", "/people/{alice}/role"),
    ("post", "/people/{alice}/disable"),
    ("post", "/people/{alice}/enable"),
    ("get", "/invitations"),
    ("post", "/invitations"),
    ("post", "/invitations/{alice}/revoke"),
]


@pytest.mark.parametrize("asker", ["mallory", "olga"])
@pytest.mark.parametrize(("method", "path"), PAGES)
def test_the_administrators_pages_are_refused_to_others(
    request: pytest.FixtureRequest,
    alice: User,
    client: Client,
    *,
    asker: str,
    method: str,
    path: str,
) -> None:
    sign_in_browser(client, request.getfixturevalue(asker))
    given = {"role": "officer", "uses": "1", "lifetime": "24"}
    page = getattr(client, method)(path.format(alice=alice.pk), given)
    assert page.status_code == 403
    assert "This is not for your role" in text(page)
    alice.refresh_from_db()
    assert (alice.role, alice.is_active) == ("member", True)
    assert not Invitation.objects.exists()


@pytest.mark.parametrize(
    ("method", "path"),
    [*PAGES, ("get", "/settings"), ("post", "/settings/name"), ("post", "/settings/password")],
)
def test_nobody_is_sent_to_sign_in(alice: User, client: Client, method: str, path: str) -> None:
    page = getattr(client, method)(path.format(alice=alice.pk))
    assert page.status_code == 302
    assert page["Location"].startswith("/sign-in")


def test_every_form_needs_its_token(ada: User, alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = sign_in_browser(Client(), ada).cookies
    for path in (
        f"/people/{alice.pk}/disable",
        "/invitations",
        "/settings/name",
        "/settings/password",
        "/sign-in",
        "/sign-out",
    ):
        page = strict.post(path, {"email": "x"})
        assert page.status_code == 403
        assert "open for too long" in text(page)
    alice.refresh_from_db()
    assert alice.is_active


def test_an_administrator_reads_what_an_action_does_and_then_does_it(
    ada: User, alice: User, client: Client, trail: Trail
) -> None:
    sign_in_browser(client, ada)
    page = text(client.get(f"/people/{alice.pk}"))
    assert "Signs Alice out everywhere" in page
    done = client.post(f"/people/{alice.pk}/disable", follow=True)
    assert "Alice is now disabled." in text(done)
    done = client.post(f"/people/{alice.pk}/enable", follow=True)
    assert "Alice is now a member." in text(done)
    done = client.post(f"/people/{alice.pk}/role", {"role": "officer"}, follow=True)
    assert "Alice is now an officer." in text(done)
    assert client.post(f"/people/{alice.pk}/role", {"role": "king"}).status_code == 400
    assert len(trail("user:role_changed")) == 1


def test_an_administrators_own_page_offers_nothing(ada: User, client: Client) -> None:
    sign_in_browser(client, ada)
    assert "Your own role is changed by another administrator" in text(
        client.get(f"/people/{ada.pk}")
    )
    done = client.post(f"/people/{ada.pk}/disable", follow=True)
    assert "Another administrator must do this for you." in text(done)
    ada.refresh_from_db()
    assert ada.is_active


def test_somebody_of_another_organization_has_no_page(ada: User, eve: User, client: Client) -> None:
    sign_in_browser(client, ada)
    assert client.get(f"/people/{eve.pk}").status_code == 404
    assert client.post(f"/people/{eve.pk}/disable").status_code == 404


def test_an_invitation_by_pages_from_link_to_joined(ada: User, client: Client) -> None:
    sign_in_browser(client, ada)
    given = {"role": "member", "uses": "1", "lifetime": "72", "label": "For <b>Grace</b>"}
    made = client.post("/invitations", given)
    assert made.status_code == 201
    [link] = set(re.findall(r"http://testserver(/invitation/[\w-]+)", text(made)))
    listed = text(client.get("/invitations"))
    assert link not in listed
    assert "For &lt;b&gt;Grace" in listed

    newcomer = Client()
    page = newcomer.get(link)
    assert "Join Acme" in text(page)
    assert "as <strong>a member</strong>" in text(page)
    given = {"email": address("grace"), "display_name": "Grace Hopper", "password": "short"}
    refused = newcomer.post(link, given)
    assert (refused.status_code, "at least 12 characters" in text(refused)) == (400, True)
    joined = newcomer.post(link, given | {"password": PASSWORD})
    assert (joined.status_code, joined["Location"]) == (302, "/")
    assert newcomer.get("/api/me").json()["display_name"] == "Grace Hopper"
    assert newcomer.get(link).status_code == 404
    assert "wrong, used up or too old" in text(newcomer.get(link))
    assert newcomer.get("/invitation/nonsense").status_code == 404


def test_withdrawing_by_page(ada: User, client: Client) -> None:
    invitation, code = services.invite(by=ada, role=Role.MEMBER, uses=1, lifetime=timedelta(days=1))
    sign_in_browser(client, ada)
    done = client.post(f"/invitations/{invitation.pk}/revoke", follow=True)
    assert "was withdrawn" in text(done)
    assert Client().get(f"/invitation/{code}").status_code == 404


def test_settings_change_the_name(alice: User, client: Client) -> None:
    sign_in_browser(client, alice)
    done = client.post("/settings/name", {"display_name": "Alice Liddell"}, follow=True)
    assert "Your name was changed." in text(done)
    assert client.get("/api/me").json()["display_name"] == "Alice Liddell"
    refused = client.post("/settings/name", {"display_name": "Al\u202eice"})
    assert (refused.status_code, "invisible characters" in text(refused)) == (400, True)


def test_settings_change_the_password_and_keep_this_browser_in(alice: User, client: Client) -> None:
    sign_in_browser(client, alice)
    other = sign_in_browser(Client(), alice)
    wrong = client.post("/settings/password", {"current": "no", "new": "four other random words"})
    assert (wrong.status_code, "not your current password" in text(wrong)) == (400, True)
    given = {"current": PASSWORD, "new": "four other random words"}
    done = client.post("/settings/password", given, follow=True)
    assert "Your password was changed." in text(done)
    assert other.get("/settings").status_code == 302


def test_settings_list_devices_and_sign_out_there(alice: User, client: Client) -> None:
    phone = Client(
        headers={"User-Agent": "Mozilla/5.0 (Linux; Android 14) AppleWebKit Chrome/130 Mobile"}
    )
    sign_in_browser(phone, alice)
    there = Session.objects.get()
    sign_in_browser(client, alice)
    page = text(client.get("/settings"))
    assert "Chrome on Android" in page
    assert page.count("Sign out there") == 1
    done = client.post(f"/settings/sessions/{there.pk}/end", follow=True)
    assert "Signed out there." in text(done)
    assert phone.get("/settings").status_code == 302


def test_nobody_signs_somebody_else_out(alice: User, mallory: User, client: Client) -> None:
    theirs = services.sign_in(email=alice.email, password=PASSWORD, kind=SessionKind.BROWSER)
    sign_in_browser(client, mallory)
    assert client.post(f"/settings/sessions/{theirs.pk}/end").status_code == 404
    theirs.refresh_from_db()
    assert theirs.ended_at is None


@pytest.mark.parametrize(("asked", "kept"), [("dark", "dark"), ("<x>", "auto")])
def test_appearance_is_kept_without_scripts(
    alice: User, client: Client, asked: str, kept: str
) -> None:
    sign_in_browser(client, alice)
    client.post("/settings/appearance", {"theme": asked})
    assert client.cookies["theme"].value == kept
    assert f'data-theme="{kept}"' in text(client.get("/settings"))
