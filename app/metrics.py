"""What a process counts about itself, for Prometheus: numbers and closed lists of words.

Never content, never an id: a label is a word of ours (a stage, a code, a task). Counting is an
addition to a number in memory, so the hot path can afford it; `prometheus_client` writes the
numbers down, and is loaded only where somebody reads them (`serve`). docs/operations.md says how.
"""

import logging
import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import perf_counter
from types import TracebackType
from typing import Any

logger = logging.getLogger(__name__)

MAX_SERIES = 1000
"""Label values of one metric; what comes after them is counted as `other`, so that a mistake
elsewhere makes no million series."""

Labels = tuple[str, ...]
Reader = Callable[[], Mapping[str, float]]
"""Says how things stand right now: a gauge's name and its value."""

_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0,
)  # fmt: skip
_LONG_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
_MANY = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)

# Threads count in the same numbers without a lock. `numbers[key] += n` is not interrupted in
# CPython 3.11 to 3.13 (threads change places at calls and backward jumps alone); were it, a count
# would be one too low, and nothing else.


class Counter:
    """Only grows. `add` it, with a value for each of `labels`."""

    def __init__(self, name: str, help_text: str, *labels: str) -> None:
        self.name, self.help, self.labels = name, help_text, labels
        self.values: dict[Labels, float] = defaultdict(int)
        if not labels:
            self.values[()] = 0  # a series that is there from the start can be watched for a rise
        instruments[name] = self

    def add(self, *labels: str, by: float = 1) -> None:
        self.values[_bounded(self.values, labels)] += by


class Gauge:
    """Goes up and down: `set` here, or told by one of `readers`."""

    def __init__(self, name: str, help_text: str, *labels: str) -> None:
        self.name, self.help, self.labels = name, help_text, labels
        self.values: dict[Labels, float] = {}
        instruments[name] = self

    def set(self, value: float, *labels: str) -> None:
        self.values[_bounded(self.values, labels)] = value


class Spread:
    """How many fell where between `bounds`: bound to its label by `of`, once, where it is hot."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def timed(self) -> "Timer":
        """`with spread.timed():` observes the seconds inside, also when they end in an error."""
        return Timer(self)


class Timer:
    __slots__ = ("_began", "_spread")

    def __init__(self, spread: Spread) -> None:
        self._spread = spread

    def __enter__(self) -> None:
        self._began = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._spread.observe(perf_counter() - self._began)


class Histogram:
    """Spreads by label value."""

    def __init__(
        self, name: str, help_text: str, *labels: str, bounds: Sequence[float] = _SECONDS
    ) -> None:
        self.name, self.help, self.labels, self.bounds = name, help_text, labels, bounds
        self.values: dict[Labels, Spread] = {}
        if not labels:
            self.of()
        instruments[name] = self

    def of(self, *labels: str) -> Spread:
        labels = _bounded(self.values, labels)
        spread = self.values.get(labels)
        return spread or self.values.setdefault(labels, Spread(self.bounds))


def _bounded(values: Mapping[Labels, Any], labels: Labels) -> Labels:
    if labels in values or len(values) < MAX_SERIES:
        return labels
    return ("other",) * len(labels)


instruments: dict[str, Counter | Gauge | Histogram] = {}
readers: list[Reader] = []
"""Asked at each reading, in the thread that reads. One that raises is left out, and counted."""


# The send path, stage by stage. A batch (group commit) is observed once, but for the queue.
SEND_STAGE_SECONDS = Histogram(
    "parley_send_stage_seconds",
    "Time of a send's stages: queue (one message), the rest for a batch.",
    "stage",
)
QUEUE = SEND_STAGE_SECONDS.of("queue")
"""From a message's arrival at the gateway until its batch begins."""
SEAL = SEND_STAGE_SECONDS.of("seal")
"""Sealing the texts."""
STATEMENTS = SEND_STAGE_SECONDS.of("statements")
"""From the first statement of the transaction to the last, with checks and sealing."""
COMMIT = SEND_STAGE_SECONDS.of("commit")
"""COMMIT alone: deferred checks and the disk."""
HINT = SEND_STAGE_SECONDS.of("hint")
"""Telling the other processes: until Redis has it."""
DELIVERY = SEND_STAGE_SECONDS.of("delivery")
"""A round of a hub: from the first hint until its sockets were handed their events."""
SEND_BATCH = Histogram(
    "parley_send_batch_messages", "Messages that were committed together.", bounds=_MANY
)

# The gateway. What a socket's own numbers tell is read when asked (`Gateway.standing`).
GATEWAY_SOCKETS = Gauge("parley_gateway_sockets", "Open sockets.")
GATEWAY_OPENING = Gauge("parley_gateway_opening_sockets", "Sockets whose ticket is looked at.")
GATEWAY_STREAMS = Gauge("parley_gateway_streams", "Streams that somebody here listens to.")
GATEWAY_SUBSCRIPTIONS = Gauge("parley_gateway_subscriptions", "Subscriptions of all sockets.")
GATEWAY_DRAINING = Gauge("parley_gateway_draining", "1 while sockets are asked to go elsewhere.")
REDIS_LINK = Gauge("parley_gateway_redis_link_up", "1 while the hub hears Redis.")
HANDSHAKES = Counter(
    "parley_gateway_handshakes_total", "Handshakes by what became of them.", "outcome"
)
CLOSES = Counter(
    "parley_gateway_closes_total", "Sockets that we closed, by code; 4108 read too slowly.", "code"
)
SHED = Counter("parley_gateway_shed_total", "Ephemeral frames not given to slow readers.")
COMMANDS = Counter(
    "parley_gateway_commands_total", "Commands by what they were answered.", "op", "outcome"
)
SIGNALS = Counter("parley_gateway_signals_total", "Signals that were handed on.")
HUB_FAILURES = Counter("parley_hub_failed_rounds_total", "Rounds of a hub that were tried again.")

# Voice rooms; who joined and which were handed over is counted as entries of the trail.
VOICE_PLACES = Gauge("parley_voice_places", "Places that are taken, in all rooms.")
VOICE_ROOMS = Gauge("parley_voice_rooms", "Rooms with somebody in them.")
VOICE_LEAVES = Counter("parley_voice_leaves_total", "Places given up, by reason.", "reason")
VOICE_SWEEPS = Counter("parley_voice_sweeps_total", "Looks for leases that ran out.")

# The trail.
TRAIL_ENTRIES = Counter("parley_trail_entries_total", "Entries written, by action.", "action")
TRAIL_REFUSED = Counter(
    "parley_trail_refused_total", "Changes undone because their entry could not be written."
)
SEALED_LEAVES = Counter("parley_sealer_leaves_total", "Entries sealed by this process.")
SEALING = Counter("parley_sealer_rounds_total", "Rounds of the sealer by outcome.", "outcome")
TRAIL_LAG = Gauge("parley_trail_lag_seconds", "Age of the oldest entry without a leaf.")
CHECKPOINT_AGE = Gauge(
    "parley_trail_checkpoint_age_seconds", "Age of the last checkpoint, of the log that is worst."
)
ANCHOR_AGE = Gauge(
    "parley_trail_anchor_age_seconds", "Since when the worst anchor keeps nothing newer."
)
ANCHORS_FAILING = Gauge("parley_trail_anchors_failing", "Anchors that fail, over all logs.")
ANCHORS_DISAGREEING = Gauge(
    "parley_trail_anchors_disagreeing", "Anchors that keep another history than the log shows."
)
VERIFICATION_AGE = Gauge(
    "parley_trail_verification_age_seconds", "Age of the last verification, of the worst log."
)
VERIFICATIONS_FAILED = Gauge(
    "parley_trail_verifications_failed", "Logs whose last verification did not agree."
)

# Jobs.
JOBS = Counter("parley_jobs_total", "Jobs by task and outcome.", "task", "outcome")
JOB_SECONDS = Histogram("parley_job_seconds", "Time of a job.", "task", bounds=_LONG_SECONDS)
JOB_WAIT = Histogram(
    "parley_job_wait_seconds", "From the queue into a worker's hands.", bounds=_LONG_SECONDS
)
JOBS_WAITING = Gauge("parley_jobs_waiting", "Jobs in the queue.")
JOBS_AGE = Gauge("parley_jobs_oldest_age_seconds", "Age of the oldest job in the queue.")

# HTTP, services that are not ours, and the process.
REQUESTS = Counter(
    "parley_http_requests_total", "Requests by route and class of status.", "route", "status"
)
REQUEST_SECONDS = Histogram("parley_http_request_seconds", "Time of a request.", "kind")
OUTSIDE_CALLS = Counter(
    "parley_outside_calls_total", "Calls of services that are not ours.", "service", "outcome"
)
OUTSIDE_SECONDS = Histogram(
    "parley_outside_call_seconds", "Time of a call of a service that is not ours.", "service"
)
OUTSIDE_AWAY = Gauge(
    "parley_outside_away", "1 while a service that is not ours was away when last asked.", "service"
)
PROCESS = Gauge("parley_process_info", "1; what this process is.", "role", "release")
UNREADABLE = Counter("parley_metrics_unreadable_total", "Readers that failed.")


class _Collector:
    """What `prometheus_client` asks."""

    def collect(self) -> Iterator[Any]:
        told: dict[str, float] = {}
        for reader in list(readers):
            try:
                told |= reader()
            except Exception:  # whatever it is that is away: the other numbers are still true
                UNREADABLE.add()
        for instrument in instruments.values():
            yield _family(instrument, told)


def _family(instrument: Counter | Gauge | Histogram, told: Mapping[str, float]) -> Any:
    from prometheus_client import core  # noqa: PLC0415 - only a process that is read needs it

    name, text, labels = instrument.name, instrument.help, instrument.labels
    if isinstance(instrument, Histogram):
        histogram = core.HistogramMetricFamily(name, text, labels=labels)
        for values, spread in list(instrument.values.items()):
            histogram.add_metric(values, _cumulated(spread), sum_value=spread.total)
        return histogram
    kind = core.CounterMetricFamily if isinstance(instrument, Counter) else core.GaugeMetricFamily
    family = kind(name, text, labels=labels)
    for values, number in list(instrument.values.items()):
        family.add_metric(values, number)
    if name in told:
        family.add_metric((), told[name])
    return family


def _cumulated(spread: Spread) -> list[tuple[str, float]]:
    """Prometheus' buckets: how many were at most so much."""
    found, below = [], 0
    for bound, count in zip((*spread.bounds, float("inf")), spread.counts, strict=True):
        below += count
        found.append(("+Inf" if bound == float("inf") else repr(bound), float(below)))
    return found


def written() -> str:
    """All numbers of this process, in Prometheus' text format."""
    from prometheus_client import exposition  # noqa: PLC0415

    return exposition.generate_latest(_registry()).decode()


def _registry() -> Any:
    from prometheus_client import (  # noqa: PLC0415
        CollectorRegistry,
        GCCollector,
        PlatformCollector,
        ProcessCollector,
    )

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector())
    GCCollector(registry=registry)
    PlatformCollector(registry=registry)
    ProcessCollector(registry=registry)
    return registry


# Reading. Each process answers for itself: no files that processes share, which would take
# longer to write than to count, outlive their process, and know no gauge that is read when asked.

_server: Any = None


def serve(role: str, listen: tuple[str, range] | None, *, release: str = "") -> int | None:
    """Answer Prometheus at the first free port of `listen` (None: nowhere), in a thread.

    Returns the port. Without a free one the process goes on unseen, and says so.
    """
    global _server  # noqa: PLW0603 - one for a process, which its children must let go
    if listen is None or _server is not None:
        return None
    from prometheus_client import start_http_server  # noqa: PLC0415

    host, ports = listen
    registry = _registry()
    for port in ports:
        try:
            _server = start_http_server(port, host, registry)
        except OSError:
            continue
        PROCESS.set(1, role, release)
        return port
    logger.warning("metrics_unserved", extra={"role": role})
    return None


def stop() -> None:
    """End `serve`."""
    global _server  # noqa: PLW0603
    if _server is not None:
        server, thread = _server
        server.shutdown()
        server.server_close()
        thread.join()
        _server = None


def _forked() -> None:
    """A child counts its own work from nothing, and does not hold its parent's port."""
    global _server  # noqa: PLW0603
    if _server is not None:
        _server[0].socket.close()
        _server = None
    readers.clear()
    for instrument in instruments.values():
        if isinstance(instrument, Histogram):
            for spread in instrument.values.values():
                spread.counts[:], spread.total = [0] * len(spread.counts), 0.0
        else:
            instrument.values.update(dict.fromkeys(instrument.values, 0))
    PROCESS.values.clear()


os.register_at_fork(after_in_child=_forked)
