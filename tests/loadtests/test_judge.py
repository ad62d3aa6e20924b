from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests.figures import summarize
from loadtests.judge import Verdict, judge
from loadtests.objectives import BadObjectives, Latency, Objectives, load
from loadtests.record import Ledger, Phase, read
from tests.loadtests.records import GOOD, Made, find_max

LENIENT = Objectives(error_share=0.01, lag_p99_ms=50)


def judged(folder: Path, objectives: Objectives = LENIENT, **made: Any) -> Verdict:
    Made(**made).write(folder)
    return judge(summarize(read(folder), objectives), objectives)


def test_a_run_that_kept_everything_passes(tmp_path: Path) -> None:
    verdict = judged(tmp_path)
    assert (verdict.code, verdict.title) == (0, "Passed")
    assert verdict.sentences == [f"All {len(verdict.checks)} objectives were kept."]


@pytest.mark.parametrize("wrong", ["lost", "doubled", "reordered", "ghosts", "apart", "deaf"])
def test_one_wrong_message_is_incorrect(tmp_path: Path, wrong: str) -> None:
    ledger = msgspec.structs.replace(GOOD, pairs=9, ways=18, **{wrong: 1})
    verdict = judged(tmp_path, ledger=ledger)
    assert verdict.code == 2
    assert "1; at most 0" in verdict.sentences[0]


@pytest.mark.parametrize(
    ("wrong", "late", "slow", "cut", "code"),
    [
        (1, True, True, True, 2),
        (1, False, False, False, 2),
        (0, True, True, True, 3),
        (0, True, False, False, 3),
        (0, False, True, True, 1),
        (0, False, True, False, 1),
        (0, False, False, True, 4),
    ],
)
def test_the_gravest_is_the_code_and_all_are_told(
    tmp_path: Path, wrong: int, late: bool, slow: bool, cut: bool, code: int
) -> None:
    verdict = judged(
        tmp_path,
        Objectives(
            error_share=0.01, lag_p99_ms=50, latency_ms={"send": Latency(p99=1 if slow else 999)}
        ),
        ledger=Ledger(acknowledged=200, received=4000, lost=wrong),
        lag_ms=2000.0 if late else 0.4,
        cut_short="stopped from the keyboard" if cut else "",
    )
    assert verdict.code == code
    told = "\n".join(verdict.sentences)
    assert ("lost" in told) == bool(wrong)
    assert ("generator's lag" in told) == late
    assert ("send, p99" in told) == slow
    assert ("stopped from the keyboard" in told) == cut


def test_without_a_ledger_nothing_passes(tmp_path: Path) -> None:
    assert judged(tmp_path, ledger=None).code == 4


def test_a_ledger_of_nothing_passes_nothing(tmp_path: Path) -> None:
    assert judged(tmp_path, ledger=Ledger(acknowledged=0, received=0)).code == 4


def test_a_lag_that_was_not_measured_is_void(tmp_path: Path) -> None:
    Made().write(tmp_path)
    log = tmp_path / "worker-1.hlog"
    kept = [line for line in log.read_text().splitlines() if "generator-lag" not in line]
    log.write_text("\n".join(kept) + "\n")
    assert judge(summarize(read(tmp_path)), LENIENT).code == 3


def test_a_load_that_was_not_there_is_void(tmp_path: Path) -> None:
    phases = [
        Phase(name="warm", since=0, until=5, users=5, rate=10),
        Phase(name="full", since=5, until=20, users=5, rate=10),
    ]
    assert judged(tmp_path, phases=phases).code == 0
    counts = tmp_path / "worker-1.counts.jsonl"
    counts.write_bytes(counts.read_bytes().replace(b'"intended":10,', b'"intended":5,'))
    verdict = judge(summarize(read(tmp_path)), LENIENT)
    assert verdict.code == 3
    assert verdict.sentences[0].startswith(
        "The load, of what was intended, was 50 %; at least 70.5 is wanted."
    )


def test_a_load_that_ended_early_is_not_void(tmp_path: Path) -> None:
    """A worker that dies takes its users with it, and everything that was to be measured."""
    phases = [
        Phase(name="warm", since=0, until=5, users=5, rate=10),
        Phase(name="full", since=5, until=20, users=5, rate=10),
    ]
    judged(tmp_path, phases=phases, cut_short="a worker died")
    for name, rest in (("worker-1.counts.jsonl", 5), ("worker-1.hlog", 0)):
        log = tmp_path / name
        log.write_text("\n".join(log.read_text().splitlines()[:rest]) + "\n")
    assert judge(summarize(read(tmp_path)), LENIENT).code == 4


def test_beyond_the_knee_the_load_need_not_be_there(tmp_path: Path) -> None:
    find_max(seconds=3).write(tmp_path)
    counts = tmp_path / "worker-1.counts.jsonl"
    whole = counts.read_bytes()
    counts.write_bytes(whole.replace(b'"intended":80,', b'"intended":20,'))
    assert judge(summarize(read(tmp_path)), LENIENT).code == 0
    counts.write_bytes(whole.replace(b'"intended":60,', b'"intended":20,'))
    assert judge(summarize(read(tmp_path)), LENIENT).code == 3


@pytest.mark.parametrize(("missed", "code"), [(0, 0), (99, 0), (101, 1)])
def test_sound_may_miss_so_many_frames(tmp_path: Path, missed: int, code: int) -> None:
    ledger = msgspec.structs.replace(
        GOOD, ways=2, frames_heard=10_000 - missed, frames_missed=missed
    )
    objectives = Objectives(error_share=1, lag_p99_ms=1e6, sound_share=0.99)
    verdict = judged(tmp_path, objectives, ledger=ledger)
    assert verdict.code == code
    assert any(check.name.startswith("Sound") for check in verdict.checks)


def test_an_operation_that_a_profile_names_has_to_occur(tmp_path: Path) -> None:
    objectives = Objectives(
        error_share=1, latency_ms={"sned": Latency(p99=50)}, required=frozenset({"sned"})
    )
    verdict = judged(tmp_path, objectives)
    assert verdict.code == 1
    assert "sned, p99: nothing was measured" in verdict.sentences[0]


def test_errors_are_judged_for_each_operation(tmp_path: Path) -> None:
    verdict = judged(tmp_path, failed_share=0.2)
    assert verdict.code == 1
    assert any("send, refused or failed" in one and "timeout" in one for one in verdict.sentences)


def test_only_the_phases_that_count_are_judged(tmp_path: Path) -> None:
    made = Made(
        phases=[
            Phase(name="calm", since=0, until=10, users=5, rate=10),
            Phase(name="storm", since=10, until=20, users=50, rate=100),
        ],
        knee=40,
    )
    made.write(tmp_path)
    limits = {"send": Latency(p99=30)}
    for phase, code in (("calm", 0), ("storm", 1), ("lull", 4)):
        objectives = Objectives(phases=[phase], lag_p99_ms=50, latency_ms=limits)
        verdict = judge(summarize(read(tmp_path), objectives), objectives)
        # A phase that never took place leaves the whole run to look at, which is slow too.
        assert verdict.code == (1 if phase == "lull" else code), verdict.sentences
    assert "The phase 'lull', in which it is judged, did not take place." in verdict.sentences


def test_memory_that_grows_is_missed_and_a_database_may_grow(tmp_path: Path) -> None:
    long = [Phase(name="soak", since=0, until=1800, users=5, rate=0.01)]
    objectives = Objectives(error_share=1, memory_mib_per_hour=1)
    slow = {"phases": long, "resources_every": 30}
    grown = {"gateway-1": 0.9, "postgres": 50.0}
    assert judged(tmp_path / "a", objectives, growth=grown, **slow).code == 0
    growing = judged(tmp_path / "b", objectives, growth={"gateway-1": 1.2}, **slow)
    assert growing.code == 1
    assert growing.sentences[0].startswith("Memory of gateway-1 was 1.2 MiB an hour; at most 1")


def test_a_search_that_finds_no_knee_is_missed(tmp_path: Path) -> None:
    made = find_max(seconds=3)
    never = [msgspec.structs.replace(trial, held=False) for trial in made.trials]
    replace(made, trials=never).write(tmp_path / "a")
    verdict = judge(summarize(read(tmp_path / "a")), LENIENT)
    assert verdict.code == 1
    assert verdict.sentences[0].endswith("No rate was held each time that it was tried.")
    found = summarize(read(made.write(tmp_path / "b")))
    assert judge(found, msgspec.structs.replace(LENIENT, knee=60)).code == 0
    assert judge(found, msgspec.structs.replace(LENIENT, knee=61)).code == 1


def test_a_short_soak_says_nothing_of_memory(tmp_path: Path) -> None:
    verdict = judged(tmp_path, Objectives(error_share=1, memory_mib_per_hour=1))
    assert verdict.code == 1
    assert verdict.sentences[0] == (
        "Memory of gateway-1: at most 1 MiB an hour was not shown. Too short to tell: the measured"
        " phases last less than half an hour."
    )


@pytest.mark.parametrize(
    ("bounds", "met", "says"),
    [
        ((0.2, 0.5, 0.9), True, "Within 0.2 and 0.9 (90 %)."),
        ((1.1, 1.5, 1.9), False, "1.5 MiB an hour; at most 1 is allowed. Within 1.1 and 1.9"),
        ((0.2, 0.5, 1.1), False, "was not shown. Too short to tell: within 0.2 and 1.1 (90 %)."),
        ((0.8, 1.2, 1.9), False, "was not shown. Too short to tell: within 0.8 and 1.9 (90 %)."),
    ],
)
def test_a_slope_is_judged_by_what_it_surely_is(
    tmp_path: Path, bounds: tuple[float, float, float], met: bool, says: str
) -> None:
    objectives = Objectives(error_share=1, lag_p99_ms=1e6, memory_mib_per_hour=1)
    summary = summarize(read(Made().write(tmp_path)), objectives)
    [gateway] = [one for one in summary.processes if one.name == "gateway-1"]
    names = ("mib_per_hour_lowest", "mib_per_hour", "mib_per_hour_highest")
    known = msgspec.structs.replace(gateway, **dict(zip(names, bounds, strict=True)))
    verdict = judge(msgspec.structs.replace(summary, processes=[known]), objectives)
    [check] = [one for one in verdict.checks if one.name == "Memory of gateway-1"]
    assert (check.met, verdict.code) == (met, 0 if met else 1)
    assert says in (check.remark if met else verdict.sentences[0])


def test_memory_that_nobody_watched_is_missed(tmp_path: Path) -> None:
    Made().write(tmp_path)
    (tmp_path / "resources.jsonl").unlink()
    objectives = Objectives(error_share=1, memory_mib_per_hour=1)
    assert judge(summarize(read(tmp_path)), objectives).code == 1


# The file


def written(folder: Path, text: str) -> Path:
    path = folder / "objectives.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "profile", ["smoke", "steps", "find-max", "spike", "soak", "storm", "rolling", "faults"]
)
def test_each_profile_has_objectives(profile: str) -> None:
    assert load(profile).lag_p99_ms > 0


def test_a_profile_changes_what_it_names(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [default]
        error_share = 0.1
        latency_ms = { send = { p99 = 50 }, search = { p50 = 9 } }
        [profile.a]
        lag_p99_ms = 7
        latency_ms = { send = { p50 = 3 } }
        [profile.b]
        latency_ms = {}
        """,
    )
    one = load("a", path)
    assert (one.error_share, one.lag_p99_ms) == (0.1, 7)
    assert one.latency_ms == {"send": Latency(p50=3), "search": Latency(p50=9)}
    assert one.required == {"send"}
    assert load("b", path).latency_ms == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[default\nerror_share = 1", "not TOML: .*line 1"),
        ("[defaults]", "unknown table 'defaults'"),
        ("profile = 3", "profile: a table is expected, not 3"),
        ("[profile]\nsmoke = 3", "profile.smoke: a table is expected"),
        ("[profile.smoke]\nerror_shard = 1", "profile.smoke: .*error_shard.*It may have: phases"),
        ("[profile.smoke]\nerror_share = 2", "profile.smoke.error_share: .*<= 1"),
        ("[profile.smoke]\nerror_share = -1", "profile.smoke.error_share: .*>= 0"),
        ("[profile.smoke]\nerror_share = nan", "profile.smoke.error_share"),
        ("[profile.smoke]\nlag_p99_ms = true", "profile.smoke.lag_p99_ms: .*bool"),
        ("[profile.smoke]\nphases = 'steady'", "profile.smoke.phases: .*array"),
        ("[profile.smoke]\nrequired = []", "profile.smoke: unknown name `required`"),
        ("[profile.smoke]\nlatency_ms = 3", "profile.smoke.latency_ms: a table"),
        ("[profile.smoke.latency_ms]\nsend = {}", "latency_ms.send: demands nothing"),
        ("[profile.smoke.latency_ms]\nsend = {p95 = 1}", "send: .*p95.*may have: p50, p99, p999"),
        ("[profile.smoke.latency_ms]\nsend = {p99 = 0}", "latency_ms.send.p99: .*> 0"),
        ("[profile.smoke.latency_ms]\nsend = {p99 = '1'}", "latency_ms.send.p99: .*str"),
        ("[profile.smoke.latency_ms]\nsend = {p50 = 9, p99 = 8}", "have to rise"),
        ("[default]\nknee = 'x'\n[profile.smoke]", "default.knee"),
        ("[profile.other]\nknee = 0\n[profile.smoke]", "profile.other.knee"),
        ("[profile.other]", "no objectives for the profile 'smoke'; it has those of: other"),
    ],
)
def test_a_mistake_in_the_file_is_told_by_its_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadObjectives, match=words) as refused:
        load("smoke", written(tmp_path, text))
    assert str(tmp_path / "objectives.toml") in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadObjectives, match="cannot be read"):
        load("smoke", tmp_path / "none.toml")
