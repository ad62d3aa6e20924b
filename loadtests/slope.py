"""The slope of something that is measured over time, not misled by a few odd samples."""

import statistics
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

PARTS = 12


@dataclass(frozen=True, slots=True)
class Slope:
    """Change for each unit of time; nine of ten times the true one is within the bounds.

    `settling`: the second half rises less than half as fast as the first one."""

    value: float
    lowest: float
    highest: float
    settling: bool


def slope(points: Sequence[tuple[float, float]]) -> Slope | None:
    """Return Theil and Sen's: the median of the slopes of all pairs; None with fewer than three.

    Of the twelve parts of the time each counts by its median. Memory of one second is that of the
    second before, and Sen's bounds (1968, "Estimates of the regression coefficient based on
    Kendall's tau", for 90 %) take what they are given to be independent: a thousand samples would
    seem to know a thousand times more than there was to see.
    """
    chosen = _parts(sorted(points))
    slopes = _slopes(chosen)
    count = len(chosen)
    if count < 3 or not slopes:
        return None
    spread = 1.645 * sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, round((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, round((len(slopes) + spread) / 2))
    return Slope(statistics.median(slopes), slopes[low], slopes[high], _is_settling(chosen))


def _slopes(points: Sequence[tuple[float, float]]) -> list[float]:
    return sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for earlier, later in combinations(points, 2)
        if later[0] > earlier[0]
    )


def _is_settling(points: Sequence[tuple[float, float]]) -> bool:
    half = len(points) // 2
    first, second = _slopes(points[:half]), _slopes(points[half:])
    if not first or not second:
        return False
    before, after = statistics.median(first), statistics.median(second)
    return before > 0 and after < before / 2


def _parts(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The middle of each part and the median in it; where there is less, all that there is."""
    if len(points) <= PARTS:
        return list(points)
    begin, length = points[0][0], (points[-1][0] - points[0][0]) / PARTS
    times = [at for at, _ in points]
    edges = [bisect_left(times, begin + length * part) for part in range(PARTS)]
    cut = [points[a:b] for a, b in zip(edges, [*edges[1:], len(points)], strict=True)]
    return [
        (statistics.fmean(at for at, _ in part), statistics.median(value for _, value in part))
        for part in cut
        if part
    ]
