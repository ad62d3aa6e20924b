"""A search finds what its asker may read now, and nothing else, whatever they type."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from app.accounts.models import User
from app.chat import services
from app.chat.search import access, finding
from app.chat.search.access import Wanted
from app.chat.search.finding import Criteria
from app.chat.search.models import SearchTokens
from app.errors import Invalid
from tests.chat.search.looking import texts
from tests.chat.talk import room, say

pytestmark = pytest.mark.usefixtures("db")


def test_a_word_is_found_in_all_my_conversations_newest_first(alice: User, bob: User) -> None:
    one, other = room(alice, bob), room(alice, bob)
    say(alice, one, "Potassium is back at 3.4")
    say(bob, other, "nothing of note")
    say(bob, other, "POTASSIUM again")
    assert texts(alice, "potassium") == ["POTASSIUM again", "Potassium is back at 3.4"]
    assert texts(alice, 'potassium "back at"') == ["Potassium is back at 3.4"]
    assert texts(alice, '"at back"') == []
    assert texts(alice, "back-at") == ["Potassium is back at 3.4"]


def test_others_conversations_are_not_searched(alice: User, bob: User, mallory: User) -> None:
    say(alice, room(alice, bob), "the secret word is potassium")
    assert texts(mallory, "potassium") == []
    assert texts(mallory, "from:alice") == []


def test_who_left_finds_nothing_and_who_is_back_finds_what_they_can_read(
    alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    say(alice, ward, "potassium before")
    services.remove_member(by=alice, conversation_id=ward.pk, user_id=bob.pk)
    say(alice, ward, "potassium meanwhile")
    assert texts(bob, "potassium") == []
    services.add_member(by=alice, conversation_id=ward.pk, user_id=bob.pk)
    assert texts(bob, "potassium") == ["potassium meanwhile", "potassium before"]


def test_what_somebody_wrote_is_found_after_they_left(alice: User, bob: User) -> None:
    ward, other = room(alice, bob), room(alice)
    say(bob, ward, "potassium by bob")
    say(alice, other, "potassium by alice")
    services.remove_member(by=alice, conversation_id=ward.pk, user_id=bob.pk)
    criteria = Criteria([("potassium",)], authors=frozenset([bob.pk]))
    page = access.search(alice, Wanted(criteria))
    assert [text for _, text in page.messages] == ["potassium by bob"]


def test_an_edited_message_is_found_by_what_it_says_now_and_a_deleted_one_not(
    alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    edited, deleted = say(alice, ward, "old wording"), say(alice, ward, "old gone")
    services.edit_message(editor=alice, message_id=UUID(edited.id), body="new wording", revision=1)
    services.delete_message(editor=alice, message_id=UUID(deleted.id))
    assert texts(bob, "old") == []
    assert texts(bob, "wording") == ["new wording"]
    assert [row.pk for row in SearchTokens.objects.all()] == [UUID(edited.id)]


def test_filters_narrow_by_person_conversation_and_day(alice: User, bob: User) -> None:
    ward, rota = room(alice, bob, name="ward-4"), room(alice, bob, name="rota")
    say(alice, ward, "beds by alice")
    say(bob, ward, "beds by bob")
    say(bob, rota, "beds elsewhere")
    assert texts(alice, "beds from:bob in:ward") == ["beds by bob"]
    assert texts(alice, "beds from:me") == ["beds by alice"]
    assert texts(alice, 'in:"rota"') == ["beds elsewhere"]
    assert texts(alice, "beds from:alice from:bob in:ward-4") == ["beds by bob", "beds by alice"]
    assert texts(alice, "beds after:2999-01-01") == []
    assert texts(alice, "beds before:2020-01-01") == []
    assert len(texts(alice, "beds after:2020-01-01 before:2999-01-01")) == 3


@pytest.mark.parametrize(
    "query",
    ["from:nobody-of-that-name", "in:nowhere", "before:tomorrow", "before:0001-01-01", "x " * 25],
)
def test_a_query_that_cannot_be_read_is_told_without_repeating_it(alice: User, query: str) -> None:
    with pytest.raises(Invalid) as raised:
        texts(alice, query)
    assert query not in str(raised.value.fields)
    assert raised.value.fields


def test_the_name_of_a_conversation_that_one_is_not_in_is_unknown(
    alice: User, bob: User, mallory: User
) -> None:
    room(alice, bob, name="merger")
    with pytest.raises(Invalid):
        texts(mallory, "in:merger")


def test_the_api_answers_in_pieces_and_pages(
    alice: User, bob: User, api: Callable[[User], Any]
) -> None:
    ward = room(alice, bob)
    sent = [say(alice, ward, f"bed {number} is *free*") for number in range(5)]
    client = api(bob)

    def ask(**body: Any) -> Any:
        return client.post("/api/search", body, content_type="application/json")

    first = ask(query="BED", limit=3).json()
    assert [one["message"] for one in first["results"]] == [ack.id for ack in sent[:1:-1]]
    assert first["results"][0]["pieces"] == [
        {"text": "bed", "hit": True},
        {"text": " 4 is *free*", "hit": False},
    ]
    rest = ask(query="BED", limit=3, next=first["next"], zone="Europe/Berlin").json()
    assert [one["message"] for one in rest["results"]] == [ack.id for ack in sent[1::-1]]
    assert rest["next"] is None
    assert ask(query="bed", conversations=[str(room(alice).pk)]).status_code == 404
    assert ask(query="bed", people=[str(bob.pk)]).json()["results"] == []
    for wrong in ({"next": "x"}, {"next": "f" * 30 + "-0"}, {"zone": "../etc"}, {"limit": 1000}):
        assert ask(query="bed", **wrong).status_code == 400


def test_nothing_readable_is_in_the_index_and_equal_words_look_unlike_elsewhere(
    alice: User, bob: User
) -> None:
    for conversation in (room(alice, bob), room(alice, bob)):
        say(alice, conversation, "potassium potassium")
    with connection.cursor() as cursor:
        cursor.execute("SELECT words FROM chat_searchtokens")
        one, other = [words for (words,) in cursor.fetchall()]
    assert len(one) == len(other) == 1  # how often a word is said is not told
    assert one != other


def test_a_number_that_two_words_share_shows_neither_to_who_looks_for_the_other(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in 2^64: planted. The hit is opened, and refused."""
    monkeypatch.setattr(finding, "NEWEST", 1)
    monkeypatch.setattr(finding, "DENSE", 1)
    ward = room(alice, bob)
    bed, cot = say(alice, ward, "bed"), say(alice, ward, "cot")
    say(alice, ward, "the newest")
    (number,) = SearchTokens.objects.get(pk=UUID(bed.id)).words
    tokens = SearchTokens.objects.get(pk=UUID(cot.id))
    tokens.words = sorted([*tokens.words, number])
    tokens.save()
    page = access.search(bob, Wanted(Criteria([("bed",)])))
    assert [text for _, text in page.messages] == ["bed"]
    assert page.opened == 3


def test_a_number_of_another_conversation_s_message_opens_nothing_there(
    alice: User, bob: User, mallory: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "NEWEST", 1)
    monkeypatch.setattr(finding, "DENSE", 1)
    hers, theirs = room(mallory), room(alice, bob)
    found, secret = say(mallory, hers, "bed"), say(alice, theirs, "bed, a secret")
    say(mallory, hers, "the newest")
    (number,) = SearchTokens.objects.get(pk=UUID(found.id)).words
    SearchTokens.objects.filter(pk=UUID(secret.id)).update(words=[number])
    assert texts(mallory, "bed") == ["bed"]
