"""An officer searches where they do not belong: with a reason, and every page on record."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from app.accounts.models import User
from app.audit.models import Entry
from app.compliance.models import OfficerSearch
from app.compliance.services.searches import begin_search, search_page
from app.encryption.fields import opened
from app.errors import Conflict, Denied, Invalid, NotFound
from tests.cast import sign_in_browser
from tests.chat.talk import room, say

pytestmark = pytest.mark.usefixtures("db")
WHY: dict[str, Any] = {"matter": "Case 7", "reason": "A complaint of 3 November."}


def texts(officer: User, query: str) -> list[str]:
    search = begin_search(officer, query=query, **WHY)
    return [text for _, text in search_page(officer, search.pk).page.messages]


def entries() -> list[dict[str, Any]]:
    return [entry.document for entry in Entry.objects.filter(action_name="search:performed")]


def test_what_is_shown_is_recorded_with_the_filter_that_ran_and_never_the_words(
    alice: User, bob: User, olga: User
) -> None:
    ward = room(alice, bob, name="ward-4")
    sent = say(alice, ward, "the canary sings")
    say(bob, ward, "the canary is silent")
    search = begin_search(olga, query="canary from:alice in:ward", **WHY)
    assert entries() == []
    shown = search_page(olga, search.pk)
    assert [text for _, text in shown.page.messages] == ["the canary sings"]
    (entry,) = entries()
    assert entry["parameters"] == {
        "filter": {"phrases": 1, "people": [str(alice.pk)], "conversations": [str(ward.pk)]},
        "messages": [sent.id],
        "complete": True,
    }
    stored = OfficerSearch.objects.get(pk=search.pk)
    assert entry["after"]["query"] == opened(stored, "query").commitment.hex()
    assert "canary" not in str(entry)
    assert WHY["reason"] not in str(entry)


def test_officers_search_their_own_organization_alone(
    alice: User, bob: User, eve: User, olga: User
) -> None:
    say(alice, room(alice, bob), "canary here")
    say(eve, room(eve), "canary elsewhere")
    assert texts(olga, "canary") == ["canary here"]


def test_nobody_else_searches_and_a_search_is_its_officers_for_an_hour(
    alice: User, ada: User, olga: User, oscar: User
) -> None:
    for somebody in (alice, ada):
        with pytest.raises(Denied):
            begin_search(somebody, query="canary", **WHY)
    search = begin_search(olga, query="canary", **WHY)
    with pytest.raises(NotFound):
        search_page(oscar, search.pk)
    OfficerSearch.objects.filter(pk=search.pk).update(closes_at=timezone.now())
    with pytest.raises(Conflict):
        search_page(olga, search.pk)
    assert entries() == []


@pytest.mark.parametrize("missing", ["query", "matter", "reason"])
def test_it_needs_something_to_look_for_and_a_reason(olga: User, missing: str) -> None:
    with pytest.raises(Invalid) as raised:
        begin_search(olga, **({"query": "canary"} | WHY | {missing: " "}))
    assert missing in raised.value.fields


def test_the_pages_lead_from_the_reason_to_the_conversation(
    alice: User, bob: User, olga: User, client: Client
) -> None:
    ward = room(alice, bob)
    say(alice, ward, "a <b>canary</b> & more")
    browser = sign_in_browser(client, olga)
    refused = browser.post("/officer/search", {"query": "from:nobody-there", **WHY})
    assert refused.status_code == 400
    assert b"Nobody is called that." in refused.content
    answer = browser.post("/officer/search", {"query": "canary", **WHY}, follow=True)
    shown = answer.content.decode()
    assert "a &lt;b&gt;<mark>canary</mark>&lt;/b&gt; &amp; more" in shown
    assert f"/conversations/{ward.pk}" in shown
    assert len(entries()) == 1
    assert browser.get(f"{answer.request['PATH_INFO']}?next=x").status_code == 404
