import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hdrh.log import HistogramLogReader

from loadtests.record import (
    LAG,
    Counts,
    Environment,
    Ledger,
    Process,
    ResourceLog,
    Resources,
    Run,
    Unreadable,
    WorkerLog,
    new_folder,
    new_histogram,
    read,
    write_run,
)

HERE = Environment(cpu="A processor", cores=2, memory_bytes=4 << 30, kernel="6.1")
BEGAN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
ENDED = datetime(2026, 11, 21, 10, 1, tzinfo=UTC)


def run(**changes: Any) -> Run:
    return Run(
        profile="smoke",
        target="here",
        began=BEGAN,
        environment=HERE,
        **{"ended": ENDED, "ledger": Ledger(acknowledged=1, received=1), **changes},
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> "Clock":
    clock = Clock()
    monkeypatch.setattr("loadtests.record.now", clock.read)
    return clock


class Clock:
    now = 1000.0

    def read(self) -> float:
        return self.now


def test_what_was_written_is_read(tmp_path: Path, clock: Clock) -> None:
    write_run(tmp_path, run())
    log = WorkerLog(tmp_path, "worker-1", began=1000.0)
    log.intended("send", 3)
    log.begun("send", 3)
    log.done("send", 0.002)
    clock.now = 1001.5
    log.refused("send", "rate_limited")
    log.failed("send", "timeout")
    log.late(0.0005)
    log.close()

    record = read(tmp_path)

    assert record.run == run()
    assert record.cut_short == []
    assert record.operations == ["send"]
    assert record.counts == [
        Counts(second=0, operation="send", intended=3, begun=3, done=1),
        Counts(second=1, operation="send", refused={"rate_limited": 1}, failed={"timeout": 1}),
    ]
    assert record.histogram("send").get_value_at_percentile(100) == pytest.approx(2000, rel=0.001)
    assert record.histogram("send", since=1.0).get_total_count() == 0
    assert record.histogram(LAG, since=1.0, until=2.0).get_total_count() == 1


def test_a_second_is_written_when_it_has_passed(tmp_path: Path, clock: Clock) -> None:
    log = WorkerLog(tmp_path, "worker-1", began=1000.0)
    log.begun("send")
    log.flush()
    counts = tmp_path / "worker-1.counts.jsonl"
    assert counts.read_bytes() == b""
    clock.now = 1001.0
    log.flush()
    assert b'"second":0,"operation":"send"' in counts.read_bytes()
    log.close()
    assert counts.read_bytes().count(b"send") == 1


def test_the_log_is_read_by_the_reader_of_the_package(tmp_path: Path, clock: Clock) -> None:
    log = WorkerLog(tmp_path, "worker-1", began=1000.0)
    log.done("send", 0.25)
    log.close()
    reader = HistogramLogReader(str(tmp_path / "worker-1.hlog"), new_histogram())
    interval = reader.get_next_interval_histogram()
    assert reader.get_next_interval_histogram() is None
    reader.close()
    assert (interval.get_tag(), interval.get_total_count()) == ("send", 1)
    assert interval.get_start_time_stamp() == 1000_000
    assert interval.get_value_at_percentile(50) == pytest.approx(250_000, rel=0.001)


def test_workers_merged_are_one_histogram_of_all_values(tmp_path: Path, clock: Clock) -> None:
    write_run(tmp_path, run(workers=3))
    draw, everything = Random(5), new_histogram()
    for number in range(3):
        log = WorkerLog(tmp_path, f"worker-{number}", began=1000.0)
        for second in range(4):
            clock.now = 1000.0 + second
            for _ in range(50):
                latency = draw.lognormvariate(-5, 2)
                log.done("send", latency)
                everything.record_value(int(latency * 1e6))
        log.close()

    merged = read(tmp_path).histogram("send")

    assert merged.get_total_count() == 600
    assert list(merged.counts) == list(everything.counts)
    for percentile in (50, 99, 99.9, 100):
        assert merged.get_value_at_percentile(percentile) == everything.get_value_at_percentile(
            percentile
        )


def test_a_latency_out_of_range_is_counted_all_the_same(tmp_path: Path) -> None:
    write_run(tmp_path, run())
    log = WorkerLog(tmp_path, "worker-1", began=time.time())
    log.done("send", 1e9)
    log.done("send", -0.5)
    log.close()
    latencies = read(tmp_path).histogram("send")
    assert latencies.get_total_count() == 2
    assert latencies.get_value_at_percentile(100) == pytest.approx(3600e6, rel=0.001)


def test_threads_lose_no_count(tmp_path: Path) -> None:
    write_run(tmp_path, run())
    log = WorkerLog(tmp_path, "worker-1", began=time.time())

    def work() -> None:
        for _ in range(500):
            log.begun("send")
            log.done("send", 0.001)
            log.flush()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    record = read(tmp_path)
    assert sum(c.begun for c in record.counts) == 2000
    assert record.histogram("send").get_total_count() == 2000


def written(folder: Path, clock: Clock) -> None:
    """A short run, whole."""
    write_run(folder, run())
    log = WorkerLog(folder, "worker-1", began=1000.0)
    for second in range(2):
        clock.now = 1000.0 + second
        log.begun("send")
        log.done("send", 0.002)
    log.close()
    resources = ResourceLog(folder)
    for second in range(2):
        process = Process(name="gateway-1", kind="gateway", cpu_seconds=second, memory_bytes=1)
        resources.write(Resources(second=second, processes=[process]))
    resources.close()


@pytest.mark.parametrize("name", ["worker-1.hlog", "worker-1.counts.jsonl", "resources.jsonl"])
def test_a_file_cut_at_any_byte_still_reads(tmp_path: Path, clock: Clock, name: str) -> None:
    written(tmp_path, clock)
    path = tmp_path / name
    whole = path.read_bytes()
    complete = read(tmp_path)
    assert complete.cut_short == []
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        record = read(tmp_path)
        assert record.histogram("send").get_total_count() <= 2
        assert record.intervals == complete.intervals[: len(record.intervals)]
        assert record.counts == complete.counts[: len(record.counts)]
        assert record.resources == complete.resources[: len(record.resources)]
        assert record.cut_short, f"{name} is {length} of {len(whole)} bytes long, and looks whole"


def test_a_run_that_was_killed_says_so(tmp_path: Path, clock: Clock) -> None:
    written(tmp_path, clock)
    write_run(tmp_path, run(ended=None))
    assert read(tmp_path).cut_short == ["the run did not say that it ended"]
    write_run(tmp_path, run(cut_short="stopped from the keyboard"))
    assert read(tmp_path).cut_short == ["stopped from the keyboard"]
    write_run(tmp_path, run(workers=2))
    assert read(tmp_path).cut_short == ["1 of 2 workers left a log"]


def test_a_log_damaged_before_its_end_is_refused(tmp_path: Path, clock: Clock) -> None:
    written(tmp_path, clock)
    path = tmp_path / "worker-1.hlog"
    path.write_text(path.read_text().replace("HISTF", "HISTX", 1))
    with pytest.raises(Unreadable, match="send in second 0"):
        read(tmp_path).histogram("send")
    counts = tmp_path / "worker-1.counts.jsonl"
    counts.write_bytes(counts.read_bytes().replace(b'"done":1', b'"done":"x"', 1))
    with pytest.raises(Unreadable, match="line 1"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged"),
        ("{}", "missing required field `profile`"),
        (None, "not the folder of a load test"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(Unreadable, match=words):
        read(tmp_path)


def test_what_is_flushed_or_closed_after_its_end_stays_as_it_is(
    tmp_path: Path, clock: Clock
) -> None:
    written(tmp_path, clock)
    log = WorkerLog(tmp_path, "worker-1", began=1000.0)
    log.close()
    whole = (tmp_path / "worker-1.counts.jsonl").read_bytes()
    log.begun("send")
    log.flush(everything=True)
    log.close()
    assert (tmp_path / "worker-1.counts.jsonl").read_bytes() == whole


def test_names_that_would_break_the_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="worker's name"):
        WorkerLog(tmp_path, "../worker", began=0.0)
    log = WorkerLog(tmp_path, "worker-1", began=0.0)
    with pytest.raises(ValueError, match="operation's name"):
        log.begun("send, quickly")
    log.close()


def test_two_runs_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    assert new_folder(tmp_path, "smoke") != new_folder(tmp_path, "smoke")
