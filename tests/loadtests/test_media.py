"""Real sound between two ends of a connection, counted."""

import asyncio
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from aiortc.mediastreams import MediaStreamError

from loadtests.ledger import Ledger, Way
from loadtests.media import Sound, hear

FRAMES = 25


class Track:
    """Frames of 20 ms that carry these numbers."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = list(numbers)

    async def recv(self) -> Any:
        if not self._numbers:
            raise MediaStreamError
        return SimpleNamespace(time=Fraction(960 * self._numbers.pop(0) + 312, 48_000))


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ([0, 1, 2, 3], (4, 0)),
        ([7, 8, 10, 11], (4, 1)),
        ([0, 5, 6, 9], (4, 6)),
        ([], (0, 0)),
    ],
)
def test_what_was_missed_between_two_frames_is_counted(
    numbers: list[int], found: tuple[int, int]
) -> None:
    way = Way("pid-1", "pid-2")
    asyncio.run(hear(Track(*numbers), way))  # type: ignore[arg-type]
    assert (way.heard, way.missed) == found


def test_two_hear_each_other_and_what_was_heard_had_been_sent() -> None:
    here, there = asyncio.run(call())
    for way in (here.way("a", "b"), there.way("b", "a")):
        assert way.since is not None
        assert way.sent >= FRAMES
        assert way.heard == 0  # the other end hears
    for sent, heard in (
        (here.way("a", "b").sent, there.way("a", "b")),
        (there.way("b", "a").sent, here.way("b", "a")),
    ):
        assert FRAMES <= heard.heard <= sent - heard.missed
        assert heard.sent == 0


async def call() -> tuple[Ledger, Ledger]:
    """The ledgers of the two, once each has heard half a second of the other."""
    here, there = Ledger(), Ledger()
    one = Sound().media(place("a"), "b", here)
    other = Sound().media(place("b"), "a", there)
    try:
        offer = await one.offer()
        await one.accept(await other.answer(offer))
        async with asyncio.timeout(60):
            while min(here.way("b", "a").heard, there.way("a", "b").heard) < FRAMES:
                await asyncio.sleep(0.05)
    finally:
        await one.close()
        await other.close()
    return here, there


def place(pid: str) -> Any:
    """Where somebody sits, with no relay to be had."""
    return SimpleNamespace(pid=pid, place=SimpleNamespace(ice=SimpleNamespace(servers=[])))
