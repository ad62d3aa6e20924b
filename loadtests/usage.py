"""What processes, PostgreSQL and Redis used, from the samples of a run."""

import statistics
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

from msgspec.structs import replace

from loadtests.record import Postgres, Process, Redis, Resources
from loadtests.slope import slope
from loadtests.summary import ProcessFigures, Usage

MIB = 1 << 20
LEAST_SECONDS = 1_700.0
"""Half an hour, or nearly: a process settles for many minutes (what it keeps ready is filled, and
code that is seldom used is loaded), and what it did in a few of them says nothing of an hour."""
Windows = list[tuple[float, float]]
Seen = list[tuple[float, Process]]
Reading = Callable[[Resources], float | None]


class Bins:
    """The axis of time: `count` bins, each `width` seconds long."""

    def __init__(self, width: float, count: int) -> None:
        self.width, self.count = width, count

    def of(self, second: float) -> int:
        return min(max(0, int(second / self.width)), self.count - 1)


def within(second: float, windows: Windows) -> bool:
    return any(since <= second < until for since, until in windows)


def process_figures(name: str, seen: Seen, windows: Windows) -> ProcessFigures:
    """Return what one process used; its slope within the windows."""
    first, last = seen[0], seen[-1]
    growth = [(at / 3600, _growing(process)) for at, process in seen if within(at, windows)]
    long_enough = growth and growth[-1][0] - growth[0][0] >= LEAST_SECONDS / 3600
    grown = slope(growth) if long_enough else None
    return ProcessFigures(
        name=name,
        kind=last[1].kind,
        cpu_seconds=round(_cpu(seen), 3),
        cores=round(_cpu(seen) / (last[0] - first[0]), 4) if last[0] > first[0] else 0.0,
        highest_mib=round(max(process.memory_bytes for _, process in seen) / MIB, 2),
        most_files=max(process.files for _, process in seen),
        mib_per_hour=round(grown.value, 3) if grown else None,
        mib_per_hour_lowest=round(grown.lowest, 3) if grown else None,
        mib_per_hour_highest=round(grown.highest, 3) if grown else None,
        settling=grown is not None and grown.settling,
    )


def _growing(process: Process) -> float:
    """The memory, in MiB, whose slope counts. Not libraries: of one that other programs of the
    machine use too, a part is counted, which is another one when these come and go."""
    unfiled = process.unfiled_bytes
    return (process.memory_bytes if unfiled is None else unfiled) / MIB


def never_less(seen: Seen) -> Seen:
    """CPU seconds as they can only be: more. A child that ends just when it is looked for is in
    neither its own time nor its parent's, until the next sample."""
    found: Seen = []
    for at, process in seen:
        if found and found[-1][1].pid == process.pid:
            highest = max(process.cpu_seconds, found[-1][1].cpu_seconds)
            process = replace(process, cpu_seconds=highest)  # noqa: PLW2901 - the same, mended
        found.append((at, process))
    return found


def _cpu(seen: Sequence[tuple[float, Process]]) -> float:
    """CPU seconds used; a process that was restarted under its name begins again at zero."""
    return sum(
        later.cpu_seconds - (earlier.cpu_seconds if later.pid == earlier.pid else 0.0)
        for (_, earlier), (_, later) in pairwise(seen)
    )


def cores_of(seen: Sequence[tuple[float, Process]]) -> float:
    """CPU time by the clock, from the first sample to the last."""
    length = seen[-1][0] - seen[0][0] if seen else 0.0
    return _cpu(seen) / length if length > 0 else 0.0


def usage(seen: Seen, bins: Bins, count: int) -> Usage:
    """One process over time."""
    times = [at for at, _ in seen]
    cores: list[float | None] = []
    mib: list[float | None] = []
    for number in range(count):
        first = bisect_left(times, bins.width * number)
        last = bisect_left(times, bins.width * (number + 1))
        # With the sample before, so that the time between two samples is nobody's gap.
        during = seen[max(0, first - 1) : last]
        cores.append(round(cores_of(during), 4) if len(during) > 1 else None)
        here = [process.memory_bytes for at, process in seen[first:last]]
        mib.append(round(max(here) / MIB, 2) if here else None)
    return Usage(cores=cores, mib=mib)


def _postgres(reading: Callable[[Postgres], float]) -> Reading:
    return lambda sample: reading(sample.postgres) if sample.postgres else None


def _redis(reading: Callable[[Redis], float]) -> Reading:
    return lambda sample: reading(sample.redis) if sample.redis else None


# Levels are averaged over a bin; what only grows becomes a rate a second.
LEVELS: dict[str, Reading] = {
    "sockets": lambda sample: sample.sockets,
    "PostgreSQL: connections": _postgres(lambda one: one.connections),
    "Redis: memory, MiB": _redis(lambda one: one.memory_bytes / MIB),
    "Redis: clients": _redis(lambda one: one.clients),
}
TOTALS: dict[str, Reading] = {
    "PostgreSQL: transactions a second": _postgres(lambda one: one.transactions),
    "PostgreSQL: WAL, KiB a second": _postgres(lambda one: one.wal_bytes / 1024),
    "Redis: commands a second": _redis(lambda one: one.commands),
}


def gauges(samples: Sequence[Resources], bins: Bins) -> dict[str, list[float | None]]:
    """What was seen of PostgreSQL, Redis and sockets over time; what never was is left out."""
    levels = {name: _binned(_read(samples, reading), bins) for name, reading in LEVELS.items()}
    totals = {
        name: _binned(_rates(_read(samples, reading)), bins) for name, reading in TOTALS.items()
    }
    found = {**levels, **totals}
    return {
        name: values for name, values in found.items() if any(one is not None for one in values)
    }


def _read(samples: Sequence[Resources], reading: Reading) -> list[tuple[float, float]]:
    values = [(sample.second, reading(sample)) for sample in samples]
    return [(at, float(value)) for at, value in values if value is not None]


def _rates(totals: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A total that fell belongs to a server that was started again."""
    return [
        (at, (value - before) / (at - earlier))
        for (earlier, before), (at, value) in pairwise(totals)
        if at > earlier and value >= before
    ]


def _binned(values: Sequence[tuple[float, float]], bins: Bins) -> list[float | None]:
    found: defaultdict[int, list[float]] = defaultdict(list)
    for at, value in values:
        found[bins.of(at)].append(value)
    return [
        round(statistics.fmean(found[number]), 3) if number in found else None
        for number in range(bins.count)
    ]
