"""The index is turned off and on while people go on talking, and searching finds all the while."""

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from app.accounts.models import User
from app.audit.models import Entry
from app.chat import services
from app.chat.search import access, finding, switch
from app.chat.search.models import IndexState, SearchIndex, SearchTokens
from app.encryption.blind import search_months
from app.errors import Denied
from tests.chat.search.looking import texts
from tests.chat.talk import room, say
from tests.live import LiveDatabase

pytestmark = pytest.mark.usefixtures("live_db")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch, "BATCH", 3)
    monkeypatch.setattr(finding, "NEWEST", 2)


def test_off_and_on_again_is_found_at_every_step(alice: User, bob: User, ada: User) -> None:
    ward = room(alice, bob)
    said = [f"bed {number}" for number in range(8)]
    sent = [say(alice, ward, text) for text in said]
    expected = said[::-1]
    assert texts(bob, "bed") == expected

    switch.switch_index(by=ada, on=False)
    while True:
        assert texts(bob, "bed") == expected
        if switch.progress(ada).state != IndexState.CLEARING:
            break
        switch.work_on_indexes(batches=1)
    assert not SearchTokens.objects.exists()
    expected.insert(0, "bed while off")
    say(bob, ward, "bed while off")
    assert not SearchTokens.objects.exists()

    switch.switch_index(by=ada, on=True)
    expected.insert(0, "bed while building")
    say(bob, ward, "bed while building")
    services.edit_message(editor=alice, message_id=UUID(sent[0].id), body="cot 0", revision=1)
    expected.remove("bed 0")
    switch.work_on_indexes(batches=1)
    expected.insert(0, "bed behind the builder's back")
    say(bob, ward, "bed behind the builder's back")
    while True:
        assert texts(bob, "bed") == expected
        assert texts(bob, "cot") == ["cot 0"]
        if switch.progress(ada).state != IndexState.BUILDING:
            break
        switch.work_on_indexes(batches=1)
    assert SearchTokens.objects.count() == 11
    assert switch.progress(ada) == switch.Progress(IndexState.COMPLETE, 10, 10)


def test_an_index_of_other_numbers_is_built_again_and_one_that_is_off_stays_off(
    alice: User, bob: User, ada: User, live_db: LiveDatabase
) -> None:
    ward = room(alice, bob)
    said = [f"bed {number}" for number in range(8)]
    for text in said:
        say(alice, ward, text)
    numbers = list(SearchTokens.objects.order_by("pk").values_list("words", flat=True))
    SearchTokens.objects.update(words=[1, 2, 3])
    _migrate(live_db)
    assert switch.progress(ada) == switch.Progress(IndexState.BUILDING, 0, 8)
    while switch.progress(ada).state == IndexState.BUILDING:
        assert texts(bob, "bed") == said[::-1]
        switch.work_on_indexes(batches=1)
    assert list(SearchTokens.objects.order_by("pk").values_list("words", flat=True)) == numbers

    switch.switch_index(by=ada, on=False)
    switch.work_on_indexes()
    _migrate(live_db)
    assert switch.progress(ada).state == IndexState.OFF


def _migrate(live_db: LiveDatabase) -> None:
    migration = import_module("app.chat.migrations.0007_words_by_cmac")
    with live_db.acting_as("owner"), connection.cursor() as cursor:
        cursor.execute(migration.BUILD_AGAIN)


def test_the_index_is_what_finds_older_messages(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "DENSE", 2)
    ward = room(alice, bob)
    for number in range(5):
        say(alice, ward, f"bed {number}")
    SearchTokens.objects.all().delete()
    assert texts(bob, "bed") == ["bed 4", "bed 3"]  # the newest alone are opened unasked


def test_turning_it_is_in_the_trail_and_for_administrators_alone(
    alice: User, olga: User, ada: User
) -> None:
    for somebody in (alice, olga):
        with pytest.raises(Denied):
            switch.switch_index(by=somebody, on=False)
        with pytest.raises(Denied):
            switch.progress(somebody)
    switch.switch_index(by=ada, on=False)
    switch.switch_index(by=ada, on=False)
    (entry,) = Entry.objects.filter(action_name="organization:changed")
    assert entry.document["before"] == {"search_index": True}
    assert entry.document["after"] == {"search_index": False}


@pytest.mark.parametrize("later", [False, True], ids=["before-the-switch", "while-it-is-turned"])
def test_a_message_whose_sender_knew_of_no_index_is_in_it_all_the_same(
    alice: User, bob: User, ada: User, live_db: LiveDatabase, later: bool
) -> None:
    """Sent when the switch was not committed, committed after the build had begun: the build
    waits for it, whichever of the two transactions PostgreSQL numbered first."""
    ward = room(alice, bob)
    say(alice, ward, "bed before")  # so that no key is made meanwhile, in another transaction
    switch.switch_index(by=ada, on=False)
    switch.work_on_indexes()
    sent, turned = threading.Event(), threading.Event()

    def send_slowly() -> None:
        try:
            with transaction.atomic():
                say(alice, ward, "bed sent meanwhile")
                sent.set()
                turned.wait(20)
        finally:
            connection.close()

    def build() -> None:
        try:
            switch.work_on_indexes()
        finally:
            connection.close()

    sender = threading.Thread(target=send_slowly)
    with transaction.atomic():
        if later:
            switch.switch_index(by=ada, on=True)
        sender.start()
        assert sent.wait(20)
        if not later:
            switch.switch_index(by=ada, on=True)

    builder = threading.Thread(target=build)
    builder.start()
    builder.join(0.5)  # it has had its time to be too early
    turned.set()
    sender.join()
    builder.join()
    assert SearchTokens.objects.count() == 2


def test_a_search_during_which_the_index_goes_is_begun_again(
    alice: User, bob: User, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "DENSE", 2)
    ward = room(alice, bob)
    for number in range(5):
        say(alice, ward, f"bed {number}")
    turned: list[bool] = []

    def turned_off_meanwhile(*given: Any, **named: Any) -> Any:
        if not turned:
            turned.append(True)
            switch.switch_index(by=ada, on=False)
            switch.work_on_indexes()
        return search_months(*given, **named)

    monkeypatch.setattr(finding, "search_months", turned_off_meanwhile)
    page = access.search(bob, access.Wanted(finding.Criteria([("bed",)])))
    assert turned
    assert [text for _, text in page.messages] == [f"bed {number}" for number in range(4, -1, -1)]
    assert not page.indexed


def test_whatever_was_sent_is_found_while_the_index_is_turned_off_and_on(
    alice: User, bob: User, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "DENSE", 2)
    wards = [room(alice, bob), room(bob, alice)]
    sent: list[str] = []

    enough = threading.Event()

    def send(author: User, ward: Any) -> None:
        try:
            while not enough.wait(0.02):
                say(author, ward, text := f"bed {len(sent)} of {author.pk}")
                sent.append(text)
        finally:
            connection.close()

    senders = [
        threading.Thread(target=send, args=pair) for pair in zip((alice, bob), wards, strict=True)
    ]
    for sender in senders:
        sender.start()
    try:
        for turn in range(6):
            switch.switch_index(by=ada, on=bool(turn % 2))
            for batches in (1, 1, None):
                switch.work_on_indexes(batches=batches)
                known = set(sent)
                missing = known - set(texts(alice, "bed"))
                # What tells why: how the index stands, and whether a second look has it.
                assert not missing, (
                    switch.progress(ada), len(known), missing, missing - set(texts(alice, "bed"))
                )  # fmt: skip
    finally:
        enough.set()
        for sender in senders:
            sender.join()
    assert switch.progress(ada).state == IndexState.COMPLETE
    assert SearchTokens.objects.count() == len(sent)
    assert sorted(texts(alice, "bed")) == sorted(sent)


def test_the_api_says_how_far_it_is(ada: User, api: Callable[[User], Any], alice: User) -> None:
    say(alice, room(alice), "bed")
    client = api(ada)
    assert client.get("/api/search/index").json() == {
        "on": True, "state": "complete", "done": 0, "total": 0,
    }  # fmt: skip
    answer = client.put("/api/search/index", {"on": False}, content_type="application/json")
    assert answer.json() == {"on": False, "state": "clearing", "done": 0, "total": 1}
    assert not access.search(alice, access.Wanted(finding.Criteria())).indexed


def test_another_organization_keeps_its_index(alice: User, eve: User, ada: User) -> None:
    say(alice, room(alice), "bed")
    say(eve, room(eve), "bed")
    switch.switch_index(by=ada, on=False)
    switch.work_on_indexes()
    assert SearchTokens.objects.count() == 1
    assert SearchIndex.objects.count() == 1
    assert texts(eve, "bed") == ["bed"]
