"""The open model: when something is to happen is drawn beforehand, whatever became of the last.

A user whose last action takes long is late with the next one, and that lateness is part of what
is measured: latency counts from the intended time (no coordinated omission).
"""

import math
from dataclasses import dataclass
from random import Random


@dataclass(slots=True)
class Arrivals:
    """A Poisson process: independent people's doings. Without memory, so a changed rate may
    redraw a time that is still to come."""

    random: Random

    def next(self, after: float, rate: float) -> float:
        """Return the next time after `after`, in seconds, at `rate` a second; 0: never."""
        return after + self.random.expovariate(rate) if rate > 0 else math.inf
