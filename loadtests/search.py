"""Looks for the highest rate that is held: doubles, bisects, and confirms what it found. Pure."""

import math
from dataclasses import dataclass, field

CONFIRMATIONS = 2
PRECISION = 1.1  # between the highest rate held and the lowest not held
MOST_TRIALS = 24


@dataclass
class Search:
    """Ask `next` for a rate, try it, `tell` whether it was held; until `next` is None."""

    first: float
    most: float
    _held: list[float] = field(default_factory=list)
    _failed: list[float] = field(default_factory=list)
    _asked: float = 0.0

    def next(self) -> float | None:
        """The next rate to try; None when the answer is known as well as it will be."""
        if len(self._held) + len(self._failed) >= MOST_TRIALS:
            return None
        self._asked = self._choice()
        return self._asked or None

    def tell(self, *, held: bool) -> None:
        """Whether the rate asked for last was held."""
        (self._held if held else self._failed).append(self._asked)

    def _choice(self) -> float:
        limit = min(self._failed, default=None)
        below = [rate for rate in self._held if limit is None or rate < limit]
        best = max(below, default=0.0)
        if limit is None:
            if not best:
                return self.first
            return min(self.most, best * 2) if best < self.most else self._confirm(best)
        if not best:
            return limit / 2 if limit > 1 else 0.0
        if limit / best > PRECISION:
            return round(math.sqrt(limit * best), 1)
        return self._confirm(best)

    def _confirm(self, rate: float) -> float:
        return rate if self._held.count(rate) <= CONFIRMATIONS else 0.0
