"""A turn: one server works for some seconds, and what that cost is noted."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure
from benchmarks.gateway.machine import Moment

LEAST_IDLE = 0.05
"""A generator that waits less than this part of its time may be what is measured."""
NEARLY_ALL = 0.9


@dataclass(frozen=True, slots=True)
class Turn:
    """What was done in `wall` seconds, and what it cost."""

    done: int
    wall: float
    server_seconds: float
    generator_share: float
    generator_idle: float

    @property
    def rate(self) -> float:
        """How much was done in a processor second of the server."""
        return self.done / self.server_seconds

    @property
    def void(self) -> bool:
        """Whether the generator had no time left while the server had some."""
        return self.generator_idle < LEAST_IDLE and self.server_seconds / self.wall < NEARLY_ALL


class Meter:
    """Watches the counter `done` and the server's processor time from its making on."""

    def __init__(self, done: Callable[[], int], used: Callable[[], float]) -> None:
        self._done, self._used = done, used
        self._began, self._before, self._cost = Moment.now(), done(), used()

    def read(self) -> Turn:
        """What has happened since."""
        done, cost, now = self._done() - self._before, self._used() - self._cost, Moment.now()
        shares = now.share_since(self._began), now.idle_since(self._began)
        return Turn(done, now.wall - self._began.wall, cost, *shares)


async def turn(done: Callable[[], int], used: Callable[[], float], seconds: float) -> Turn:
    """Watch for so long."""
    meter = Meter(done, used)
    await asyncio.sleep(seconds)
    return meter.read()


def rate(name: str, unit: str, turns: Sequence[Turn]) -> Figure:
    """The figure of one server, with what shows whether it was the server that was measured."""
    return Figure(name, unit, [turn.rate for turn in turns], remark=_remark(turns))


def ratio(
    name: str, ours: Sequence[Turn], theirs: Sequence[Turn], limit: float | None = None
) -> Figure:
    """Ours against a peer's that ran just before or after; void where the generator was short."""
    pairs = list(zip(ours, theirs, strict=True))
    sound = [(one, other) for one, other in pairs if not (one.void or other.void)]
    samples = [one.rate / other.rate for one, other in sound or pairs]
    return Figure(name, "times", samples, limit, void=len(sound) < len(pairs) / 2)


def _remark(turns: Sequence[Turn]) -> str:
    middle = sorted(turns, key=lambda turn: turn.rate)[len(turns) // 2]
    return (
        f"{middle.done / middle.wall:,.0f} a second by the clock; "
        f"server {middle.server_seconds / middle.wall:.0%} of its core, "
        f"generator {middle.generator_share:.0%}, idle {middle.generator_idle:.0%}"
        + ("; the generator was the limit" if middle.void else "")
    )
