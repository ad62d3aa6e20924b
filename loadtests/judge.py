"""Whether a run passed: what it comes to against its objectives, as one exit code.

When several hold, the first of this order is the exit code, and the others are told as well:

    2  incorrect   something was lost, doubled, reordered or heard from nobody
    3  void        the generator was too slow: its figures are of itself
    1  missed      an objective was missed
    4  not whole   it was cut short, or nothing was counted: nothing to pass with
    0  passed
"""

from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

from loadtests.objectives import Latency, Objectives
from loadtests.record import Trial
from loadtests.summary import Operation, PhaseFigures, ProcessFigures, Summary

# What Parley itself runs. A database grows with what is in it.
OWN = {"gateway", "web", "worker", "scheduler", "sealer"}


OFFERED = 0.95
LEAST_EXPECTED = 50


class Outcome(IntEnum):
    """Its value is the exit code."""

    PASSED = 0
    MISSED = 1
    INCORRECT = 2
    VOID = 3
    NOT_WHOLE = 4


TITLES = {
    Outcome.PASSED: "Passed",
    Outcome.MISSED: "An objective was missed",
    Outcome.INCORRECT: "Incorrect: what was sent and what was heard do not agree",
    Outcome.VOID: "Void: the load generator did not do what it was to do",
    Outcome.NOT_WHOLE: "Not whole: this run cannot pass",
}


class Check(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One objective beside what was measured; `measured` None when nothing was."""

    name: str
    limit: float
    measured: float | None
    unit: str
    met: bool
    bound: str = "at most"
    remark: str = ""


class Verdict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`sentences` say why, the gravest first."""

    code: Annotated[int, Meta(ge=0, le=4)]
    title: str
    sentences: list[str]
    checks: list[Check]


def judge(summary: Summary, objectives: Objectives) -> Verdict:
    """Return the verdict about a run."""
    ledger, lag = _ledger(summary), [*_lag(summary, objectives), *_offered(summary)]
    kept = [
        *_latencies(summary, objectives),
        *_errors(summary, objectives),
        *_memory(summary, objectives),
        *_knee(summary, objectives),
        *_sound(summary, objectives),
    ]
    missing = _missing(summary, objectives)
    missed = [_sentence(check) for check in kept if not check.met]
    found = {
        Outcome.INCORRECT: [_sentence(check) for check in ledger if not check.met],
        Outcome.VOID: [_sentence(check) for check in lag if not check.met],
        Outcome.MISSED: missed,
        Outcome.NOT_WHOLE: missing,
    }
    sentences = [sentence for about in found.values() for sentence in about]
    outcome = next((one for one, about in found.items() if about), Outcome.PASSED)
    return Verdict(
        code=int(outcome),
        title=TITLES[outcome],
        sentences=sentences or [f"All {len(ledger + lag + kept)} objectives were kept."],
        checks=[*ledger, *lag, *kept],
    )


def _check(name: str, measured: float | None, limit: float, unit: str, remark: str = "") -> Check:
    met = measured is not None and measured <= limit
    return Check(name=name, limit=limit, measured=measured, unit=unit, met=met, remark=remark)


def _sentence(check: Check) -> str:
    remark = f" {check.remark}" if check.remark else ""
    if check.measured is None:
        wanted = f"{check.bound} {check.limit:g}"
        if check.remark and not check.limit:
            return f"{check.name}:{remark}"
        if check.remark:
            return f"{check.name}: {wanted} {check.unit} was not shown.{remark}"
        return f"{check.name}: nothing was measured, so {wanted} was not shown."
    measured = f"{check.measured:,.4g} {check.unit}".rstrip()
    allowed = "is allowed" if check.bound == "at most" else "is wanted"
    return f"{check.name} was {measured}; {check.bound} {check.limit:,.4g} {allowed}.{remark}"


def _ledger(summary: Summary) -> list[Check]:
    if summary.ledger is None:
        return []
    ledger = summary.ledger
    counted = {
        "Messages lost": ledger.lost,
        "Messages doubled": ledger.doubled,
        "Messages reordered": ledger.reordered,
        "Ghosts": ledger.ghosts,
    }
    if ledger.pairs or ledger.apart:
        counted["Pairs in a voice room that were never connected"] = ledger.apart
    if ledger.ways:
        counted["Participants who heard nothing of another"] = ledger.deaf
    return [_check(name, count, 0, "") for name, count in counted.items()]


def _lag(summary: Summary, objectives: Objectives) -> list[Check]:
    measured = summary.lag_ms.p99 if summary.lag_ms else None
    if measured is None and summary.cut_short:
        return []  # it ended before anything was measured: that is why
    return [_check("The generator's lag, p99", measured, objectives.lag_p99_ms, "ms")]


def _offered(summary: Summary) -> list[Check]:
    """How much of the intended load there was, where phases count sends. What people do comes by
    chance: three standard deviations are allowed. The first phase is the one in which they come,
    and of trials only those that were held promise anything: beyond the knee nobody keeps up."""
    phases = [p for p in summary.phases[1:] if p.rate > 0 and p.measured]
    if summary.trials:
        phases = [p for p in phases if any(_is_of(p, t) for t in summary.trials if t.held)]
    expected = sum(phase.rate * (phase.until - phase.since) for phase in phases)
    if summary.cut_short or summary.rate_unit != "sends a second" or expected < LEAST_EXPECTED:
        return []
    sends = sum(one.intended for phase in phases for one in phase.operations if one.name == "send")
    limit = round(100 * (OFFERED - 3 / expected**0.5), 1)
    share = round(100 * sends / expected, 1)
    return [
        Check(
            name="The load, of what was intended,",
            limit=limit,
            measured=share,
            unit="%",
            bound="at least",
            met=share >= limit,
            remark="" if share >= limit else "The users were not all there, or too slow.",
        )
    ]


def _is_of(phase: PhaseFigures, trial: Trial) -> bool:
    return phase.since < trial.until and trial.since < phase.until and phase.rate == trial.rate


def _latencies(summary: Summary, objectives: Objectives) -> list[Check]:
    operations = {operation.name: operation for operation in summary.operations}
    return [
        check
        for name, limits in objectives.latency_ms.items()
        if name in operations or name in objectives.required
        for check in _latency(name, limits, operations.get(name))
    ]


def _latency(name: str, limits: Latency, operation: Operation | None) -> list[Check]:
    found = operation.latency_ms if operation else None
    rows = (
        ("p50", limits.p50, found.p50 if found else None),
        ("p99", limits.p99, found.p99 if found else None),
        ("p99.9", limits.p999, found.p999 if found else None),
    )
    return [
        _check(f"{name}, {which}", measured, limit, "ms")
        for which, limit, measured in rows
        if limit is not None
    ]


def _errors(summary: Summary, objectives: Objectives) -> list[Check]:
    return [
        _check(
            f"{operation.name}, refused or failed",
            round(operation.error_share * 100, 4),
            objectives.error_share * 100,
            "%",
            _most(operation),
        )
        for operation in summary.operations
        if operation.begun or operation.refused or operation.failed
    ]


def _most(operation: Operation) -> str:
    errors = {**operation.refused, **operation.failed}
    if not errors:
        return ""
    most = max(errors, key=lambda kind: errors[kind])
    return f"Most often: {most} ({errors[most]} times)."


def _memory(summary: Summary, objectives: Objectives) -> list[Check]:
    limit = objectives.memory_mib_per_hour
    if limit is None:
        return []
    own = [process for process in summary.processes if process.kind in OWN]
    if not own:
        return [_check("Memory of each process", None, limit, "MiB an hour")]
    return [_growth(process, limit) for process in own]


def _growth(process: ProcessFigures, limit: float) -> Check:
    """What is surely less than the limit is met, what is surely more is missed; between the two
    the run was too short to tell, and nothing was shown."""
    name, unit, value = f"Memory of {process.name}", "MiB an hour", process.mib_per_hour
    lowest, highest = process.mib_per_hour_lowest, process.mib_per_hour_highest
    if value is None or lowest is None or highest is None:
        remark = "Too short to tell: the measured phases last less than half an hour."
        return _check(name, None, limit, unit, remark)
    within = f"within {lowest:g} and {highest:g} (90 %)"
    if lowest <= limit < highest:
        return _check(name, None, limit, unit, f"Too short to tell: {within}.")
    settling = " It was settling: less steep later." if process.settling and value > limit else ""
    return _check(name, value, limit, unit, f"{within.capitalize()}.{settling}")


def _knee(summary: Summary, objectives: Objectives) -> list[Check]:
    """A search for the knee that ends without one has missed what it was for."""
    rate = summary.knee.rate if summary.knee else None
    if objectives.knee is None and (rate is not None or not summary.trials):
        return []
    limit = objectives.knee or 0.0
    return [
        Check(
            name="The knee",
            limit=limit,
            measured=rate,
            unit=summary.rate_unit,
            met=rate is not None and rate >= limit,
            bound="at least",
            remark="" if rate is not None else "No rate was held each time that it was tried.",
        )
    ]


def _sound(summary: Summary, objectives: Objectives) -> list[Check]:
    """Packets of sound may be lost; too many of them are heard, or rather not."""
    ledger = summary.ledger
    if ledger is None or not ledger.frames_heard:
        return []
    share = ledger.frames_heard / (ledger.frames_heard + ledger.frames_missed)
    limit = objectives.sound_share
    return [
        Check(
            name="Sound heard, between the first and the last frame,",
            limit=100 * limit,
            measured=round(100 * share, 2),
            unit="%",
            bound="at least",
            met=share >= limit,
        )
    ]


def _missing(summary: Summary, objectives: Objectives) -> list[str]:
    missing = [f"It was cut short: {why}." for why in summary.cut_short]
    if summary.ledger is None:
        missing.append("Nobody counted what was lost: the run left no ledger.")
    elif not summary.ledger.acknowledged:
        missing.append("No message was acknowledged: there was nothing to lose.")
    present = {phase.name for phase in summary.phases}
    missing += [
        f"The phase {name!r}, in which it is judged, did not take place."
        for name in objectives.phases
        if name not in present
    ]
    return missing
