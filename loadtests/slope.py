"""The slope of something that is measured over time, not misled by a few odd samples."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class Slope:
    """Change for each unit of time; nine of ten times the true one is within the bounds."""

    value: float
    lowest: float
    highest: float


def slope(points: Sequence[tuple[float, float]]) -> Slope | None:
    """Return Theil and Sen's: the median of the slopes of all pairs; None with fewer than three.

    The bounds are Sen's (1968, "Estimates of the regression coefficient based on Kendall's tau"),
    for 90 %, which take the samples to be independent of one another.
    """
    chosen = _thinned(points)
    count = len(chosen)
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for earlier, later in combinations(sorted(chosen), 2)
        if later[0] > earlier[0]
    )
    if count < 3 or not slopes:
        return None
    spread = 1.645 * sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, round((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, round((len(slopes) + spread) / 2))
    return Slope(statistics.median(slopes), slopes[low], slopes[high])


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    step = -(-len(points) // MOST_POINTS) or 1
    return points[::step]
