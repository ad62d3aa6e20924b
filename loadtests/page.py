"""The report as one page of HTML that brings everything along: for people, the verdict first."""

import statistics
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from loadtests.charts import TimeAxis, clock, number, over_time, throughput
from loadtests.comparison import Comparison
from loadtests.judge import OWN, Check, Outcome, Verdict
from loadtests.record import Ledger
from loadtests.summary import Lines, Operation, PhaseFigures, ProcessFigures, Summary

STYLE = Path(__file__).with_name("page.css")
MOST = 5  # charts of operations that are shown at once
CLASSES = {
    Outcome.PASSED: "passed",
    Outcome.MISSED: "missed",
    Outcome.INCORRECT: "incorrect",
    Outcome.VOID: "void",
    Outcome.NOT_WHOLE: "not-whole",
}


def page(summary: Summary, verdict: Verdict, comparison: Comparison | None = None) -> str:
    """Return the whole document."""
    sections = [
        _heading(summary, verdict),
        _glance(summary),
        _comparison(comparison),
        _objectives(verdict),
        _operations(summary),
        _latency(summary),
        _knee(summary),
        _usage(summary),
        _stores(summary),
        _phases(summary),
        _ledger(summary),
        _generator(summary),
        _environment(summary),
        _reading(),
    ]
    title = f"Load test: {summary.profile}, {summary.began:%Y-%m-%d %H:%M}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text()}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _section(title: str, *parts: str) -> str:
    content = "".join(parts)
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def html_table(
    name: str, head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = ""
) -> str:
    """Return a table that scrolls on a phone. Cells are HTML already; the head is not."""
    cells = "".join(f'<th scope="col">{escape(one)}</th>' for one in head)
    body = "".join("<tr>" + "".join(f"<td>{one}</td>" for one in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}">'
        f'<table class="{kind}"><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in sentences) + "</ul>"


def _heading(summary: Summary, verdict: Verdict) -> str:
    kind = CLASSES[Outcome(verdict.code)]
    sentences = (
        _list(verdict.sentences)
        if len(verdict.sentences) > 1
        else f"<p>{escape(verdict.sentences[0])}</p>"
    )
    mark = " <em>Cut short.</em>" if summary.cut_short else ""
    return (
        f"<header><h1>Load test: {escape(summary.profile)}</h1>"
        f'<p class="soft">{escape(summary.target)}, {summary.began:%Y-%m-%d %H:%M} UTC, '
        f"{clock(summary.seconds)} long.{mark}</p>"
        f'<div class="verdict {kind}"><strong>{escape(verdict.title)}</strong>{sentences}</div>'
        "</header>"
    )


def _card(name: str, value: str, remark: str = "") -> str:
    small = f"<small>{escape(remark)}</small>" if remark else ""
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{small}</dd></div>"


def _glance(summary: Summary) -> str:
    cards = []
    by_name = {operation.name: operation for operation in summary.operations}
    for name in dict.fromkeys([summary.leading, "delivery"]):
        operation = by_name.get(name)
        if operation and operation.latency_ms:
            cards.append(_card(f"{name}, a second", number(operation.rate)))
            latency = operation.latency_ms
            rest = f"p50 {number(latency.p50)}, p99.9 {number(latency.p999)} ms"
            cards.append(_card(f"{name}, p99", f"{number(latency.p99)} ms", rest))
    if summary.ledger:
        told = f"of {summary.ledger.acknowledged:,} acknowledged"
        cards.append(_card("lost, doubled, reordered, ghosts", str(summary.ledger.wrong), told))
    if summary.knee:
        cards.append(_card("the knee", number(summary.knee.rate), summary.rate_unit))
    if summary.lag_ms:
        cards.append(_card("the generator's lag, p99", f"{number(summary.lag_ms.p99)} ms"))
    return f'<dl class="cards">{"".join(cards)}</dl>'


def _comparison(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    versions = ", ".join(f"{name} {one}" for name, one in sorted(comparison.versions.items()))
    remark = f" {comparison.remark}" if comparison.remark else ""
    classes = {"worse": "no", "better": "yes", "alike": ""}
    rows = [
        (
            escape(row.name),
            f"{number(row.here)} {escape(row.unit)}",
            number(row.there),
            number(row.ratio),
            "" if row.lowest is None else f"{number(row.lowest)} to {number(row.highest)}",
            f'<span class="{classes[row.verdict]}">{row.verdict}</span>',
        )
        for row in comparison.rows
    ]
    return _section(
        "Beside the baseline",
        f'<p class="soft">Of {comparison.began:%Y-%m-%d %H:%M} UTC: {escape(versions)}.'
        f"{escape(remark)}</p>",
        _list(comparison.sentences),
        html_table(
            "Beside the baseline",
            ("figure", "now", "baseline", "ratio", "over the run", ""),
            rows,
        ),
        '<p class="note">Worse or better is what differs by a tenth or more, and so in at least '
        "eight of ten tenths of the run. Memory, CPU and the knee are one figure each.</p>",
    )


def _objectives(verdict: Verdict) -> str:
    missed = [_check(check) for check in verdict.checks if not check.met]
    kept = [_check(check) for check in verdict.checks if check.met]
    head = ("objective", "", "measured", "limit", "")
    return _section(
        "Objectives",
        html_table("Missed", head, missed, "words") if missed else "",
        _details(f"{len(kept)} kept", html_table("Kept", head, kept, "words"), opened=not missed),
    )


def _check(check: Check) -> Sequence[str]:
    return (
        escape(check.name),
        '<span class="yes">kept</span>' if check.met else '<span class="no">missed</span>',
        f"{number(check.measured)} {escape(check.unit)}",
        f"{check.bound} {number(check.limit)}",
        escape(check.remark),
    )


def _details(summary: str, content: str, *, opened: bool = False) -> str:
    return (
        f"<details{' open' if opened else ''}><summary>{escape(summary)}</summary>"
        f"{content}</details>"
    )


def _errors(operation: Operation) -> str:
    kinds = {**operation.refused, **operation.failed}
    told = ", ".join(f"{name} {count:,}" for name, count in sorted(kinds.items()))
    return escape(told) or "none"


def _operations(summary: Summary) -> str:
    rows = []
    for one in _ordered(summary):
        latency = one.latency_ms
        found = (
            [latency.p50, latency.p90, latency.p99, latency.p999, latency.highest]
            if latency
            else [None] * 5
        )
        counts = [f"{count:,}" for count in (one.intended, one.begun, one.done)]
        latencies = [number(value) for value in found]
        rows.append([escape(one.name), *counts, number(one.rate), *latencies, _errors(one)])
    head = "operation|intended|begun|done|a second|p50, ms|p90|p99|p99.9|highest|refused, failed"
    table = html_table("What was done", head.split("|"), rows, "words")
    measured = [phase.name for phase in summary.phases if phase.measured]
    note = ""
    if len(measured) < len(summary.phases):
        note = f'<p class="note">Counted in: {escape(", ".join(measured))}.</p>'
    return _section("What was done", table, note)


def _ordered(summary: Summary) -> list[Operation]:
    """The leading one, then what was done most."""
    return sorted(
        summary.operations, key=lambda one: (one.name != summary.leading, -one.done, one.name)
    )


def _axis(summary: Summary) -> TimeAxis:
    line = summary.timeline
    return TimeAxis(line.starts, line.width, summary.phases, summary.faults)


def _charts(*figures: str) -> str:
    return f'<div class="charts">{"".join(figures)}</div>' if any(figures) else ""


def _latency(summary: Summary) -> str:
    axis, timeline, mean = _axis(summary), summary.timeline, statistics.fmean
    names = [one.name for one in _ordered(summary) if one.name in timeline.operations]
    rates: dict[str, list[float]] = {name: timeline.operations[name].rate for name in names[:MOST]}
    if names[MOST:]:
        rest = (timeline.operations[name].rate for name in names[MOST:])
        rates["all others"] = [sum(values) for values in zip(*rest, strict=True)]
    figures = [over_time("Done, a second", "a second", axis, rates, summed_up=mean)]
    if any(timeline.errors):
        errors = {"refused or failed": timeline.errors}
        figures.append(over_time("Refused or failed", "a second", axis, errors, summed_up=mean))
    latencies = [_latency_of(name, timeline.operations[name], axis) for name in names]
    others = _charts(*latencies[MOST:])
    return _section(
        "Over time",
        _faults(summary),
        _charts(*figures, *latencies[:MOST]),
        _details(f"{len(latencies) - MOST} more operations", others) if others else "",
    )


def _latency_of(name: str, lines: Lines, axis: TimeAxis) -> str:
    if all(value is None for value in lines.p50):
        return ""
    found = {"p50": lines.p50, "p99": lines.p99, "p99.9": lines.p999}
    return over_time(f"{name}: latency", "ms", axis, found, log=True)


def _faults(summary: Summary) -> str:
    if not summary.faults:
        return ""
    told = "; ".join(
        f"{place} {fault.name}, {clock(fault.since)}"
        + (f" to {clock(fault.until)}" if fault.until is not None else "")
        for place, fault in enumerate(summary.faults, start=1)
    )
    return f"<p>Faults, marked in each chart: {escape(told)}.</p>"


def _knee(summary: Summary) -> str:
    if not summary.points:
        return ""
    knee = summary.knee
    bounds = (knee.lowest, knee.highest) if knee else None
    chart = throughput(
        f"Latency of {summary.leading} against throughput",
        summary.rate_unit if summary.trials else f"{summary.leading} a second",
        summary.points,
        knee.rate if knee else None,
        bounds,
    )
    return _section("Throughput against latency", _knee_words(summary), _charts(chart))


def _knee_words(summary: Summary) -> str:
    knee = summary.knee
    if knee is None:
        if summary.trials:
            return "<p>No rate was held each time that it was tried: the knee is below all.</p>"
        return '<p class="note">Each point is one stretch of the run; no knee was looked for.</p>'
    above = (
        f"below {number(knee.highest)}, which was never held"
        if knee.highest is not None
        else "without any rate that was not held: the knee may be higher"
    )
    confirmed = f"confirmed {knee.confirmations} times" if knee.confirmations else "not confirmed"
    words = (
        f"The knee is at {number(knee.rate)} {summary.rate_unit}, {confirmed}; surely at least "
        f"{number(knee.lowest)}, {above}."
    )
    rows = [
        (
            clock(trial.since),
            '<span class="yes">held</span>' if trial.held else '<span class="no">not held</span>',
            number(trial.rate),
            number(trial.p99_ms),
            escape(trial.why),
        )
        for trial in summary.trials
    ]
    head = ("from", "", summary.rate_unit, "p99, ms", "why not")
    return f"<p>{escape(words)}</p>" + html_table("Trials", head, rows, "words")


def _usage(summary: Summary) -> str:
    if not summary.processes:
        return _section(
            "Processes",
            "<p>Nobody watched the processes: the deployment is on other machines.</p>",
        )
    axis, usage = _axis(summary), summary.timeline.processes
    figures = []
    for title, own in (("Parley", True), ("the stores and the generator", False)):
        names = [one.name for one in summary.processes if (one.kind in OWN) == own]
        if not names:
            continue
        cores = {name: usage[name].cores for name in names}
        memory = {name: usage[name].mib for name in names}
        figures += [
            over_time(f"CPU of {title}", "cores", axis, cores, summed_up=statistics.fmean),
            over_time(f"Memory of {title}", "MiB", axis, memory),
        ]
    head = ("process", "CPU, s", "cores", "memory, MiB", "files", "MiB an hour", "within (90 %)")
    rows = [_process(one) for one in summary.processes]
    return _section("Processes", _charts(*figures), html_table("Processes", head, rows))


def _process(one: ProcessFigures) -> Sequence[str]:
    spread = ""
    if one.mib_per_hour_lowest is not None:
        spread = f"{number(one.mib_per_hour_lowest)} to {number(one.mib_per_hour_highest)}"
        spread += ", settling" if one.settling else ""
    return (
        escape(one.name),
        number(one.cpu_seconds),
        number(one.cores),
        number(one.highest_mib),
        str(one.most_files),
        number(one.mib_per_hour),
        spread,
    )


def _stores(summary: Summary) -> str:
    axis = _axis(summary)
    figures = [
        over_time(name, name.rpartition(": ")[2], axis, {name: values}, summed_up=statistics.fmean)
        for name, values in summary.timeline.gauges.items()
    ]
    return _section("PostgreSQL, Redis and sockets", _charts(*figures))


def _phases(summary: Summary) -> str:
    rows = [_phase(phase, summary.leading) for phase in summary.phases]
    lead = summary.leading
    head = ["phase", "from", "to", "users", "intended a second", f"{lead} a second"]
    head += [f"{lead} p50, ms", "p99", "generator's lag p99, ms"]
    return _section("Phases", html_table("Phases", head, rows)) if rows else ""


def _phase(phase: PhaseFigures, leading: str) -> Sequence[str]:
    operation = next((one for one in phase.operations if one.name == leading), None)
    latency = operation.latency_ms if operation else None
    return (
        escape(phase.name),
        clock(phase.since),
        clock(phase.until),
        f"{phase.users:,}",
        number(phase.rate),
        number(operation.rate if operation else None),
        number(latency.p50 if latency else None),
        number(latency.p99 if latency else None),
        number(phase.lag_ms.p99 if phase.lag_ms else None),
    )


def _ledger(summary: Summary) -> str:
    ledger = summary.ledger
    if ledger is None:
        return _section("The ledger", "<p>Nobody counted: this run says nothing about losses.</p>")
    names = ("acknowledged", "received", "lost", "doubled", "reordered", "ghosts")
    counts = [f"{getattr(ledger, name):,}" for name in names]
    return _section(
        "The ledger",
        "<p>Each message carried its sender, number and time; each listener counted what came.</p>",
        html_table("The ledger", names, [counts]),
        *(f"<p>{escape(one)}</p>" for one in _voice_rooms(ledger)),
        _list(ledger.examples) if ledger.examples else "",
    )


def _voice_rooms(ledger: Ledger) -> list[str]:
    """What became of pairs and of sound, where there were any."""
    told = []
    if pairs := ledger.pairs + ledger.apart:
        told.append(f"In voice rooms {ledger.pairs:,} of {pairs:,} pairs were connected.")
    if ledger.ways:
        frames = ledger.frames_heard + ledger.frames_missed
        share = 100 * ledger.frames_heard / frames if frames else 0.0
        told.append(
            f"Sound was sent from one to another {ledger.ways:,} times, and heard in"
            f" {ledger.ways - ledger.deaf:,} of them: {ledger.frames_heard:,} frames of 20 ms,"
            f" {share:.2f} % of those between the first and the last one."
        )
    return told


def _generator(summary: Summary) -> str:
    lag = summary.lag_ms
    if lag is None:
        return _section("The generator", "<p>Its lag was not measured.</p>")
    chart = over_time("Lag, p99", "ms", _axis(summary), {"p99": summary.timeline.lag_p99}, log=True)
    words = (
        f"It was {number(lag.p50)} ms late at p50, {number(lag.p99)} ms at p99, "
        f"{number(lag.highest)} ms at worst. That is part of every latency above."
    )
    return _section("The generator", f"<p>{words}</p>", _charts(chart))


def _environment(summary: Summary) -> str:
    here = summary.environment
    facts = {
        "Processor": f"{here.cpu}, {here.cores} cores",
        "Memory": f"{here.memory_bytes / (1 << 30):.1f} GiB",
        "Kernel": here.kernel,
        **{name.capitalize(): version for name, version in sorted(here.versions.items())},
    }
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    remarks = _list(summary.remarks) if summary.remarks else ""
    return _section("Where it ran", f'<dl class="facts">{listed}</dl>', remarks)


def _reading() -> str:
    return _section(
        "How to read this",
        _list(
            [
                "Latency counts from the time at which something was meant to happen, so waiting "
                "in line counts too. delivery is from a sender's intended time to a listener.",
                "p99 is what 99 of 100 stayed within.",
                "The knee is the highest rate that was held; beyond it, latency grows without "
                "bound.",
                "The slope of memory is the median of the slopes between all pairs of samples.",
                "Charts put a long run into at most 240 stretches; of each, a line shows the "
                "percentile itself, the mean rate and CPU, and the highest memory.",
            ]
        ),
    )
