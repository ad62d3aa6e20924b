"""When leases of voice rooms were looked after, as it is seen from outside."""

import pytest

from app.voice import leases, lifetimes
from loadtests import sampler
from loadtests.faults import GAP_SECONDS, lease_gaps
from loadtests.record import Redis, Resources


def seen(*swept: float | str | None) -> list[Resources]:
    """A sample a second: how long ago a sweep was; None: Redis knows of none, "": it is away."""
    return [
        Resources(
            second=float(second),
            redis=None
            if isinstance(ago, str)
            else Redis(commands=1, memory_bytes=1, clients=1, swept=ago),
        )
        for second, ago in enumerate(swept)
    ]


@pytest.mark.parametrize(
    ("swept", "gaps"),
    [
        ((0.5, 1.5, 0.2, 1.2, 2.2, 0.1), []),
        ((0.5, None, None, 0.2), [(1.0, 3.0)]),
        ((0.5, "", None, 0.2, 1.2), [(1.0, 3.0)]),
        ((4.0, 5.0, 6.0, 7.0, 0.5), [(-4.0, 4.0)]),
        ((0.5, 1.0, None, 0.1, 0.5, "", 0.3), [(2.0, 3.0), (5.0, 6.0)]),
    ],
)
def test_a_gap_lasts_until_leases_are_looked_at_again(
    swept: tuple[float | str | None, ...], gaps: list[tuple[float, float]]
) -> None:
    assert lease_gaps(seen(*swept)) == gaps


def test_it_is_looked_for_where_it_is_kept() -> None:
    assert sampler.SWEEPS == leases.SWEEPS
    assert lifetimes.GAP_MS == GAP_SECONDS * 1000
