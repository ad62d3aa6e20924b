"""What a run comes to: the document that `report.json` is, and that pages, comparisons and the
capacity model are made from. Latencies in milliseconds, memory in MiB, times in seconds of the
run, rates a second. `python -m loadtests.summary` prints its JSON schema."""

import json
from datetime import datetime

import msgspec
from msgspec import Struct

from loadtests.knee import Knee
from loadtests.record import Environment, Fault, Ledger, Trial

FORMAT = 1


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Latencies(_Part, frozen=True, kw_only=True):
    p50: float
    p90: float
    p99: float
    p999: float
    highest: float


class Operation(_Part, frozen=True, kw_only=True):
    """In the measured phases. `error_share`: of those begun, refused or failed."""

    name: str
    intended: int
    begun: int
    done: int
    refused: dict[str, int]
    failed: dict[str, int]
    error_share: float
    rate: float
    latency_ms: Latencies | None


class PhaseFigures(_Part, frozen=True, kw_only=True):
    """`rate` is what was intended. `measured`: whether objectives look at it."""

    name: str
    since: float
    until: float
    users: int
    rate: float
    measured: bool
    lag_ms: Latencies | None
    operations: list[Operation]


class ProcessFigures(_Part, frozen=True, kw_only=True):
    """`cores` is CPU time by the clock, over the run. The slope is of the measured phases, with
    the bounds that it has with 90 %; `settling`: it became less steep."""

    name: str
    kind: str
    cpu_seconds: float
    cores: float
    highest_mib: float
    most_files: int
    mib_per_hour: float | None
    mib_per_hour_lowest: float | None
    mib_per_hour_highest: float | None
    settling: bool


class Lines(_Part, frozen=True, kw_only=True):
    """One operation over time; None where nothing ended in that bin."""

    rate: list[float]
    p50: list[float | None]
    p99: list[float | None]
    p999: list[float | None]


class Usage(_Part, frozen=True, kw_only=True):
    """One process over time; None where it was not seen."""

    cores: list[float | None]
    mib: list[float | None]


class Timeline(_Part, frozen=True, kw_only=True):
    """`starts` are the bins, each `width` long; every list has one value a bin. `gauges` are of
    PostgreSQL, Redis and the sockets, by what a person calls them."""

    width: float
    starts: list[float]
    operations: dict[str, Lines]
    errors: list[float]
    lag_p99: list[float | None]
    processes: dict[str, Usage]
    gauges: dict[str, list[float | None]]


class Point(_Part, frozen=True, kw_only=True):
    """Throughput against latency: of a trial, a phase or a bin of the leading operation."""

    rate: float
    p99_ms: float
    held: bool
    since: float


class AtKnee(_Part, frozen=True, kw_only=True):
    """What was going on while the knee's rate was held, for the capacity model: rates a second,
    all gateways together; their memory before anybody came and at its highest."""

    sends: float
    deliveries: float
    users: int
    gateways: int
    gateway_cores: float
    postgres_cores: float
    gateway_mib_idle: float
    gateway_mib: float


class Summary(_Part, frozen=True, kw_only=True):
    format: int = FORMAT
    profile: str
    target: str
    began: datetime
    seconds: float
    cut_short: list[str]
    rate_unit: str
    remarks: list[str]
    environment: Environment
    leading: str
    operations: list[Operation]
    phases: list[PhaseFigures]
    faults: list[Fault]
    trials: list[Trial]
    knee: Knee | None
    at_knee: AtKnee | None
    points: list[Point]
    lag_ms: Latencies | None
    ledger: Ledger | None
    processes: list[ProcessFigures]
    timeline: Timeline


if __name__ == "__main__":
    print(json.dumps(msgspec.json.schema(Summary), indent=2))
