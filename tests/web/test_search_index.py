"""The administrator's page of the search index, without scripts."""

import pytest
from django.test import Client

import app.celery  # noqa: F401 - turning it tells a worker, and nobody takes it
from app.accounts.models import User
from app.audit.models import Entry
from app.chat.search import switch
from app.chat.search.models import SearchIndex
from tests.cast import sign_in_browser
from tests.web.test_officer import text_of

PATH = "/search-index"


@pytest.fixture
def page(client: Client, ada: User) -> Client:
    return sign_in_browser(client, ada)


def test_the_index_is_turned_off_and_on_again(
    page: Client, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The test's own transaction is one of those that the job would wait for.
    monkeypatch.setattr(switch, "_everybody_knows", lambda: True)
    assert "An index is kept" in text_of(page.get(PATH))
    for wanted, under_way, after in (
        ("off", "The index is being deleted", "No index is kept"),
        ("on", "The index is being built", "An index is kept"),
    ):
        assert f'name="index" value="{wanted}"' in text_of(page.get(PATH))
        assert under_way in text_of(page.post(PATH, {"index": wanted}, follow=True))
        switch.work_on_indexes()
        assert after in text_of(page.get(PATH))
    turned = Entry.objects.filter(action_name="organization:changed", actor_id=ada.pk)
    states = [entry.document["after"]["search_index"] for entry in turned.order_by("id")]
    assert states == [False, True]


@pytest.mark.parametrize("wanted", ["", "maybe"])
def test_what_is_neither_off_nor_on_turns_nothing(page: Client, wanted: str) -> None:
    assert page.post(PATH, {"index": wanted}).status_code == 400
    assert not SearchIndex.objects.exists()


def test_administrators_alone_see_it_and_turn_it(client: Client, alice: User, olga: User) -> None:
    assert client.get(PATH)["Location"].startswith("/sign-in")
    for person in (alice, olga):
        browser = sign_in_browser(Client(), person)
        assert browser.get(PATH).status_code == 403
        assert browser.post(PATH, {"index": "off"}).status_code == 403
    assert not SearchIndex.objects.exists()
