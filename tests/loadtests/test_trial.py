"""A plateau is held when its sends are done in time, by a generator that is in time itself."""

from pathlib import Path
from unittest.mock import patch

import pytest

from loadtests.record import Phase, Record, Run, WorkerLog, read, write_run
from loadtests.trial import tried
from tests.loadtests.records import BEGAN, HERE

PLATEAU = Phase(name="100", since=1.0, until=11.0, users=10, rate=100.0)


def record(folder: Path, *, slow: int = 0, undone: int = 0, lag: float = 0.001) -> Record:
    """Ten seconds of 100 sends a second; so many of each second slow, or never done."""
    write_run(folder, Run(profile="find-max", target="x", began=BEGAN, environment=HERE))
    began = BEGAN.timestamp()
    with patch("loadtests.record.now") as clock:
        clock.return_value = began
        log = WorkerLog(folder, "worker-1", began=began)
        for second in range(1, 11):
            clock.return_value = began + second + 0.5
            log.intended("send", 100)
            log.begun("send", 100)
            for number in range(100 - undone):
                log.done("send", 0.2 if number < slow else 0.01)
            log.late(lag)
        log.close()
    return read(folder)


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        ({}, ""),
        ({"slow": 2}, "p99 of send 200 ms"),
        ({"undone": 6}, "752 of 800 sends were done"),
        ({"undone": 100}, "0 of 800 sends were done"),
        ({"lag": 0.08}, "the generator itself was late: p99 80 ms"),
    ],
)
def test_a_plateau(tmp_path: Path, faults: dict[str, float], why: str) -> None:
    trial = tried(record(tmp_path, **faults), PLATEAU, 50.0)  # type: ignore[arg-type]
    assert (trial.held, trial.why) == (not why, why)
    assert (trial.rate, trial.since, trial.until) == (100.0, 3.0, 11.0)
