"""Payloads, intended times and the clock."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests import clock
from loadtests.payload import Payload
from loadtests.schedule import Arrivals


@given(
    number=st.integers(1, 10**9),
    intended=st.integers(0, 4 * 10**15),
    length=st.integers(0, 2_000),
)
def test_a_payload_is_read_as_it_was_written(number: int, intended: int, length: int) -> None:
    written = Payload("a1b2", "m17", number, intended / 1e6)
    text = written.text(length)
    read = Payload.read(text)
    assert read is not None
    assert (read.run, read.sender, read.number) == ("a1b2", "m17", number)
    assert abs(read.intended - written.intended) < 1e-5
    assert len(text) <= max(length, len(text.split(" ", 1)[0]))
    assert length < 100 or len(text) > length - 12


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Good morning",
        "lt1:",
        "lt1:a:b:c:d",
        "see lt1:a:m1:1:1",
        "lt1:a:m1:1:1x",
        "lt2:a:m1:1:1",
    ],
)
def test_what_people_write_is_no_payload(text: str | None) -> None:
    assert Payload.read(text) is None


def test_arrivals_have_the_rate_that_was_asked_for_and_are_never_early() -> None:
    arrivals, at, count = Arrivals(Random(1)), 0.0, 0
    while at < 1_000:
        later = arrivals.next(at, 5.0)
        assert later > at
        at, count = later, count + 1
    assert 4_700 < count < 5_300  # four standard deviations


def test_at_no_rate_nothing_ever_arrives() -> None:
    assert math.isinf(Arrivals(Random(1)).next(0.0, 0.0))


@given(
    ahead=st.floats(-1e4, 1e4),
    ways=st.lists(st.tuples(st.floats(1e-4, 2), st.floats(1e-4, 2)), min_size=1, max_size=8),
)
def test_the_difference_of_two_clocks_is_known_to_half_of_the_quickest_answer(
    ahead: float, ways: list[tuple[float, float]]
) -> None:
    readings = [(n, n + there + ahead, n + there + back) for n, (there, back) in enumerate(ways)]
    bound = min(there + back for there, back in ways) / 2
    assert abs(clock.difference(readings) - ahead) <= 2 * bound + 1e-6
    if abs(ahead) > 2 * bound:
        assert abs(clock.difference(readings) - ahead) <= bound + 1e-6


@given(st.lists(st.tuples(st.floats(1e-4, 2), st.floats(1e-4, 2)), min_size=1, max_size=8))
def test_processes_of_one_machine_have_no_difference(ways: list[tuple[float, float]]) -> None:
    readings = [(n, n + there, n + there + back) for n, (there, back) in enumerate(ways)]
    assert clock.difference(readings) == 0.0
