"""One clock for schedules and payloads: the time of day as it was when the process began, and
from then on the monotonic clock, so that nobody who sets the time disturbs a run."""

import time

_BEGAN = time.time() - time.monotonic()


def now() -> float:
    """Seconds since the epoch."""
    return _BEGAN + time.monotonic()
