"""A measured figure beside its limit: median, spread, verdict; as a table and as JSON."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


class Incorrect(Exception):
    """What was measured did not do its work: there is no figure to speak of."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`samples` of one figure in `unit`. Without a limit it is a peer, measured to compare with.

    A void figure has no verdict: something else was measured than what its name says.
    """

    name: str
    unit: str
    samples: Sequence[float]
    limit: float | None = None
    bound: Literal["at least", "at most"] = "at least"
    remark: str = ""
    void: bool = False

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the median keeps the limit; None where there is none, or it is void."""
        if self.limit is None or self.void:
            return None
        return self.median >= self.limit if self.bound == "at least" else self.median <= self.limit

    def document(self) -> dict[str, object]:
        return {
            "figure": self.name,
            "unit": self.unit,
            "median": self.median,
            "lowest": min(self.samples),
            "highest": max(self.samples),
            "samples": len(self.samples),
            "bound": self.bound if self.limit is not None else None,
            "limit": self.limit,
            "met": self.met,
            "void": self.void,
            "remark": self.remark,
        }


def p99(samples: Sequence[float]) -> float:
    """Return what 99 of 100 samples do not exceed; of a few samples, nearly the highest."""
    return statistics.quantiles(samples, n=100, method="inclusive")[-1]


HEADING = (
    f"{'figure':<62}{'median':>10}  {'lowest to highest':<21}{'limit':<18}verdict\n" + "-" * 120
)


def line(figure: Figure) -> str:
    """One line of the table under HEADING; a remark is a second one."""
    spread = f"{_number(min(figure.samples))} to {_number(max(figure.samples))}"
    limit = "" if figure.limit is None else f"{figure.bound} {_number(figure.limit)}"
    verdict = "VOID" if figure.void else {None: "", True: "met", False: "MISSED"}[figure.met]
    name = f"{figure.name}, {figure.unit}"
    row = f"{name:<62}{_number(figure.median):>10}  {spread:<21}{limit:<18}{verdict}".rstrip()
    return f"{row}\n    {figure.remark}" if figure.remark else row


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
