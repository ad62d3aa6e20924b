"""Percentiles of a histogram: those of its own `get_value_at_percentile`, but a hundred times
as fast, because a report asks for thousands."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Any


def percentiles(histogram: Any, wanted: Sequence[float]) -> list[float] | None:
    """Return microseconds for percentiles from 0 to 100; None if nothing was recorded."""
    total = histogram.get_total_count()
    if not total:
        return None
    # The counts are an array of ctypes, whose elements are slow to reach one by one.
    counts = memoryview(histogram.counts).cast("B").cast("q").tolist()
    sums = list(accumulate(counts))
    places = [bisect_left(sums, max(1, int(at / 100 * total + 0.5))) for at in wanted]
    return [_highest_of(histogram, place) for place in places]


def _highest_of(histogram: Any, place: int) -> float:
    return float(histogram.get_highest_equivalent_value(histogram.get_value_from_index(place)))
