"""What a process counts, and how Prometheus reads it."""

import json
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app import metrics
from app.outside import Service
from dev.ports import free_port

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return samples(answer.read().decode())


@pytest.fixture
def served() -> Iterator[int]:
    port = free_port()
    served = metrics.serve("test", ("127.0.0.1", range(port, port + 50)), release="r1")
    assert served is not None
    try:
        yield served
    finally:
        metrics.stop()


def test_names_follow_the_conventions_of_prometheus() -> None:
    for name, instrument in metrics.instruments.items():
        assert re.fullmatch(r"parley_[a-z]+(_[a-z]+)*", name)
        assert name.endswith("_total") == isinstance(instrument, metrics.Counter), name
        assert instrument.help.endswith("."), name
        if isinstance(instrument, metrics.Histogram):
            assert name.endswith(("_seconds", "_messages")), name


def test_no_label_is_for_a_person_a_conversation_or_an_organization() -> None:
    labels = {label for each in metrics.instruments.values() for label in each.labels}
    assert labels == {
        "stage", "outcome", "code", "op", "reason", "action", "task", "route", "status",
        "kind", "service", "role", "release",
    }  # fmt: skip


def test_what_was_counted_is_what_prometheus_reads(served: int) -> None:
    before = read(served)
    metrics.JOBS.add("audit.heartbeat", "ok", by=2)
    metrics.JOB_WAIT.of().observe(0.3)
    metrics.JOB_WAIT.of().observe(0.5)
    metrics.JOB_WAIT.of().observe(7000)
    metrics.VOICE_PLACES.set(7)
    after = read(served)

    def grown(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0)

    assert grown("parley_jobs_total", task="audit.heartbeat", outcome="ok") == 2
    assert grown("parley_job_wait_seconds_count") == 3
    assert grown("parley_job_wait_seconds_sum") == pytest.approx(7000.8)
    # A bucket holds what is at most its bound, and all below it.
    assert grown("parley_job_wait_seconds_bucket", le="0.1") == 0
    assert grown("parley_job_wait_seconds_bucket", le="0.5") == 2
    assert grown("parley_job_wait_seconds_bucket", le="3600.0") == 2
    assert grown("parley_job_wait_seconds_bucket", le="+Inf") == 3
    assert after["parley_voice_places", ()] == 7
    assert after["parley_process_info", (("release", "r1"), ("role", "test"))] == 1
    assert after["process_resident_memory_bytes", ()] > 0


def test_a_reader_that_fails_takes_no_other_number_away(served: int) -> None:
    def fails() -> dict[str, float]:
        raise ConnectionError("secret")

    readers = [fails, lambda: {"parley_jobs_waiting": 4.0}]
    metrics.readers.extend(readers)
    try:
        found = read(served)
        assert found["parley_jobs_waiting", ()] == 4
        assert read(served)["parley_metrics_unreadable_total", ()] >= 1
    finally:
        for reader in readers:
            metrics.readers.remove(reader)
    assert ("parley_jobs_waiting", ()) not in read(served)


def test_labels_are_bounded_whatever_is_counted() -> None:
    counter = metrics.Counter("parley_of_a_test_total", "Of a test.", "op")
    try:
        for number in range(metrics.MAX_SERIES + 50):
            counter.add(f"op{number}")
        assert len(counter.values) == metrics.MAX_SERIES + 1
        assert counter.values["other",] == 50
        counter.add("op3")
        assert counter.values["op3",] == 2
    finally:
        del metrics.instruments[counter.name]


def test_threads_lose_no_count() -> None:
    spread = metrics.Spread((1.0, 2.0))
    counter = metrics.Counter("parley_of_threads_total", "Of a test.", "op")
    del metrics.instruments[counter.name]

    def count() -> None:
        for number in range(20_000):
            spread.observe(number % 3)
            counter.add("send")

    was = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(was)
    assert sum(spread.counts) == counter.values["send",] == 80_000


def test_the_time_of_what_ended_in_an_error_is_counted_too() -> None:
    spread = metrics.Spread((1.0,))
    with pytest.raises(LookupError), spread.timed():
        raise LookupError
    failed = metrics.OUTSIDE_CALLS.values["storage", "failed"]
    with pytest.raises(LookupError), Service("storage").asked():
        raise LookupError
    assert sum(spread.counts) == 1
    assert metrics.OUTSIDE_CALLS.values["storage", "failed"] == failed + 1


def test_each_process_takes_a_port_of_its_own_and_a_child_counts_from_nothing() -> None:
    port = free_port()
    program = f"""
import json, os, urllib.request
from app import metrics
where = ("127.0.0.1", range({port}, {port} + 60))
metrics.SIGNALS.add(by=5)
parent = metrics.serve("parent", where)
r, w = os.pipe()
if not (child := os.fork()):
    own = metrics.serve("child", where)
    text = urllib.request.urlopen(f"http://127.0.0.1:{{own}}/metrics", timeout=10).read().decode()
    few = "".join(line for line in text.splitlines(True) if "signals" in line or "info" in line)
    os.write(w, json.dumps([own, few]).encode())
    os._exit(0)
os.close(w)
with os.fdopen(r) as pipe:
    own, text = json.load(pipe)
os.waitpid(child, 0)
print(json.dumps([parent, own, text, metrics.written()]))
metrics.stop()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    parent, child, of_child, of_parent = json.loads(done.stdout)
    assert child > parent >= port
    assert samples(of_child)["parley_gateway_signals_total", ()] == 0
    assert samples(of_parent)["parley_gateway_signals_total", ()] == 5
    assert ("parley_process_info", (("release", ""), ("role", "parent"))) not in samples(of_child)


def test_without_a_free_port_the_process_goes_on(served: int) -> None:
    program = (
        "from app import metrics\n"
        f"assert metrics.serve('late', ('127.0.0.1', range({served}, {served} + 1))) is None\n"
        "metrics.SIGNALS.add()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "metrics_unserved" in done.stderr


def test_nothing_is_served_unless_it_is_configured() -> None:
    assert metrics.serve("quiet", None) is None
    program = "import sys, app.metrics; print('prometheus_client' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"
