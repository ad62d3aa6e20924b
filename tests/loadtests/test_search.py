"""Find-max on servers that hold a known rate, always or mostly."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.search import CONFIRMATIONS, MOST_TRIALS, PRECISION, Search


def found(search: Search, limit: float) -> tuple[float, list[float]]:
    """The highest rate that was held throughout, and all that were tried."""
    tried = []
    while rate := search.next():
        tried.append(rate)
        search.tell(held=rate <= limit)
    return max((rate for rate in tried if rate <= limit), default=0.0), tried


@given(first=st.floats(1, 1_000), limit=st.floats(5, 15_000))
def test_the_rate_is_found_within_the_precision_and_confirmed(first: float, limit: float) -> None:
    best, tried = found(Search(first, 20_000), limit)
    assert limit / PRECISION / 1.02 <= best <= limit  # rates are rounded to a tenth
    assert tried.count(best) == 1 + CONFIRMATIONS
    assert len(tried) <= MOST_TRIALS


def test_it_doubles_then_bisects_then_confirms() -> None:
    assert found(Search(50, 20_000), 150)[1] == [50, 100, 200, 141.4, 168.2, 154.2, 141.4, 141.4]


def test_it_does_not_go_beyond_the_most_that_is_allowed() -> None:
    assert found(Search(50, 150), 1e9)[1] == [50, 100, 150, 150, 150]


def test_a_server_that_holds_nothing_ends_it() -> None:
    best, tried = found(Search(50, 150), 0.5)
    assert best == 0
    assert len(tried) < MOST_TRIALS


def test_a_rate_that_is_not_held_again_is_not_the_answer() -> None:
    search, tried = Search(50, 20_000), []
    while rate := search.next():
        held = rate < 120 or (rate < 150 and rate not in tried)  # luck, once
        tried.append(rate)
        search.tell(held=held)
    assert tried[-1] < 120
    assert tried.count(tried[-1]) == 1 + CONFIRMATIONS


@pytest.mark.parametrize("seed", range(50))
def test_it_always_ends(seed: int) -> None:
    chance, search, trials = Random(seed), Search(50, 20_000), 0
    while search.next():
        search.tell(held=chance.random() < 0.6)
        trials += 1
    assert trials <= MOST_TRIALS
