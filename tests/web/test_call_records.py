"""The officer's pages of calls, without scripts."""

from django.test import Client

from app.accounts.models import User
from app.audit.models import Entry
from tests.cast import sign_in_browser
from tests.compliance.conftest import Ward, ward
from tests.voice.history import talked
from tests.voice.room import Device
from tests.web.test_officer import page, text_of

__all__ = ["page", "ward"]


def test_an_officer_finds_a_call_and_reads_who_was_put_out_by_whom(
    page: Client, ward: Ward, alice: User, bob: User
) -> None:
    past = talked(ward.ward, alice, bob)
    listed = text_of(page.get("/calls"))
    for part in (f"/calls/{past.id}", "ward-4", "Alice, Bob", "1 put out", "relayed", "2.0 %"):
        assert part in listed
    shown = text_of(page.get(f"/calls/{past.id}"))
    for part in (
        "Call in ward-4",
        "put out</span> by Alice",
        "loss 1.0 %, at worst 2.0 %",
        "round trip 30 ms",
        "put somebody out of a call: Bob",
        "muted a microphone: Bob",
        "Bob</span> left the call: put out",
        "Alice</span> left the call</a>",
    ):
        assert part in shown
    looks = Entry.objects.filter(action_name="trail:read").order_by("id")
    assert [look.document["parameters"] for look in looks] == [
        {"calls": {}},
        {"call": str(past.id)},
    ]


def test_a_call_that_goes_on_says_so(page: Client, ward: Ward, alice: User) -> None:
    place = Device(alice).join(ward.ward)
    assert ">now</span>" in text_of(page.get("/calls"))
    shown = text_of(page.get(f"/calls/{place.call}"))
    assert "is there now" in shown
    assert "nothing was reported" in shown


def test_filters_narrow_and_a_wrong_one_shows_nothing(
    page: Client, ward: Ward, alice: User, bob: User, mallory: User
) -> None:
    past = talked(ward.ward, alice, bob)
    link = f"/calls/{past.id}"
    assert link in text_of(page.get("/calls", {"who": str(bob.pk), "where": str(ward.ward.pk)}))
    assert link not in text_of(page.get("/calls", {"who": str(mallory.pk)}))
    assert link not in text_of(page.get("/calls", {"until": "2020-01-01"}))
    wrong = page.get("/calls", {"who": "somebody"})
    assert wrong.status_code == 400
    assert link not in text_of(wrong)
    assert page.get("/calls", {"before": "x"}).status_code == 404


def test_an_administrator_says_what_is_done_with_calls(ada: User, page: Client) -> None:
    client = sign_in_browser(Client(), ada)
    shown = text_of(client.get("/call-policy"))
    assert "checked" not in shown
    saved = client.post("/call-policy", {"recording": "on"}, follow=True)
    assert 'name="recording" checked' in text_of(saved)
    assert 'name="monitoring">' in text_of(saved)
    (entry,) = Entry.objects.filter(action_name="organization:call_policy_changed")
    assert entry.document["after"] == {"recording": True, "monitoring": False}
    assert page.get("/call-policy").status_code == 403


def test_an_unknown_call_is_not_found(page: Client, ward: Ward) -> None:
    assert page.get(f"/calls/{ward.ward.pk}").status_code == 404
