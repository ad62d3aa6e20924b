"""One clock for schedules, payloads and logs: the time of day as it was when the process began, and
from then on the monotonic clock, so that nobody who sets the time disturbs a run.

A worker goes by the master's: what one worker sends another hears, and how long that took is the
difference of two machines' clocks.
"""

import time
from collections.abc import Sequence

Reading = tuple[float, float, float]
"""When another clock was asked, what it said, and when the answer was here."""

_began = time.time() - time.monotonic()


def now() -> float:
    """Seconds since the epoch."""
    return _began + time.monotonic()


def difference(readings: Sequence[Reading]) -> float:
    """Return how far the other clock is ahead, in seconds: as the quickest answer has it (as in
    NTP, RFC 5905, section 8), which is wrong by half of the time that it took at most. What is
    less than that is no difference: two processes of one machine have one clock."""
    asked, said, came = min(readings, key=lambda one: one[2] - one[0])
    ahead = said - (asked + came) / 2
    return ahead if abs(ahead) > (came - asked) / 2 else 0.0


def advance(seconds: float) -> None:
    """Go by a clock that is so far ahead."""
    global _began  # noqa: PLW0603 - a process has one clock
    _began += seconds
