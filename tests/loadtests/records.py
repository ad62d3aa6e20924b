"""Makes the records of runs that never took place, each as a real one would have written it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from unittest.mock import patch

from loadtests.record import (
    Environment,
    Fault,
    Ledger,
    Phase,
    Postgres,
    Process,
    Redis,
    ResourceLog,
    Resources,
    Run,
    Trial,
    WorkerLog,
    write_run,
)

BEGAN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
HERE = Environment(
    cpu="Intel(R) Xeon(R) Processor @ 2.50GHz",
    cores=2,
    memory_bytes=8 << 30,
    kernel="6.1.0-18-amd64",
    versions={"python": "3.11.7", "postgresql": "18.6", "redis": "7.0.15", "parley": "8c1d3cf"},
)
GOOD = Ledger(acknowledged=200, received=4000)
KINDS = {"gateway-1": "gateway", "web-1": "web", "postgres": "postgres", "generator-1": "generator"}


@dataclass(frozen=True, kw_only=True)
class Made:
    """A run as it is to look. `latency_ms`: the median of each operation; it rises to tenfold
    above `knee` sends a second. `growth`: MiB an hour of each process by its name."""

    profile: str = "smoke"
    phases: list[Phase] = field(
        default_factory=lambda: [Phase(name="steady", since=0, until=20, users=20, rate=10.0)]
    )
    latency_ms: Mapping[str, float] = field(
        default_factory=lambda: {"send": 4.0, "delivery": 6.0, "search": 12.0}
    )
    lag_ms: float = 0.4
    failed_share: float = 0.0
    growth: Mapping[str, float] = field(default_factory=dict)
    knee: float = math.inf
    faults: list[Fault] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    ledger: Ledger | None = GOOD
    environment: Environment = HERE
    cut_short: str = ""
    audience: int = 3
    resources_every: int = 1

    def write(self, folder: Path, seed: int = 7) -> Path:
        """Write it and return the folder."""
        folder.mkdir(exist_ok=True)
        end = max((phase.until or 0.0 for phase in self.phases), default=0.0)
        write_run(
            folder,
            Run(
                profile=self.profile,
                target="this machine",
                began=BEGAN,
                ended=BEGAN + timedelta(seconds=end),
                cut_short=self.cut_short,
                rate_unit="sends a second",
                environment=self.environment,
                phases=self.phases,
                faults=self.faults,
                trials=self.trials,
                ledger=self.ledger,
            ),
        )
        self._worker(folder, Random(seed))
        self._resources(folder, int(end))
        return folder

    def _worker(self, folder: Path, draw: Random) -> None:
        began = BEGAN.timestamp()
        now = began
        with patch("loadtests.record.now", lambda: now):
            log = WorkerLog(folder, "worker-1", began=began)
            for phase in self.phases:
                for second in range(int(phase.since), int(phase.until or 0)):
                    now = began + second
                    self._second(log, draw, phase.rate)
                    log.flush()
            log.close()

    def _second(self, log: WorkerLog, draw: Random, rate: float) -> None:
        for name, median in self.latency_ms.items():
            times = rate * {"delivery": self.audience, "search": 0.2}.get(name, 1)
            bent = 1 + 9 / (1 + math.exp(12 * (1 - rate / self.knee))) if self.knee < 1e9 else 1
            for _ in range(round(times)):
                log.intended(name)
                log.begun(name)
                if draw.random() < self.failed_share:
                    log.failed(name, "timeout")
                else:
                    log.done(name, draw.lognormvariate(math.log(median * bent / 1000), 0.5))
        log.late(draw.expovariate(4.6 / (self.lag_ms / 1000)))

    def _resources(self, folder: Path, end: int) -> None:
        log = ResourceLog(folder)
        for second in range(0, end, self.resources_every):
            processes = [
                Process(
                    name=name,
                    kind=kind,
                    cpu_seconds=second * (0.2 + 0.1 * number),
                    memory_bytes=int((60 + self.growth.get(name, 0.0) * second / 3600) * (1 << 20)),
                    files=40,
                )
                for number, (name, kind) in enumerate(KINDS.items())
            ]
            log.write(
                Resources(
                    second=second,
                    processes=processes,
                    postgres=Postgres(
                        connections=14, transactions=120 * second, wal_bytes=90_000 * second
                    ),
                    redis=Redis(commands=300 * second, memory_bytes=2_500_000, clients=6),
                    sockets=20 + second % 3,
                )
            )
        log.close()


def steps(seconds: int = 20) -> Made:
    """A ramp of six steps, with a fault in it, beyond its knee at the end."""
    return Made(
        profile="steps",
        phases=[
            Phase(
                name=f"step {n}",
                since=seconds * (n - 1),
                until=seconds * n,
                users=20 * n,
                rate=15.0 * n,
            )
            for n in range(1, 7)
        ],
        knee=70.0,
        faults=[Fault(name="Redis restarted", since=2.6 * seconds, until=2.8 * seconds)],
    )


def find_max(seconds: int = 12) -> Made:
    """Trials that bend between 60 and 70 sends a second, and the two that confirm 60."""
    rates = [20, 40, 80, 60, 70, 60, 60]
    trials = [
        Trial(
            rate=rate,
            held=rate <= 60,
            p99_ms=12 + rate / 4 if rate <= 60 else 30 + 3 * rate,
            since=seconds * n,
            until=seconds * (n + 1),
            why="" if rate <= 60 else "p99 of send above 50 ms",
        )
        for n, rate in enumerate(rates)
    ]
    return Made(
        profile="find-max",
        phases=[
            Phase(name=f"trial {n + 1}", since=t.since, until=t.until, users=30, rate=t.rate)
            for n, t in enumerate(trials)
        ],
        trials=trials,
        knee=75.0,
    )
