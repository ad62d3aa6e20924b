"""This run beside another one: ratios with their spread, and in words what is worse.

What is kept of a run to compare with (`Kept`) is small enough for the repository: each figure
with its value in each tenth of the run. The same tenth of two runs of one profile saw the same
load, so ten ratios show how far apart they are by chance.
"""

import statistics
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from loadtests.record import Environment
from loadtests.summary import Summary

PARTS = 10
NOTABLE = 1.1
AGREEING = 8
FOLDER = Path(__file__).with_name("baselines")


class Unlike(Exception):
    """The two runs say nothing about one another; says why."""


class Figure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`parts`: a value for each tenth of the run, None where there was none; may be empty."""

    name: str
    unit: str
    better: Literal["lower", "higher"]
    value: float
    parts: list[float | None] = []


class Kept(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a run to compare others with."""

    profile: str
    began: datetime
    seconds: float
    environment: Environment
    remark: str = ""
    figures: list[Figure]


class Compared(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ratio` is here to there; `lowest` and `highest` of the tenths, None without any."""

    name: str
    unit: str
    here: float
    there: float
    ratio: float | None
    lowest: float | None
    highest: float | None
    verdict: Literal["worse", "better", "alike"]


class Comparison(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    began: datetime
    versions: dict[str, str]
    remark: str
    rows: list[Compared]
    sentences: list[str]


def keep(summary: Summary, remark: str = "") -> Kept:
    """Return what is worth comparing of a run."""
    return Kept(
        profile=summary.profile,
        began=summary.began,
        seconds=summary.seconds,
        environment=summary.environment,
        remark=remark,
        figures=[*_latencies(summary), *_rates(summary), *_costs(summary)],
    )


def compare(here: Kept, there: Kept, *, unlike_machines: bool = False) -> Comparison:
    """Raises Unlike when the profiles differ, or the machines, unless that is asked for."""
    if here.profile != there.profile:
        raise Unlike(
            f"This run is {here.profile}, the baseline {there.profile}: they do different work."
        )
    differences = machine_differences(here.environment, there.environment)
    if differences and not unlike_machines:
        raise Unlike(
            f"The baseline is of another machine: {'; '.join(differences)}. "
            "Add --unlike-machines to compare all the same."
        )
    known = {figure.name: figure for figure in there.figures}
    rows = [
        _compared(figure, known[figure.name]) for figure in here.figures if figure.name in known
    ]
    gone = sorted(set(known) - {figure.name for figure in here.figures})
    return Comparison(
        began=there.began,
        versions=there.environment.versions,
        remark=there.remark,
        rows=rows,
        sentences=[*_sentences(rows), *(f"{name} was not measured this time." for name in gone)]
        + [f"Not the same machine: {difference}." for difference in differences],
    )


def machine_differences(here: Environment, there: Environment) -> list[str]:
    """Return what makes two machines unlike: processor, cores, a tenth of the memory."""
    found = []
    if here.cpu != there.cpu:
        found.append(f"{here.cpu} here, {there.cpu} there")
    if here.cores != there.cores:
        found.append(f"{here.cores} cores here, {there.cores} cores there")
    if abs(here.memory_bytes - there.memory_bytes) > 0.1 * there.memory_bytes:
        sizes = [f"{one.memory_bytes / (1 << 30):.1f} GiB" for one in (here, there)]
        found.append(f"{sizes[0]} of memory here, {sizes[1]} of memory there")
    return found


def _latencies(summary: Summary) -> list[Figure]:
    found = []
    for operation in summary.operations:
        lines = summary.timeline.operations.get(operation.name)
        if operation.latency_ms is None or lines is None:
            continue
        for name, value, values in (
            ("p50", operation.latency_ms.p50, lines.p50),
            ("p99", operation.latency_ms.p99, lines.p99),
        ):
            found.append(
                Figure(
                    name=f"{operation.name}, {name}",
                    unit="ms",
                    better="lower",
                    value=value,
                    parts=_parts(values),
                )
            )
    return found


def _rates(summary: Summary) -> list[Figure]:
    found = [
        Figure(
            name=f"{operation.name}, done",
            unit="a second",
            better="higher",
            value=operation.rate,
            parts=_parts(summary.timeline.operations[operation.name].rate),
        )
        for operation in summary.operations
        if operation.name in summary.timeline.operations
    ]
    if summary.knee:
        knee = summary.knee.rate
        found.append(Figure(name="the knee", unit=summary.rate_unit, better="higher", value=knee))
    return found


def _costs(summary: Summary) -> list[Figure]:
    """CPU time for one leading operation, and memory, of each kind of process."""
    done = sum(one.done for one in summary.operations if one.name == summary.leading)
    found = []
    for kind in sorted({process.kind for process in summary.processes} - {"generator"}):
        processes = [process for process in summary.processes if process.kind == kind]
        cpu = sum(process.cpu_seconds for process in processes)
        if done:
            name = f"CPU of {kind} for one {summary.leading}"
            cost = round(1000 * cpu / done, 4)
            found.append(Figure(name=name, unit="ms", better="lower", value=cost))
        memory = sum(process.highest_mib for process in processes)
        name = f"memory of {kind}"
        found.append(Figure(name=name, unit="MiB", better="lower", value=round(memory, 1)))
    return found


def _parts(values: Sequence[float | None]) -> list[float | None]:
    """The median of each tenth; of fewer than ten values, none."""
    if len(values) < PARTS:
        return []
    edges = [len(values) * part // PARTS for part in range(PARTS + 1)]
    found: list[float | None] = []
    for first, last in pairwise(edges):
        part = [value for value in values[first:last] if value is not None]
        found.append(round(statistics.median(part), 3) if part else None)
    return found


def _compared(here: Figure, there: Figure) -> Compared:
    ratios = [
        mine / theirs
        for mine, theirs in zip(here.parts, there.parts, strict=False)
        if mine is not None and theirs
    ]
    ratio = here.value / there.value if there.value else None
    return Compared(
        name=here.name,
        unit=here.unit,
        here=here.value,
        there=there.value,
        ratio=ratio,
        lowest=min(ratios, default=None),
        highest=max(ratios, default=None),
        verdict=_verdict(here, ratio, ratios),
    )


def _verdict(
    here: Figure, ratio: float | None, ratios: Sequence[float]
) -> Literal["worse", "better", "alike"]:
    """Different by a tenth, and so in eight of ten tenths of the run."""
    if ratio is None:
        return "alike"
    above = ratio >= NOTABLE and _agree([one > 1 for one in ratios])
    below = ratio <= 1 / NOTABLE and _agree([one < 1 for one in ratios])
    if above or below:
        return "worse" if above == (here.better == "lower") else "better"
    return "alike"


def _agree(parts: Sequence[bool]) -> bool:
    return sum(parts) >= len(parts) * AGREEING / PARTS


def _sentences(rows: Sequence[Compared]) -> list[str]:
    worse = [row for row in rows if row.verdict == "worse"]
    better = [row for row in rows if row.verdict == "better"]
    found = [f"Worse: {_told(row)}." for row in worse]
    found += [f"Better: {_told(row)}." for row in better]
    return found or ["Nothing is worse or better than by chance."]


def _told(row: Compared) -> str:
    spread = (
        f" ({row.lowest:.2f} to {row.highest:.2f} over the run)" if row.lowest is not None else ""
    )
    return (
        f"{row.name} is {row.here:,.4g} {row.unit}, was {row.there:,.4g}: "
        f"{row.ratio or 0:.2f} times{spread}"
    )


def read_kept(path: Path) -> Kept:
    """Return what was kept of a run in a file. Raises Unlike."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except OSError as error:
        raise Unlike(f"{path} cannot be read: {error.strerror}.") from None
    except msgspec.DecodeError as error:
        raise Unlike(f"{path} is not what is kept of a run: {error}.") from None
