"""What a run leaves in its folder, `.parley/loadtests/<UTC stamp>-<profile>/`: the one home of
its format. Written so that a run that is killed at any byte still reads, marked as cut short.

    run.json           what was run, where, its phases, faults, trials and ledger (`Run`)
    <worker>.hlog      latencies: HdrHistogram's interval log 1.3, a tag an operation, 1 s
                       intervals, microseconds, counted from the *intended* time
    <worker>.counts.jsonl   a line a second and operation (`Counts`); lines of one second add up
    resources.jsonl    a line a sample: processes, PostgreSQL, Redis (`Resources`)

Times of the run are seconds since `Run.began`, in all four. `LAG` is the operation whose latency
is how late the generator itself was: it has no counts. The log's format is described at
https://hdrhistogram.github.io/HdrHistogram/JavaDoc/org/HdrHistogram/HistogramLogWriter.html
"""

import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec
from hdrh.histogram import HdrHistogram
from msgspec import Struct

from loadtests.clock import now

LAG = "generator-lag"
LONGEST_SECONDS = 3600.0
WORKER = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
OPERATION = re.compile(r"[a-z][a-z0-9._-]{0,40}")
# The last line of each file that grows: without it, the file breaks off.
ENDS = {".hlog": b"#[End]", ".jsonl": b'{"end":true}'}

Line = TypeVar("Line", bound=Struct)


class Unreadable(Exception):
    """A folder is not a run's, or was damaged elsewhere than at its end; says which and what."""


class Environment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine that ran it. `versions`: python, postgresql, redis, parley (its commit)…"""

    cpu: str
    cores: int
    memory_bytes: int
    kernel: str
    versions: dict[str, str] = {}


class Phase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rate` is the intended operations a second of all users; `until` None while it lasts."""

    name: str
    since: float
    until: float | None = None
    users: int
    rate: float = 0.0


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was done to the deployment while it was under load, such as "redis restarted"."""

    name: str
    since: float
    until: float | None = None


class Trial(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One plateau of find-max: whether `rate` was held, and if not, why ("p99 of send 91 ms")."""

    rate: float
    held: bool
    p99_ms: float
    since: float
    until: float
    why: str = ""


class Ledger(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of every payload. `pairs` of participants were connected, `apart` were not;
    on `ways` sound was sent, of which `deaf` ones had nobody hear any, and of the others heard
    and missed are frames of 20 ms. `examples`: some lines about what went wrong."""

    acknowledged: int
    received: int
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    ghosts: int = 0
    pairs: int = 0
    apart: int = 0
    ways: int = 0
    deaf: int = 0
    frames_heard: int = 0
    frames_missed: int = 0
    examples: list[str] = []

    @property
    def wrong(self) -> int:
        told = self.lost + self.doubled + self.reordered + self.ghosts
        return told + self.apart + self.deaf


class Run(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ended` is None while it runs, and forever if it was killed. `cut_short` says why it ended
    before its profile did. `rate_unit` says what phases and trials count, as "sends a second".
    `workers` is how many logs there should be. Without a ledger nothing was counted."""

    profile: str
    target: str
    began: datetime
    ended: datetime | None = None
    cut_short: str = ""
    rate_unit: str = "operations a second"
    workers: int = 1
    environment: Environment
    phases: list[Phase] = []
    faults: list[Fault] = []
    trials: list[Trial] = []
    ledger: Ledger | None = None
    remarks: list[str] = []


class Counts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one operation did in the second that begins at `second`. What is refused has a code
    of the protocol; what failed has a kind of the client's, such as "timeout"."""

    second: int
    operation: str
    intended: int = 0
    begun: int = 0
    done: int = 0
    refused: dict[str, int] = {}
    failed: dict[str, int] = {}


class Process(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`name` is one process's ("gateway-1"), `kind` what it is (gateway, web, worker, sealer,
    postgres, redis, generator). `cpu_seconds` since it started and `memory_bytes` with its
    children; what several share is counted once (PSS). `unfiled_bytes` is what of it stands in no
    file, such as a library. Another `pid` is another process."""

    name: str
    kind: str
    cpu_seconds: float
    memory_bytes: int
    unfiled_bytes: int | None = None
    files: int = 0
    pid: int = 0


class Postgres(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`transactions` and `wal_bytes` since its start."""

    connections: int
    transactions: int
    wal_bytes: int


class Redis(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`commands` since its start. `swept`: how many seconds ago the leases of voice rooms were
    looked at; None where Redis knows of no time."""

    commands: int
    memory_bytes: int
    clients: int
    swept: float | None = None


class Resources(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sample, some `second` into the run. `sockets`: those that the generator holds open."""

    second: float
    processes: list[Process] = []
    postgres: Postgres | None = None
    redis: Redis | None = None
    sockets: int | None = None


class Interval(Struct, frozen=True):
    """One line of a latency log; `payload` is the encoded histogram."""

    operation: str
    second: float
    payload: str

    def add_to(self, histogram: Any) -> None:
        """Raises Unreadable."""
        try:
            histogram.decode_and_add(self.payload)
        # The package raises what it likes: binascii's, zlib's and its own errors.
        except Exception as error:
            where = f"{self.operation} in second {self.second:.0f}"
            raise Unreadable(f"The latencies of {where} are damaged: {error}") from None


def new_histogram() -> Any:
    """Return a histogram of microseconds, up to an hour, with three significant digits."""
    return HdrHistogram(1, int(LONGEST_SECONDS * 1e6), 3)


# Writing


def new_folder(under: Path, profile: str) -> Path:
    """Make the folder of a run that begins now; no two runs share one."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(1, 100):
        folder = under / f"{stamp}-{profile}{'' if number == 1 else f'-{number}'}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{under} has a hundred runs that began at {stamp}.")


def write_run(folder: Path, run: Run) -> None:
    """Put `run.json` in place at once and whole: at the beginning, at each phase, at the end."""
    text = msgspec.json.format(msgspec.json.encode(run), indent=2)
    draft = folder / "run.json.draft"
    draft.write_bytes(text)
    draft.replace(folder / "run.json")


class ResourceLog:
    """Appends samples; each is on its way to the disk when `write` returns."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "resources.jsonl").open("ab")

    def write(self, sample: Resources) -> None:
        self._file.write(msgspec.json.encode(sample) + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.write(ENDS[".jsonl"] + b"\n")
        self._file.close()


class WorkerLog:
    """What one process of the generator saw. Any thread may report; call `flush` every second.
    What happened before the second `told` is on its way to the disk.

    `began` is `Run.began` as seconds since the epoch, the same for every worker. What happens is
    booked in the second in which it is reported, so that a second is never reopened.
    """

    def __init__(self, folder: Path, worker: str, *, began: float) -> None:
        if not WORKER.fullmatch(worker):
            raise ValueError(f"A worker's name is {WORKER.pattern}, not {worker!r}.")
        self._began, self.told = began, 0.0
        self._lock = threading.Lock()
        self._seconds: dict[tuple[int, str], _Second] = {}
        self._counts: IO[bytes] = (folder / f"{worker}.counts.jsonl").open("wb")
        self._latencies: IO[bytes] = (folder / f"{worker}.hlog").open("wb")
        moment = datetime.fromtimestamp(began, UTC).isoformat(" ", "milliseconds")
        heading = (
            "#[Histogram log format version 1.3]\n"
            f"#[StartTime: {began:.3f} (seconds since epoch), {moment}]\n"
            f"#[BaseTime: {began:.3f} (seconds since epoch)]\n"
            '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
        )
        self._latencies.write(heading.encode("ascii"))
        self._latencies.flush()

    def intended(self, operation: str, count: int = 1) -> None:
        with self._lock:
            self._now(operation).intended += count

    def begun(self, operation: str, count: int = 1) -> None:
        with self._lock:
            self._now(operation).begun += count

    def done(self, operation: str, seconds: float) -> None:
        """It succeeded, `seconds` after its intended time."""
        with self._lock:
            second = self._now(operation)
            second.done += 1
            second.record(seconds)

    def refused(self, operation: str, code: str) -> None:
        with self._lock:
            self._now(operation).refused[code] += 1

    def failed(self, operation: str, kind: str) -> None:
        with self._lock:
            self._now(operation).failed[kind] += 1

    def late(self, seconds: float) -> None:
        """The generator began something `seconds` after the time that its schedule said."""
        with self._lock:
            self._now(LAG).record(seconds)

    def flush(self, *, everything: bool = False) -> None:
        """Write the seconds that have passed; or all, at the end. Nothing once it is closed."""
        if self._counts.closed:
            return
        current = int(now() - self._began)
        self.told = float(current)
        with self._lock:
            passed = sorted(at for at in self._seconds if everything or at[0] < current)
            seconds = [(at, self._seconds.pop(at)) for at in passed]
        for (second, operation), what in seconds:
            self._write(second, operation, what)
        self._counts.flush()
        self._latencies.flush()

    def close(self) -> None:
        if self._counts.closed:
            return
        self.flush(everything=True)
        self._counts.write(ENDS[".jsonl"] + b"\n")
        self._counts.close()
        self._latencies.write(ENDS[".hlog"] + b"\n")
        self._latencies.close()

    def _now(self, operation: str) -> "_Second":
        key = max(0, int(now() - self._began)), operation
        if key not in self._seconds:
            if not OPERATION.fullmatch(operation):
                raise ValueError(f"An operation's name is {OPERATION.pattern}, not {operation!r}.")
            self._seconds[key] = _Second()
        return self._seconds[key]

    def _write(self, second: int, operation: str, what: "_Second") -> None:
        if operation != LAG:
            self._counts.write(msgspec.json.encode(what.counts(second, operation)) + b"\n")
        if what.histogram is not None:
            highest = what.histogram.get_max_value() / 1e6
            payload = what.histogram.encode().decode("ascii")
            line = f"Tag={operation},{second:.3f},1.000,{highest:.6f},{payload}\n"
            self._latencies.write(line.encode("ascii"))


class _Second:
    """What one operation did in one second, as it adds up."""

    def __init__(self) -> None:
        self.intended = self.begun = self.done = 0
        self.refused: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.histogram: Any = None

    def record(self, seconds: float) -> None:
        if self.histogram is None:
            self.histogram = new_histogram()
        # What is out of range would be left out without a word.
        self.histogram.record_value(int(min(max(seconds, 0.0), LONGEST_SECONDS) * 1e6))

    def counts(self, second: int, operation: str) -> Counts:
        return Counts(
            second=second,
            operation=operation,
            intended=self.intended,
            begun=self.begun,
            done=self.done,
            refused=dict(self.refused),
            failed=dict(self.failed),
        )


# Reading


class Record(Struct, frozen=True, kw_only=True):
    """A run as it was written. `cut_short` says every reason to think that something is missing;
    empty means that all of it is here."""

    folder: Path
    run: Run
    intervals: list[Interval]
    counts: list[Counts]
    resources: list[Resources]
    cut_short: list[str]

    @property
    def operations(self) -> list[str]:
        seen = {c.operation for c in self.counts} | {i.operation for i in self.intervals}
        return sorted(seen - {LAG})

    @property
    def seconds(self) -> float:
        """How long it ran, as far as it is known."""
        if self.run.ended is not None:
            return (self.run.ended - self.run.began).total_seconds()
        ends = [c.second + 1.0 for c in self.counts] + [i.second + 1.0 for i in self.intervals]
        return max([*ends, *(r.second for r in self.resources)], default=0.0)

    def histogram(self, operation: str, since: float = 0.0, until: float = float("inf")) -> Any:
        """Return the latencies, in microseconds, of all workers from `since` until `until`."""
        merged = new_histogram()
        for interval in self.intervals:
            if interval.operation == operation and since <= interval.second < until:
                interval.add_to(merged)
        return merged


def read(folder: Path) -> Record:
    """Return the run in `folder`. Raises Unreadable."""
    run = _run(folder)
    missing = [run.cut_short] if run.cut_short else []
    if run.ended is None:
        missing.append("the run did not say that it ended")
    logs = sorted(folder.glob("*.hlog"))
    if len(logs) < run.workers:
        missing.append(f"{len(logs)} of {run.workers} workers left a log")
    resources = [path] if (path := folder / "resources.jsonl").exists() else []
    return Record(
        folder=folder,
        run=run,
        intervals=[found for log in logs for found in _intervals(log, missing)],
        counts=[
            found
            for log in logs
            for found in _lines(log.with_suffix(".counts.jsonl"), Counts, missing)
        ],
        resources=[found for path in resources for found in _lines(path, Resources, missing)],
        cut_short=missing,
    )


def _run(folder: Path) -> Run:
    path = folder / "run.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except OSError as error:
        raise Unreadable(
            f"{folder} is not the folder of a load test: {os.strerror(error.errno or 0)} "
            "for its run.json. Name a folder below .parley/loadtests/."
        ) from None
    except msgspec.DecodeError as error:
        raise Unreadable(f"{path} is damaged: {error}") from None


def _whole_lines(path: Path, missing: list[str]) -> list[bytes]:
    """Return the lines that were written to their end; adds to `missing` if they break off."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    if lines and lines[-1] == ENDS[path.suffix]:
        return lines[:-1]
    missing.append(f"{path.name} breaks off")
    return lines


def _lines(path: Path, kind: type[Line], missing: list[str]) -> Iterator[Line]:
    decoder = msgspec.json.Decoder(kind)
    for number, line in enumerate(_whole_lines(path, missing), start=1):
        try:
            yield decoder.decode(line)
        except msgspec.DecodeError as error:
            raise Unreadable(f"{path}, line {number}, is damaged: {error}") from None


def _intervals(path: Path, missing: list[str]) -> Iterator[Interval]:
    for number, line in enumerate(_whole_lines(path, missing), start=1):
        if line.startswith(b"Tag="):
            yield _interval(path, number, line.decode("ascii", "replace"))


def _interval(path: Path, number: int, text: str) -> Interval:
    try:
        tag, second, _length, _highest, payload = text.split(",")
        return Interval(tag.removeprefix("Tag="), float(second), payload)
    except ValueError as error:
        raise Unreadable(f"{path}, line {number}, is damaged: {error}") from None
