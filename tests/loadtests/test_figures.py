import math
from itertools import pairwise
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.figures import summarize
from loadtests.knee import Knee, find_knee
from loadtests.objectives import Latency, Objectives
from loadtests.percentiles import percentiles
from loadtests.record import Phase, Process, Trial, new_histogram, read
from loadtests.slope import slope
from loadtests.usage import MIB, Bins, never_less, process_figures, usage
from tests.loadtests.records import Made, find_max, steps


@settings(max_examples=25)
@given(st.lists(st.integers(0, 3_600_000_000), max_size=40))
def test_percentiles_are_those_of_the_histogram(values: list[int]) -> None:
    histogram = new_histogram()
    for value in values:
        histogram.record_value(value)
    wanted = (0.5, 50.0, 90.0, 99.0, 99.9, 100.0)
    found = percentiles(histogram, wanted)
    if not values:
        assert found is None
    else:
        assert found == [histogram.get_value_at_percentile(one) for one in wanted]


def test_the_slope_of_a_line_is_its_slope() -> None:
    found = slope([(hour / 60, 100 + 2.5 * hour / 60) for hour in range(300)])
    assert found is not None
    assert found.value == pytest.approx(2.5)
    assert found.lowest == pytest.approx(2.5)


def test_a_slope_is_not_misled_by_odd_samples() -> None:
    points = [(float(n), 100 + 0.5 * n) for n in range(50)]
    points[10] = (10.0, 900.0)
    points[49] = (49.0, 0.0)
    found = slope(points)
    assert found is not None
    assert found.value == pytest.approx(0.5, abs=0.01)


def test_the_bounds_of_a_slope_hold_the_true_one() -> None:
    """Also where each sample is like the one before it, as memory's are."""
    draw = Random(3)
    held = 0
    for _ in range(100):
        level, points = 0.0, []
        for n in range(3600):
            level = 0.98 * level + draw.gauss(0, 1)  # forgotten after a minute or two
            points.append((n / 3600, 100 + 0.3 * n / 3600 + level))
        found = slope(points)
        assert found is not None
        held += found.lowest <= 0.3 <= found.highest
    # Of 100 that hold 90 % each, fewer than 77 would be one in 10,000.
    assert 77 <= held < 100


def test_what_fills_up_is_settling() -> None:
    """As a cache that is full after some minutes."""
    filling = [(n / 3600, 100 + 20 * (1 - math.exp(-n / 600))) for n in range(3600)]
    leaking = [(n / 3600, 100 + 20 * n / 3600) for n in range(3600)]
    found = slope(filling), slope(leaking)
    assert [one and one.settling for one in found] == [True, False]


@pytest.mark.parametrize("points", [[], [(0.0, 1.0)], [(0.0, 1.0), (1.0, 1.0)], [(2.0, 1.0)] * 9])
def test_what_is_too_short_has_no_slope(points: list[tuple[float, float]]) -> None:
    assert slope(points) is None


def trials(*tried: tuple[float, bool]) -> list[Trial]:
    return [
        Trial(rate=rate, held=held, p99_ms=1, since=at, until=at + 1)
        for at, (rate, held) in enumerate(tried)
    ]


@pytest.mark.parametrize(
    ("tried", "knee"),
    [
        ([], None),
        ([(10, False)], None),
        ([(10, True)], Knee(rate=10, lowest=10, highest=None, confirmations=0)),
        (
            [(10, True), (20, True), (40, False), (30, False), (25, True), (25, True), (25, True)],
            Knee(rate=25, lowest=25, highest=30, confirmations=2),
        ),
        # It was held once and not again: the knee is lower, and uncertain up to what never held.
        (
            [(10, True), (40, False), (20, True), (20, False), (15, True), (15, True)],
            Knee(rate=15, lowest=15, highest=40, confirmations=1),
        ),
        # A failure below what was held makes the lower bound lower.
        (
            [(10, True), (20, False), (20, True), (30, True), (40, False)],
            Knee(rate=30, lowest=10, highest=40, confirmations=0),
        ),
        # Held above a rate that never was: luck.
        (
            [(10, True), (20, False), (30, True)],
            Knee(rate=10, lowest=10, highest=20, confirmations=0),
        ),
        ([(10, True), (10, False)], None),
    ],
)
def test_the_knee_of_trials(tried: list[tuple[float, bool]], knee: Knee | None) -> None:
    assert find_knee(trials(*tried)) == knee


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=20))
def test_a_knee_was_always_held_and_lies_in_its_bounds(tried: list[tuple[int, bool]]) -> None:
    knee = find_knee(trials(*tried))
    if knee is not None:
        assert all(held for rate, held in tried if rate == knee.rate)
        assert knee.lowest <= knee.rate < (knee.highest or 10)


def test_a_run_comes_to_what_was_put_in(tmp_path: Path) -> None:
    summary = summarize(read(Made().write(tmp_path)))
    send = next(one for one in summary.operations if one.name == "send")
    assert (send.intended, send.begun, send.done, send.error_share) == (200, 200, 200, 0)
    assert send.rate == 10
    assert send.latency_ms is not None
    assert send.latency_ms.p50 == pytest.approx(4, rel=0.15)
    assert summary.leading == "send"
    assert summary.timeline.operations["send"].rate == [10.0] * 20
    gateway = next(one for one in summary.processes if one.name == "gateway-1")
    assert gateway.cpu_seconds == pytest.approx(3.8)
    assert gateway.cores == pytest.approx(0.2)
    assert summary.timeline.processes["web-1"].cores[5] == pytest.approx(0.3)
    assert summary.timeline.gauges["PostgreSQL: transactions a second"][3] == 120
    assert summary.timeline.gauges["sockets"][:3] == [20, 21, 22]


def test_what_was_before_the_first_phase_does_not_count(tmp_path: Path) -> None:
    Made().write(tmp_path)
    record = read(tmp_path)
    later = [msgspec.structs.replace(record.run.phases[0], since=5.0)]
    run = msgspec.structs.replace(record.run, phases=later)
    summary = summarize(msgspec.structs.replace(record, run=run))
    send = next(one for one in summary.operations if one.name == "send")
    assert (send.done, send.rate) == (150, 10)
    assert sum(summary.timeline.operations["send"].rate) == 200


def test_a_phase_without_load_is_no_step(tmp_path: Path) -> None:
    phases = [
        Phase(name=name, since=4 * n, until=4 * n + 4, users=5, rate=rate)
        for n, (name, rate) in enumerate([("calm", 5.0), ("spike", 20.0), ("settle", 0.0)])
    ]
    objectives = Objectives(latency_ms={"send": Latency(p99=500)})
    assert summarize(read(Made(phases=phases).write(tmp_path)), objectives).trials == []


def test_a_long_run_has_no_more_bins_than_fit_the_page(tmp_path: Path) -> None:
    made = Made(phases=[Phase(name="soak", since=0, until=500, users=1, rate=1)], resources_every=2)
    timeline = summarize(read(made.write(tmp_path))).timeline
    assert timeline.width == 3
    assert len(timeline.starts) == 166
    assert sum(timeline.operations["send"].rate) == pytest.approx(166)
    assert None not in timeline.processes["gateway-1"].mib


def test_trials_have_a_knee_and_what_was_going_on_there(tmp_path: Path) -> None:
    summary = summarize(read(find_max(seconds=4).write(tmp_path)))
    assert summary.knee == Knee(rate=60, lowest=60, highest=70, confirmations=2)
    assert summary.at_knee is not None
    assert summary.at_knee.deliveries == pytest.approx(180)
    assert summary.at_knee.gateways == 1
    assert summary.at_knee.gateway_cores == pytest.approx(0.2)
    assert len(summary.points) == 7


def test_steps_have_a_knee_by_their_objective(tmp_path: Path) -> None:
    record = read(steps(seconds=6).write(tmp_path))
    summary = summarize(record, Objectives(latency_ms={"send": Latency(p99=50)}))
    assert summary.knee is not None
    assert summary.knee.rate in {30, 45, 60}
    assert summarize(record).knee is None
    rates = [point.rate for point in summary.points]
    assert all(later > earlier for earlier, later in pairwise(rates))


def used(*samples: tuple[int, float]) -> list[tuple[float, Process]]:
    """A process once a second: its id, and the CPU seconds that it and its children had used."""
    return [
        (
            float(second),
            Process(name="g", kind="gateway", cpu_seconds=cpu, memory_bytes=1 << 20, pid=pid),
        )
        for second, (pid, cpu) in enumerate(samples)
    ]


def test_a_process_that_was_restarted_used_what_both_used() -> None:
    seen = used((7, 10.0), (7, 11.0), (9, 0.5), (9, 1.0))
    assert process_figures("g", seen, [(0, 9)]).cpu_seconds == pytest.approx(2.0)
    assert usage(seen, Bins(1.0, 6), 6).cores[4:] == [None, None]
    quick = used((7, 1.0), (9, 4.0))
    assert process_figures("g", quick, [(0, 9)]).cpu_seconds == pytest.approx(4.0)


def test_a_child_that_ended_while_it_was_looked_at_is_no_restart() -> None:
    seen = never_less(used((7, 10.0), (7, 12.0), (7, 8.0), (7, 12.5), (9, 1.0)))
    assert process_figures("g", seen, [(0, 9)]).cpu_seconds == pytest.approx(3.5)
    assert usage(seen, Bins(1.0, 5), 5).cores == [None, 2.0, 0.0, 0.5, 1.0]


def test_libraries_that_others_cease_to_share_are_no_growth() -> None:
    def slope_of(filed: float, unfiled: float) -> float | None:
        """Of a process that takes so many MiB more in files and beside them within an hour."""
        seen = [
            (
                float(second),
                Process(
                    name="g",
                    kind="gateway",
                    cpu_seconds=0.0,
                    memory_bytes=int((80 + (filed + unfiled) * second / 3600) * MIB),
                    unfiled_bytes=int((60 + unfiled * second / 3600) * MIB),
                ),
            )
            for second in range(0, 3600, 10)
        ]
        return process_figures("g", seen, [(0, 3600)]).mib_per_hour

    assert slope_of(5, 0) == pytest.approx(0, abs=0.01)
    assert slope_of(5, 2) == pytest.approx(2, abs=0.01)
    assert slope_of(0, 2) == pytest.approx(2, abs=0.01)
