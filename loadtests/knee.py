"""From the trials of find-max to the knee: the highest rate that is held. Pure."""

from collections import defaultdict
from collections.abc import Sequence

from msgspec import Struct

from loadtests.record import Trial


class Knee(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rate` was held each time that it was tried, `confirmations` times after the first. The
    true knee lies between `lowest`, up to which no trial failed, and `highest`, the lowest rate
    that was never held; None if nothing above was found to fail."""

    rate: float
    lowest: float
    highest: float | None
    confirmations: int


def find_knee(trials: Sequence[Trial]) -> Knee | None:
    """Return the knee; None if no rate was held whenever it was tried."""
    tried: defaultdict[float, list[bool]] = defaultdict(list)
    for trial in trials:
        tried[trial.rate].append(trial.held)
    always = [rate for rate, held in tried.items() if all(held)]
    never = [rate for rate, held in tried.items() if not any(held)]
    failed = [rate for rate, held in tried.items() if not all(held)]
    # A rate that was held above one that never was is luck.
    bound = min(never, default=None)
    sound = [rate for rate in always if bound is None or rate < bound]
    if not sound:
        return None
    rate = max(sound)
    quiet = [one for one in sound if one < min(failed, default=float("inf"))]
    return Knee(
        rate=rate,
        lowest=max(quiet, default=min(sound)),
        highest=bound,
        confirmations=len(tried[rate]) - 1,
    )
