"""From the record of a run to what it comes to (`loadtests.summary`)."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from loadtests.knee import Knee, find_knee
from loadtests.objectives import Objectives
from loadtests.percentiles import percentiles
from loadtests.record import LAG, Counts, Interval, Record, Trial, new_histogram
from loadtests.summary import (
    AtKnee,
    Latencies,
    Lines,
    Operation,
    PhaseFigures,
    Point,
    ProcessFigures,
    Summary,
    Timeline,
)
from loadtests.usage import (
    MIB,
    Bins,
    Seen,
    Windows,
    cores_of,
    gauges,
    never_less,
    process_figures,
    usage,
    within,
)

MOST_BINS = 240
LEADING = ("send", "delivery")


def summarize(record: Record, objectives: Objectives | None = None) -> Summary:
    """Return what the run comes to, in the phases that its objectives look at.

    Raises Unreadable when a latency log is damaged.
    """
    run, objectives = record.run, objectives or Objectives()
    made = _Maker(record, objectives.phases)
    phases, timeline, leading = made.phases(), made.timeline(), made.leading()
    limit = objectives.latency_ms.get(leading)
    trials = run.trials or _steps(phases, leading, limit.p99 if limit else None)
    knee = find_knee(trials)
    return Summary(
        profile=run.profile,
        target=run.target,
        began=run.began,
        seconds=record.seconds,
        cut_short=record.cut_short,
        rate_unit=run.rate_unit,
        remarks=run.remarks,
        environment=run.environment,
        leading=leading,
        operations=made.operations(made.windows),
        phases=phases,
        faults=run.faults,
        trials=trials,
        knee=knee,
        at_knee=made.at(max(_held_at(trials, knee), key=lambda t: t.since)) if knee else None,
        points=_points(trials, timeline, leading),
        lag_ms=made.latencies(LAG, made.windows),
        ledger=run.ledger,
        processes=made.processes(),
        timeline=timeline,
    )


def _held_at(trials: Sequence[Trial], knee: Knee) -> list[Trial]:
    return [trial for trial in trials if trial.held and trial.rate == knee.rate]


def _steps(phases: Sequence[PhaseFigures], leading: str, limit: float | None) -> list[Trial]:
    """Phases of at least three rates are trials too: a step holds if it keeps the objective."""
    steps = [phase for phase in phases if phase.rate > 0]
    if limit is None or len({phase.rate for phase in steps}) < 3:
        return []
    return [
        Trial(
            rate=phase.rate,
            held=latency.p99 <= limit,
            p99_ms=latency.p99,
            since=phase.since,
            until=phase.until,
            why="" if latency.p99 <= limit else f"p99 of {leading} above {limit:g} ms",
        )
        for phase in steps
        for operation in phase.operations
        if operation.name == leading and (latency := operation.latency_ms)
    ]


def _points(trials: Sequence[Trial], timeline: Timeline, leading: str) -> list[Point]:
    """Throughput against latency: of trials if there are any, else of each bin."""
    if trials:
        return [Point(rate=t.rate, p99_ms=t.p99_ms, held=t.held, since=t.since) for t in trials]
    lines = timeline.operations.get(leading)
    if lines is None:
        return []
    return [
        Point(rate=rate, p99_ms=p99, held=True, since=start)
        for start, rate, p99 in zip(timeline.starts, lines.rate, lines.p99, strict=True)
        if p99 is not None
    ]


class _Maker:
    """Holds a record in the order in which its figures are asked for."""

    def __init__(self, record: Record, measured: Sequence[str]) -> None:
        self.record, self.run = record, record.run
        self.end = record.seconds
        self.measured = set(measured)
        # Before the first phase people only come; after the last one, what is late still ends.
        began = min((phase.since for phase in self.run.phases), default=0.0)
        self.windows: Windows = [
            (phase.since, self._until(phase.until))
            for phase in self.run.phases
            if phase.name in self.measured
        ] or [(began, float("inf"))]
        self.intervals: defaultdict[str, list[Interval]] = defaultdict(list)
        for interval in record.intervals:
            self.intervals[interval.operation].append(interval)
        self.samples = sorted(record.resources, key=lambda sample: sample.second)

    def leading(self) -> str:
        names = self.record.operations
        for name in LEADING:
            if name in names:
                return name
        return names[0] if names else ""

    def _until(self, until: float | None) -> float:
        return self.end if until is None else until

    def latencies(self, operation: str, windows: Windows) -> Latencies | None:
        merged = new_histogram()
        for interval in self.intervals[operation]:
            if within(interval.second, windows):
                interval.add_to(merged)
        return _latencies(merged)

    def operations(self, windows: Windows) -> list[Operation]:
        found: defaultdict[str, list[Counts]] = defaultdict(list)
        for counts in self.record.counts:
            if within(counts.second, windows):
                found[counts.operation].append(counts)
        length = sum(min(until, self.end) - since for since, until in windows)
        return [
            _operation(name, found[name], length, self.latencies(name, windows))
            for name in self.record.operations
        ]

    def phases(self) -> list[PhaseFigures]:
        figures = []
        for phase in self.run.phases:
            window = [(phase.since, self._until(phase.until))]
            figures.append(
                PhaseFigures(
                    name=phase.name,
                    since=phase.since,
                    until=window[0][1],
                    users=phase.users,
                    rate=phase.rate,
                    measured=not self.measured or phase.name in self.measured,
                    lag_ms=self.latencies(LAG, window),
                    operations=self.operations(window),
                )
            )
        return figures

    def processes(self) -> list[ProcessFigures]:
        return [
            process_figures(name, seen, self.windows) for name, seen in self._by_process().items()
        ]

    def _by_process(self) -> dict[str, Seen]:
        found: defaultdict[str, Seen] = defaultdict(list)
        for sample in self.samples:
            for process in sample.processes:
                found[process.name].append((sample.second, process))
        whole = {name: never_less(seen) for name, seen in found.items()}
        return dict(sorted(whole.items(), key=lambda item: (item[1][0][1].kind, item[0])))

    def at(self, trial: Trial) -> AtKnee:
        """What was going on during a trial."""
        rates = {o.name: o.rate for o in self.operations([(trial.since, trial.until)])}
        gateways = self._during(trial, "gateway")
        users = [
            phase.users
            for phase in self.run.phases
            if phase.since < trial.until and self._until(phase.until) > trial.since
        ]
        idle = [seen[0][1] for seen in self._by_process().values() if seen[0][1].kind == "gateway"]
        highest = [max(process.memory_bytes for _, process in seen) for seen in gateways]
        return AtKnee(
            sends=rates.get("send", 0.0),
            deliveries=rates.get("delivery", 0.0),
            users=max(users, default=0),
            gateways=len(gateways),
            gateway_cores=round(sum(map(cores_of, gateways)), 4),
            postgres_cores=round(sum(map(cores_of, self._during(trial, "postgres"))), 4),
            gateway_mib_idle=round(sum(process.memory_bytes for process in idle) / MIB, 2),
            gateway_mib=round(sum(highest) / MIB, 2),
        )

    def _during(self, trial: Trial, kind: str) -> list[Seen]:
        found = [
            [(at, process) for at, process in seen if trial.since <= at <= trial.until]
            for seen in self._by_process().values()
            if seen[0][1].kind == kind
        ]
        return [seen for seen in found if seen]

    def timeline(self) -> Timeline:
        width = float(max(1, -(-int(self.end) // MOST_BINS)))
        # The last bin has what is left over, and is longer for it.
        count = max(1, int(self.end // width))
        lengths = [width] * (count - 1) + [max(self.end, width) - width * (count - 1)]
        bins = Bins(width, count)
        errors = [0.0] * count
        rates: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * count)
        for counts in self.record.counts:
            at = bins.of(counts.second)
            rates[counts.operation][at] += counts.done / lengths[at]
            wrong = sum((*counts.refused.values(), *counts.failed.values()))
            errors[at] += wrong / lengths[at]
        lines = {
            name: self._lines(name, bins, rates[name])
            for name in self.record.operations
            if any(rates[name]) or self.intervals[name]
        }
        return Timeline(
            width=width,
            starts=[width * number for number in range(count)],
            operations=lines,
            errors=errors,
            lag_p99=self._lines(LAG, bins, []).p99,
            processes={name: usage(seen, bins, count) for name, seen in self._by_process().items()},
            gauges=gauges(self.samples, bins),
        )

    def _lines(self, operation: str, bins: "Bins", rate: list[float]) -> Lines:
        merged = [new_histogram() for _ in range(bins.count)] if self.intervals[operation] else []
        for interval in self.intervals[operation]:
            interval.add_to(merged[bins.of(interval.second)])
        found = [percentiles(one, (50, 99, 99.9)) for one in merged] or [None] * bins.count
        p50, p99, p999 = (
            [None if values is None else _ms(values[which]) for values in found]
            for which in range(3)
        )
        return Lines(rate=[round(one, 3) for one in rate], p50=p50, p99=p99, p999=p999)


def _ms(microseconds: float) -> float:
    return round(microseconds / 1000, 3)


def _latencies(histogram: Any) -> Latencies | None:
    found = percentiles(histogram, (50, 90, 99, 99.9, 100))
    if found is None:
        return None
    p50, p90, p99, p999, highest = map(_ms, found)
    return Latencies(p50=p50, p90=p90, p99=p99, p999=p999, highest=highest)


def _operation(
    name: str, counts: Iterable[Counts], length: float, latency: Latencies | None
) -> Operation:
    intended = begun = done = 0
    refused: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for one in counts:
        intended, begun, done = intended + one.intended, begun + one.begun, done + one.done
        refused.update(one.refused)
        failed.update(one.failed)
    errors = refused.total() + failed.total()
    return Operation(
        name=name,
        intended=intended,
        begun=begun,
        done=done,
        refused=dict(refused),
        failed=dict(failed),
        # What begins before a phase may end in it, and more end than began.
        error_share=errors / max(begun, errors, 1),
        rate=round(done / length, 3) if length > 0 else 0.0,
        latency_ms=latency,
    )
