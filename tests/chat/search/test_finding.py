"""Searching finds what a reader of the same messages would have found, and nothing else."""

import pytest

from app.accounts.models import User
from app.chat.search.access import search
from app.chat.search.finding import Criteria
from app.chat.search.words import words_of
from tests.chat.talk import room, say


def looking_for(*phrases: str) -> Criteria:
    return Criteria(phrases=[tuple(words_of(phrase)) for phrase in phrases])


def texts(user: User, *phrases: str) -> list[str]:
    return [text for _, text in search(user, looking_for(*phrases)).messages]


@pytest.mark.usefixtures("db")
def test_a_word_is_found_in_all_my_conversations_newest_first(alice: User, bob: User) -> None:
    one, other = room(alice, bob), room(alice, bob)
    say(alice, one, "Potassium is back at 3.4")
    say(bob, other, "nothing of note")
    say(bob, other, "POTASSIUM again")
    assert texts(alice, "potassium") == ["POTASSIUM again", "Potassium is back at 3.4"]
    assert texts(alice, "potassium", "back at") == ["Potassium is back at 3.4"]
    assert texts(alice, "at back") == []
