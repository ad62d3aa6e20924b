"""The officer's pages, without scripts: what is shown, what is refused, what is recorded."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from app.accounts.models import Organization, Role, User
from app.audit.actions import Action
from app.audit.models import Entry, Verification
from app.compliance.models import ExportRequest, Stage, State
from app.web.trail_words import action_choices, action_in_words
from tests.cast import join, sign_in_browser
from tests.compliance.conftest import Ward, approved, ward

__all__ = ["approved", "ward"]


@pytest.fixture
def page(client: Client, olga: User) -> Client:
    return sign_in_browser(client, olga)


def text_of(response: object) -> str:
    return str(response.content.decode())  # type: ignore[attr-defined]


def test_the_trail_says_who_did_what_to_what(page: Client, ward: Ward) -> None:
    shown = text_of(page.get("/trail", {"what": "message:edited"}))
    assert "Bob" in shown
    assert "edited a message" in shown
    assert "in ward-4" in shown
    assert "sent a message</a>" not in shown


def test_one_entry_shows_commitments_body_and_leaf(page: Client, ward: Ward) -> None:
    entry = Entry.objects.get(action_name="message:edited")
    shown = text_of(page.get("/trail", {"entry": entry.pk}))
    after = entry.document["after"]["content"]
    for part in (after, entry.leaf_hash.hex(), bytes(entry.leaf).decode(), "Waiting for the log"):
        assert part in shown
    assert "Noted." not in shown


def test_a_filter_that_does_not_exist_shows_nothing(page: Client, ward: Ward) -> None:
    for query in ({"who": "x"}, {"what": "nothing"}, {"where": str(uuid4())}, {"since": "x"}):
        response = page.get("/trail", query)
        assert response.status_code == 400
        assert "<tbody>" not in text_of(response)
    assert not Entry.objects.filter(action_name="trail:read").exists()
    for number in ("x", "0", "9" * 30, "-1", "٣"):
        assert page.get("/trail", {"before": number}).status_code == 404


def test_changes_of_single_rows_are_shown_when_asked_for(page: Client, ward: Ward) -> None:
    assert "added a row</a>" not in text_of(page.get("/trail"))
    assert "added a row</a>" in text_of(page.get("/trail", {"what": "all"}))
    looks = Entry.objects.filter(action_name="trail:read").order_by("id")
    assert [look.document["parameters"]["filter"] for look in looks] == [{"rows": False}, {}]


def test_opening_the_trail_is_itself_in_the_trail(page: Client, olga: User) -> None:
    page.get("/trail")
    page.get("/trail")
    (look,) = Entry.objects.filter(action_name="trail:read")
    assert look.actor_id == olga.pk
    assert look.document["origin"]["method"] == "session"


@pytest.mark.parametrize(
    ("ok", "words"), [(None, "Not verified yet"), (True, "The log agrees"), (False, "does not")]
)
def test_the_state_of_the_log_stands_on_top(
    ok: bool | None, words: str, page: Client, olga: User
) -> None:
    if ok is not None:
        problems = [] if ok else [{"code": "leaf", "place": "7", "message": "was changed"}]
        Verification.objects.create(
            organization_id=olga.organization_id,
            at=timezone.now(),
            size=7,
            ok=ok,
            problems=problems,
            milliseconds=1,
        )
    assert words in text_of(page.get("/trail"))


@pytest.mark.parametrize("path", ["/trail", "/exports", "/exports/new"])
def test_others_do_not_see_the_officers_pages(
    path: str, client: Client, alice: User, ada: User
) -> None:
    assert client.get(path)["Location"].startswith("/sign-in")
    for person in (alice, ada):
        assert sign_in_browser(Client(), person).get(path).status_code == 403


def test_a_request_is_previewed_before_it_is_made(page: Client, ward: Ward, olga: User) -> None:
    scope = {"conversations": str(ward.ward.pk), "since": "", "until": ""}
    shown = text_of(page.post("/exports/new", scope | {"step": "preview"}))
    assert "What will be in it" in shown
    assert '<div class="tally-main"><dt>Messages</dt><dd>5</dd>' in shown
    assert not ExportRequest.objects.exists()
    without = page.post("/exports/new", scope | {"step": "request", "reason": " "})
    assert without.status_code == 400
    assert "This field is required" in text_of(without)
    made = page.post("/exports/new", scope | {"step": "request", "reason": "Matter 7"})
    asked = ExportRequest.objects.get()
    assert made["Location"] == f"/exports/{asked.pk}"
    assert asked.conversations == [str(ward.ward.pk)]
    assert "You cannot approve what you asked for" in text_of(page.get(f"/exports/{asked.pk}"))


def test_days_are_whole_days_of_utc(page: Client, ward: Ward) -> None:
    today = timezone.now().date()
    first = today - timedelta(days=3)
    days = {"since": f"{first}", "until": f"{today - timedelta(days=1)}"}
    page.post("/exports/new", days | {"step": "request", "reason": "Matter 7"})
    asked = ExportRequest.objects.get()
    assert asked.scope["since"] == f"{first}T00:00:00.000000Z"
    assert asked.scope["until"] == f"{today}T00:00:00.000000Z"
    backwards = {"since": days["until"], "until": days["since"], "step": "preview"}
    assert page.post("/exports/new", backwards).status_code == 400


@pytest.fixture
def asked(page: Client) -> ExportRequest:
    page.post("/exports/new", {"step": "request", "reason": "A matter of <b>moment</b>"})
    return ExportRequest.objects.get()


def test_another_officer_sees_the_reason_and_approves(asked: ExportRequest, oscar: User) -> None:
    second = sign_in_browser(Client(), oscar)
    assert "Waiting for you" in text_of(second.get("/exports"))
    shown = text_of(second.get(f"/exports/{asked.pk}"))
    assert "A matter of &lt;b&gt;moment&lt;/b&gt;" in shown
    assert f'action="/exports/{asked.pk}/approve"' in shown
    second.post(f"/exports/{asked.pk}/approve")
    asked.refresh_from_db()
    assert (asked.state, asked.decider) == (State.APPROVED, oscar)


def test_the_requester_is_told_that_approving_is_for_another(
    asked: ExportRequest, page: Client
) -> None:
    response = page.post(f"/exports/{asked.pk}/approve", follow=True)
    assert "Another officer must approve" in text_of(response)
    asked.refresh_from_db()
    assert asked.state == State.REQUESTED


def test_progress_is_shown_with_numbers_and_without_scripts(
    asked: ExportRequest, page: Client, oscar: User
) -> None:
    sign_in_browser(Client(), oscar).post(f"/exports/{asked.pk}/approve")
    ExportRequest.objects.update(state=State.BUILDING, stage=Stage.READING, done=1500, total=6000)
    shown = text_of(page.get(f"/exports/{asked.pk}"))
    assert 'value="25"' in shown
    assert "1\u202f500 of 6\u202f000" in shown
    assert '<noscript><meta http-equiv="refresh"' in shown


def test_decisions_and_downloads_are_posts(asked: ExportRequest, page: Client) -> None:
    for step in ("approve", "refuse", "withdraw", "download"):
        assert page.get(f"/exports/{asked.pk}/{step}").status_code == 405
    response = page.post(f"/exports/{asked.pk}/download", follow=True)
    assert "There is no package to download" in text_of(response)


def test_another_organizations_export_is_not_found(
    asked: ExportRequest, other_organization: Organization
) -> None:
    erin = sign_in_browser(Client(), join(other_organization, "erin", Role.OFFICER))
    assert erin.get(f"/exports/{asked.pk}").status_code == 404
    assert erin.post(f"/exports/{asked.pk}/approve").status_code == 404
    assert erin.post(f"/exports/{asked.pk}/download").status_code == 404


def test_every_action_can_be_chosen_and_has_words() -> None:
    chosen = {value for _, group in action_choices() for value, _ in group}
    assert {action.value for action in Action} <= chosen
    assert all(action_in_words(action) for action in Action)


def test_pages_do_without_inline_scripts_and_styles(
    page: Client, ward: Ward, asked: ExportRequest, approved: Callable[..., ExportRequest]
) -> None:
    for path in ("/trail", "/exports", "/exports/new", f"/exports/{asked.pk}"):
        shown = text_of(page.get(path))
        assert "<script>" not in shown
        assert " style=" not in shown
        assert " onclick=" not in shown
