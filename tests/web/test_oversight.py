"""The officer's pages of readings, holds and erasures, without scripts."""

import pytest
from django.test import Client
from django.utils import timezone

from app.accounts.models import User
from app.audit.models import Entry
from app.compliance import services
from app.compliance.models import Erasure, LegalHold, Reading
from app.compliance.services.erasures import resume_erasures
from tests.cast import sign_in_browser
from tests.compliance.conftest import Ward, erasure_list, ward
from tests.web.test_officer import page, text_of

__all__ = ["erasure_list", "page", "ward"]
pytestmark = pytest.mark.usefixtures("erasure_list")

WHY = {"matter": "2026-114", "reason": "A matter of <b>moment</b>"}


@pytest.fixture
def second(oscar: User) -> Client:
    return sign_in_browser(Client(), oscar)


def test_an_officer_finds_a_conversation_gives_a_reason_and_reads(
    page: Client, ward: Ward, olga: User
) -> None:
    assert f"/conversations/{ward.ward.pk}" in text_of(page.get("/conversations"))
    asked = text_of(page.get(f"/conversations/{ward.ward.pk}"))
    assert "each page that you read, is in the trail" in asked
    assert "Bed 12" not in asked
    refused = page.post(f"/conversations/{ward.ward.pk}", WHY | {"reason": " "})
    assert refused.status_code == 400
    assert not Reading.objects.exists()
    opened = page.post(f"/conversations/{ward.ward.pk}", WHY)
    shown = text_of(page.get(opened["Location"]))
    for part in (
        "Bed 12 moved to step-down.",
        "Wrong channel, schön",
        "Deleted by Alice",
        "Changed by Bob",
        "A matter of &lt;b&gt;moment&lt;/b&gt;",
    ):
        assert part in shown
    (look,) = Entry.objects.filter(action_name="message:disclosed")
    assert look.actor_id == olga.pk
    for wrong in ("x", "0", "9" * 30):
        assert page.get(opened["Location"], {"before": wrong}).status_code == 404
    assert Entry.objects.filter(action_name="message:disclosed").count() == 1


def test_what_people_wrote_is_shown_as_text(page: Client, ward: Ward, alice: User) -> None:
    from tests.chat.talk import say

    say(alice, ward.ward, "<script>alert(1)</script>")
    reading = page.post(f"/conversations/{ward.ward.pk}", WHY)["Location"]
    shown = text_of(page.get(reading))
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown


def test_an_unknown_conversation_is_not_found(page: Client, ward: Ward, olga: User) -> None:
    assert page.get(f"/conversations/{olga.pk}").status_code == 404
    assert page.post(f"/conversations/{olga.pk}", WHY).status_code == 404


def test_a_hold_is_placed_asked_to_be_released_kept_and_released(
    page: Client, second: Client, ward: Ward, alice: User
) -> None:
    chosen = text_of(page.get("/holds/new", {"conversation": str(ward.ward.pk)}))
    assert f'value="{ward.ward.pk}" ' in chosen
    assert "checked" in chosen
    assert page.post("/holds/new", WHY).status_code == 400
    made = page.post(
        "/holds/new", WHY | {"conversations": str(ward.ward.pk), "people": str(alice.pk)}
    )
    path = made["Location"]
    hold = LegalHold.objects.get()
    shown = text_of(second.get(path))
    assert "In force" in shown
    assert "placed a legal hold" in shown
    assert "on hold" in text_of(page.get("/conversations"))
    assert page.post(f"{path}/ask-release", {"reason": ""}).status_code == 400
    page.post(f"{path}/ask-release", {"reason": "Settled"})
    assert "You cannot agree to what you asked for" in text_of(page.get(path))
    assert "Another officer must agree" in text_of(page.post(f"{path}/release", follow=True))
    assert "Waiting for you" in text_of(second.get("/holds"))
    second.post(f"{path}/keep")
    hold.refresh_from_db()
    assert hold.in_force
    again = page.post(f"{path}/ask-release", {"reason": "Settled now"}, follow=True)
    assert "Settled now" in text_of(again)
    assert "Released" in text_of(second.post(f"{path}/release", follow=True))
    assert "Released by" in text_of(page.get(path))


def test_an_erasure_says_what_it_reaches_and_that_it_is_for_good(
    page: Client, second: Client, ward: Ward
) -> None:
    months = {"conversation": str(ward.ward.pk), "first": "", "last": f"{timezone.now():%Y-%m}"}
    assert page.get("/erasures/new", {"conversation": str(ward.ward.pk)}).status_code == 200
    shown = text_of(page.post("/erasures/new", months | {"step": "preview"}))
    assert "It cannot be undone" in shown
    assert '<div class="tally-main"><dt>Messages</dt><dd>5</dd></div>' in shown
    assert not Erasure.objects.exists()
    without = page.post("/erasures/new", months | {"step": "request", "reason": " "})
    assert without.status_code == 400
    made = page.post("/erasures/new", months | {"step": "request", "reason": "GDPR 17"})
    path = made["Location"]
    assert "You cannot approve what you asked for" in text_of(page.get(path))
    assert "Another officer must approve" in text_of(page.post(f"{path}/approve", follow=True))
    assert "Waiting for you" in text_of(second.get("/erasures"))
    assert "erase it for good" in text_of(second.get(path))
    assert "It is being erased" in text_of(second.post(f"{path}/approve", follow=True))
    resume_erasures()
    assert "1 key destroyed" in text_of(page.get(path))
    reading = page.post(f"/conversations/{ward.ward.pk}", WHY)["Location"]
    assert text_of(page.get(reading)).count("Erased: nobody can read it any more") == 6


def test_under_a_hold_the_pages_offer_no_erasure(page: Client, second: Client, ward: Ward) -> None:
    months = {"conversation": str(ward.ward.pk), "last": f"{timezone.now():%Y-%m}"}
    path = page.post("/erasures/new", months | {"step": "request", "reason": "GDPR 17"})["Location"]
    page.post("/holds/new", WHY | {"conversations": str(ward.ward.pk)})
    shown = text_of(page.post("/erasures/new", months | {"step": "preview"}))
    assert "Under a legal hold." in shown
    assert "Ask for this erasure" not in shown
    refused = page.post("/erasures/new", months | {"step": "request", "reason": "GDPR 17"})
    assert refused.status_code == 400
    assert "erase it for good" not in text_of(second.get(path))
    assert "under a legal hold" in text_of(second.post(f"{path}/approve", follow=True))


@pytest.mark.parametrize("last", ["", "2026", "2026-13", "November", "2999-01", "0000-01"])
def test_a_month_that_is_none_is_said_beside_the_field(last: str, page: Client, ward: Ward) -> None:
    months = {"conversation": str(ward.ward.pk), "last": last, "step": "preview"}
    response = page.post("/erasures/new", months)
    assert response.status_code == 400
    assert "field-error" in text_of(response)


def test_decisions_are_posts(page: Client, olga: User, ward: Ward) -> None:
    hold = services.place_hold(olga, conversations=[ward.ward.pk], matter="M", reason="R")
    for step in ("ask-release", "release", "keep"):
        assert page.get(f"/holds/{hold.pk}/{step}").status_code == 405
    for step in ("approve", "refuse", "withdraw"):
        assert page.get(f"/erasures/{hold.pk}/{step}").status_code == 405


@pytest.mark.parametrize("path", ["/conversations", "/holds", "/holds/new", "/erasures"])
def test_others_do_not_see_these_pages(path: str, client: Client, alice: User, ada: User) -> None:
    assert client.get(path)["Location"].startswith("/sign-in")
    for person in (alice, ada):
        assert sign_in_browser(Client(), person).get(path).status_code == 403


def test_everybody_can_see_who_can_read_and_how_often_it_happened(
    olga: User, alice: User, ward: Ward
) -> None:
    services.open_conversation(olga, ward.ward.pk, matter="M", reason="Secret inquiry")
    shown = text_of(sign_in_browser(Client(), alice).get("/who-may-read"))
    assert "<dt>Officers opened a conversation</dt><dd>1</dd>" in shown
    assert "Olga" in shown
    assert "Secret" not in shown
    assert str(ward.ward.pk) not in shown
    assert Client().get("/who-may-read")["Location"].startswith("/sign-in")
