"""The open model on the real loop: what is intended does not wait for what is slow."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadtests.actor import Actor
from loadtests.engine import Engine
from loadtests.http import Answered
from loadtests.people import Account, Crowd, Person
from loadtests.record import Counts, Environment, Record, Run, WorkerLog, read, write_run
from tests.loadtests.records import BEGAN


class Stubborn(Actor):
    """Its first turn takes until it is let go; the next one is refused, the others succeed."""

    def __init__(self, person: Person) -> None:
        super().__init__(person, {"turn": 1})
        self.may_go = threading.Event()
        self.count = 0

    async def do(self, action: str, at: float) -> None:
        self.count += 1
        with self.engine.timed(action, at):
            if self.count == 1:
                while not self.may_go.is_set():
                    await asyncio.sleep(0.01)
            if self.count == 2:
                raise Answered(429, "slowly")


class Stage:
    """An engine with one user, and what it has booked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ended = folder, False
        here = Environment(cpu="", cores=1, memory_bytes=0, kernel="")
        write_run(folder, Run(profile="x", target="x", began=BEGAN, environment=here))
        self.log = WorkerLog(folder, "worker-1", began=BEGAN.timestamp())
        self.engine = Engine(self.log, "run")
        crowd = Crowd([Account(name="m0", refresh="r")], "http://x", ["http://x"], local=True)
        self.actor = Stubborn(Person(self.engine, crowd, crowd.take("member")))

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def booked(self) -> Counts:
        """All that was booked of turns; the engine ends."""
        record = self.record()
        turns = [one for one in record.counts if one.operation == "turn"]
        return Counts(
            second=0,
            operation="turn",
            intended=sum(one.intended for one in turns),
            begun=sum(one.begun for one in turns),
            done=sum(one.done for one in turns),
            refused={code: n for one in turns for code, n in one.refused.items()},
        )

    def record(self) -> Record:
        self.end()
        return read(self.folder)

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self.engine.close()
            self.log.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    try:
        yield made
    finally:
        made.actor.may_go.set()
        made.end()


def test_turns_are_intended_while_one_is_stuck_and_counted_from_then(stage: Stage) -> None:
    stage.engine.begin(stage.actor.take_turns)
    stage.engine.pace({"member": 100.0})
    due = stage.actor._due
    stage.until(lambda: due.qsize() >= 20)
    assert stage.actor.count == 1
    waiting = due.qsize()
    stage.actor.may_go.set()
    stage.until(lambda: stage.actor.count > waiting)
    assert stage.engine.outcomes[0].seconds > stage.engine.outcomes[5].seconds > 0
    assert isinstance(stage.engine.outcomes[1].error, Answered)
    booked = stage.booked()
    assert booked.intended >= booked.begun >= waiting
    assert booked.begun - booked.done in {1, 2}  # refused, or still under way
    assert booked.refused == {"429": 1}


def test_at_no_rate_what_was_not_begun_is_forgotten(stage: Stage) -> None:
    stage.engine.begin(stage.actor.take_turns)
    stage.engine.pace({"member": 100.0})
    stage.until(lambda: stage.actor._due.qsize() >= 20)
    stage.engine.pace({"member": 0.0})
    stage.until(lambda: not any(stage.engine.rates.values()))
    stage.actor.may_go.set()
    stage.until(lambda: stage.actor._due.qsize() == 0)
    assert stage.actor.count <= 2  # one may have become due at that very moment
    assert stage.booked().intended >= 20


def test_a_user_that_cannot_live_is_not_passed_over(stage: Stage) -> None:
    async def fall() -> None:
        raise RuntimeError("nobody let me in")

    stage.engine.begin(fall)
    stage.until(lambda: bool(stage.engine.failure))
    assert stage.engine.failure == "RuntimeError: nobody let me in"


def test_the_loop_notices_its_own_lateness(stage: Stage) -> None:
    async def hold_the_loop() -> None:
        time.sleep(0.5)

    stage.engine.ask(hold_the_loop)
    lag = stage.record().histogram("generator-lag")
    assert lag.get_max_value() > 300_000
