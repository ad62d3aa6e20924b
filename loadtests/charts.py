"""Charts as SVG within a figure, each with its legend and its numbers as a table. Pure text.

Colours come from the page (`--line-0` …); each line has dashes of its own too, so that nobody
has to tell colours apart. One size fits a phone and a column of a wide page.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby

from loadtests.record import Fault
from loadtests.summary import PhaseFigures, Point

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 32, 26
INNER_WIDTH, INNER_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
COLOURS = 6
DASHES = ("", "6 3", "2 3", "9 3 2 3")
TABLE_ROWS = 24
LETTER = 6.0

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The axis of time that all charts of a run share, with its phases and faults."""

    starts: Sequence[float]
    width: float
    phases: Sequence[PhaseFigures] = ()
    faults: Sequence[Fault] = ()

    @property
    def end(self) -> float:
        return self.starts[-1] + self.width if self.starts else self.width

    def x(self, second: float) -> float:
        return LEFT + INNER_WIDTH * min(max(second / self.end, 0.0), 1.0)

    def ticks(self) -> Sequence[float]:
        step = next((one for one in TIME_STEPS if self.end / one <= 5), 86400)
        return [float(step * n) for n in range(int(self.end / step) + 1)]

    def label(self, at: float) -> str:
        return clock(at)


class NumberAxis(TimeAxis):
    """The same of something else than time, such as members."""

    def ticks(self) -> Sequence[float]:
        return [tick for tick in linear([self.end]).ticks if tick <= self.end]

    def label(self, at: float) -> str:
        return number(at)


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value to a height; logarithmic where a line would be flat otherwise."""

    lowest: float
    highest: float
    log: bool = False
    ticks: Sequence[float] = field(default=())

    def y(self, value: float) -> float:
        if self.log:
            share = math.log(max(value, self.lowest) / self.lowest) / math.log(
                self.highest / self.lowest
            )
        else:
            share = (value - self.lowest) / (self.highest - self.lowest)
        return TOP + INNER_HEIGHT * (1 - min(max(share, 0.0), 1.0))


def number(value: float | None) -> str:
    """A figure with three significant digits, or a dash where there is none."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1e}"


def clock(second: float) -> str:
    """A time of the run: seconds, or minutes and seconds, or hours and minutes."""
    whole = round(second)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600} h {whole % 3600 // 60:02d}"


def linear(values: Values) -> Scale:
    """From zero (or below) to a round number above the highest value."""
    found = [value for value in values if value is not None]
    top, bottom = max([*found, 0.0]), min([*found, 0.0])
    if top == bottom:
        return Scale(0.0, 1.0, ticks=[0.0, 1.0])
    step = _round_step(top - bottom)
    lowest = math.floor(bottom / step) * step
    highest = max(math.ceil(top / step - 1e-9), 1) * step
    count = round((highest - lowest) / step)
    return Scale(lowest, highest, ticks=[lowest + step * n for n in range(count + 1)])


def logarithmic(values: Values) -> Scale:
    """For latencies: decades from below the lowest value to above the highest."""
    found = [value for value in values if value]
    if not found or max(found) < 30 * min(found):
        return linear(values)
    first, last = math.floor(math.log10(min(found))), math.ceil(math.log10(max(found)))
    return Scale(10.0**first, 10.0**last, True, [10.0**n for n in range(first, last + 1)])


def _round_step(span: float) -> float:
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)


def over_time(
    title: str,
    unit: str,
    axis: TimeAxis,
    lines: Mapping[str, Values],
    *,
    log: bool = False,
    summed_up: Callable[[Sequence[float]], float] = max,
    note: str = "",
) -> str:
    """Return a figure of lines over the run. In its table, `summed_up` puts bins together."""
    values = [value for line in lines.values() for value in line]
    scale = logarithmic(values) if log else linear(values)
    drawn = "".join(_line(axis, scale, line, place) for place, line in enumerate(lines.values()))
    told = f"{title}: " + "; ".join(
        f"{name} up to {number(max((v for v in line if v is not None), default=None))} {unit}"
        for name, line in lines.items()
    )
    body = (
        f"{_phases(axis)}{_horizontal(scale)}{_ticks(axis)}{_faults(axis)}{drawn}"
        f'<text class="unit" x="2" y="11">{escape(unit)}{", log" if scale.log else ""}</text>'
    )
    head = ["from", *lines]
    rows = _table_rows(axis, list(lines.values()), summed_up)
    return _figure(
        title,
        legend=_legend([] if list(lines) == [title] else list(lines)),
        told=told,
        body=body,
        table=_table(head, rows),
        note=note,
    )


def throughput(
    title: str,
    unit: str,
    points: Sequence[Point],
    knee: float | None,
    bounds: tuple[float, float | None] | None,
) -> str:
    """Return a figure of latency against rate, the knee and its spread marked."""
    across = linear([point.rate for point in points])
    scale = logarithmic([point.p99_ms for point in points])

    def x(rate: float) -> float:
        return LEFT + INNER_WIDTH * rate / across.highest

    ticks = "".join(_across(x(tick), number(tick)) for tick in across.ticks)
    dots = "".join(_dot(x(point.rate), scale.y(point.p99_ms), point) for point in points)
    body = (
        f"{_horizontal(scale)}{ticks}{_knee(x, knee, bounds)}{dots}"
        f'<text class="unit" x="2" y="11">p99, ms{", log" if scale.log else ""}</text>'
        f'<text class="unit" x="{WIDTH - RIGHT}" y="11" text-anchor="end">{escape(unit)}</text>'
    )
    told = f"{title}: {len(points)} points" + (
        f", the knee at {number(knee)} {unit}" if knee else ""
    )
    rows = [
        [clock(point.since), number(point.rate), number(point.p99_ms), _held(point)]
        for point in points[:: -(-len(points) // TABLE_ROWS) or 1]
    ]
    table = _table(["from", unit, "p99, ms", ""], rows)
    legend = (
        '<span class="key"><svg viewBox="0 0 12 12" aria-hidden="true"><circle class="held" '
        'cx="6" cy="6" r="4"/></svg>held</span><span class="key"><svg viewBox="0 0 12 12" '
        'aria-hidden="true"><path class="failed" d="M2 2 10 10M10 2 2 10"/></svg>not held</span>'
    )
    return _figure(title, legend=legend, told=told, body=body, table=table)


def _held(point: Point) -> str:
    return "held" if point.held else "not held"


def _dot(x: float, y: float, point: Point) -> str:
    told = f"<title>{number(point.rate)}: p99 {number(point.p99_ms)} ms, {_held(point)}</title>"
    if point.held:
        return f'<circle class="held" cx="{x:.1f}" cy="{y:.1f}" r="4">{told}</circle>'
    return f'<path class="failed" d="M{x - 4:.1f} {y - 4:.1f}l8 8m0-8l-8 8">{told}</path>'


def _knee(
    x: Callable[[float], float], knee: float | None, bounds: tuple[float, float | None] | None
) -> str:
    if knee is None:
        return ""
    low, high = bounds or (knee, None)
    right = x(high) if high is not None else WIDTH - RIGHT
    at, label = x(knee), f"knee {number(knee)}"
    anchor, shift = ("end", -5) if at > WIDTH / 2 else ("start", 5)
    return (
        f'<rect class="spread" x="{x(low):.1f}" y="{TOP}" width="{max(right - x(low), 1):.1f}" '
        f'height="{INNER_HEIGHT}"/>'
        f'<path class="knee" d="M{at:.1f} {TOP}V{TOP + INNER_HEIGHT}"/>'
        f'<text class="mark" x="{at + shift:.1f}" y="{TOP + 12}" text-anchor="{anchor}">'
        f"{label}</text>"
    )


def _line(axis: TimeAxis, scale: Scale, values: Values, place: int) -> str:
    """A path for each stretch without a gap; a dot for a value that stands alone."""
    drawn = []
    numbered = list(zip(axis.starts, values, strict=True))
    for there, stretch in groupby(numbered, key=lambda pair: pair[1] is not None):
        if not there:
            continue
        points = [
            f"{axis.x(start + axis.width / 2):.1f} {scale.y(value or 0.0):.1f}"
            for start, value in stretch
        ]
        if len(points) == 1:
            x, y = points[0].split()
            drawn.append(f'<circle class="dot line-{place % COLOURS}" cx="{x}" cy="{y}" r="1.5"/>')
        else:
            drawn.append(f'<path class="line {_style(place)} d="M{" ".join(points)}"/>')
    return "".join(drawn)


def _style(place: int) -> str:
    dash = DASHES[place // COLOURS % len(DASHES)] or DASHES[place % len(DASHES)]
    return f'line-{place % COLOURS}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def _legend(names: Sequence[str]) -> str:
    return "".join(
        f'<span class="key"><svg viewBox="0 0 22 8" aria-hidden="true"><path class="line '
        f'{_style(place)} d="M0 4H22"/></svg>{escape(name)}</span>'
        for place, name in enumerate(names)
    )


def _horizontal(scale: Scale) -> str:
    return "".join(
        f'<path class="grid" d="M{LEFT} {scale.y(tick):.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 5}" y="{scale.y(tick) + 3.5:.1f}" text-anchor="end">'
        f"{_brief(tick)}</text>"
        for tick in scale.ticks
    )


def _brief(tick: float) -> str:
    """A figure that fits beside the axis, however high it is."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if tick >= 10_000 and tick >= size:
            return f"{tick / size:g}{letter}"
    return number(tick)


def _across(x: float, label: str) -> str:
    within = min(x, WIDTH - 3 - LETTER * len(label) / 2)
    return f'<text x="{within:.1f}" y="{HEIGHT - 9}" text-anchor="middle">{escape(label)}</text>'


TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)


def _ticks(axis: TimeAxis) -> str:
    return "".join(_across(axis.x(tick), axis.label(tick)) for tick in axis.ticks())


def _phases(axis: TimeAxis) -> str:
    """Every other phase shaded; its name where there is room."""
    drawn = []
    for place, phase in enumerate(axis.phases):
        left, right = axis.x(phase.since), axis.x(phase.until)
        if place % 2 == 0:
            drawn.append(
                f'<rect class="phase" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" '
                f'height="{INNER_HEIGHT}"/>'
            )
        if right - left > LETTER * len(phase.name) and len(axis.phases) > 1:
            drawn.append(
                f'<text x="{(left + right) / 2:.1f}" y="{TOP - 5}" '
                f'text-anchor="middle">{escape(phase.name)}</text>'
            )
    return "".join(drawn)


def _faults(axis: TimeAxis) -> str:
    """A stripe from when a fault begins until it ends, with its number."""
    drawn = []
    for place, fault in enumerate(axis.faults, start=1):
        left = axis.x(fault.since)
        right = axis.x(fault.since if fault.until is None else fault.until)
        drawn.append(
            f'<g><title>{escape(fault.name)}</title><rect class="fault" x="{left:.1f}" y="{TOP}" '
            f'width="{max(right - left, 1.5):.1f}" height="{INNER_HEIGHT}"/>'
            f'<text class="fault-number" x="{left:.1f}" y="11">{place}</text></g>'
        )
    return "".join(drawn)


def _table_rows(
    axis: TimeAxis, lines: Sequence[Values], summed_up: Callable[[Sequence[float]], float]
) -> list[list[str]]:
    step = -(-len(axis.starts) // TABLE_ROWS) or 1
    rows = []
    for first in range(0, len(axis.starts), step):
        row = [axis.label(axis.starts[first])]
        for line in lines:
            values = [value for value in line[first : first + step] if value is not None]
            row.append(number(summed_up(values) if values else None))
        rows.append(row)
    return rows


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f'<th scope="col">{escape(one)}</th>' for one in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _figure(title: str, *, legend: str, told: str, body: str, table: str, note: str = "") -> str:
    remark = f'<p class="note">{escape(note)}</p>' if note else ""
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><div class="legend">{legend}</div>'
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" aria-label="{escape(told)}">'
        f"{body}</svg>{remark}<details><summary>As a table"
        f'<span class="unseen">: {escape(title)}</span></summary>'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(title)}">{table}</div>'
        "</details></figure>"
    )
