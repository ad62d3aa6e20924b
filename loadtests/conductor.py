"""locust's master: starts workers, leads them through the phases, and collects what they know.

In one process with the house, whose faults belong to phases. Everything waits with gevent here,
and nothing of the standard library is patched.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from dataclasses import replace as dataclass_replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import gevent
from locust import User
from locust.argument_parser import get_parser
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner
from locust.stats import stats_history
from locust.web import WebUI
from msgspec import convert
from msgspec.structs import replace

from dev.errors import SetupProblem
from dev.ports import LOOPBACK, free_port
from dev.privileges import dying_with_parent
from dev.processes import ServerProcess
from loadtests import ledger
from loadtests.clock import now
from loadtests.faults import GRANTED_SECONDS, LOSES_LEASES, OF_HOUSE, OF_USERS, lease_gaps
from loadtests.house import House
from loadtests.locustfile import USERS
from loadtests.orders import Order
from loadtests.people import KINDS
from loadtests.post import Inbox
from loadtests.profiles import SETTLE_SECONDS, BadProfile, Profile, Size, Step, step, whole
from loadtests.record import Fault, Ledger, Phase, Run, Unreadable, read, write_run
from loadtests.search import Search
from loadtests.trial import tried
from loadtests.worker import command

if TYPE_CHECKING:
    from loadtests.run import Interruption

START_SECONDS = 30.0
ELSEWHERE_SECONDS = 300.0  # a worker looks for its master for as long
REST_SECONDS = 2.5
ARRIVE_SECONDS = 120.0
SPAWN_A_SECOND = 50.0
PROGRESS_SECONDS = 5.0
VOICE_RATE = 1 / 8  # turns a second of one participant of a voice room
OFFICER_RATE = 1 / 4


@dataclass(frozen=True, slots=True)
class Crew:
    """How many workers: started here, and elsewhere, who come to `bind` by themselves."""

    here: int
    elsewhere: int
    bind: tuple[str, int]

    @property
    def all(self) -> int:
        return self.here + self.elsewhere

    @classmethod
    def chosen(cls, given: Mapping[str, str]) -> "Crew":
        """What WORKERS, REMOTE and BIND=host:port say. Raises BadProfile."""
        here = whole("WORKERS", given.get("WORKERS") or "1")
        elsewhere = whole("REMOTE", given.get("REMOTE") or "0")
        host, _, port = (given.get("BIND") or f"{LOOPBACK}:0").rpartition(":")
        if here + elsewhere == 0 or (elsewhere and not given.get("BIND")):
            raise BadProfile(
                "There is to be a worker at least; those of REMOTE need BIND=host:port."
            )
        return cls(here, elsewhere, (host, whole("BIND", port) or free_port()))


Restored = TypeVar("Restored")


class CutShort(Exception):
    """The run ends before its profile does; says why."""


class Conductor:
    """One run. `record` is kept in the folder's run.json from the first phase on."""

    def __init__(  # noqa: PLR0917 - one caller, which has them all
        self,
        folder: Path,
        record: Run,
        crew: Crew,
        size: Size,
        house: House | None,
        interruption: "Interruption",
    ) -> None:
        self.folder, self.record = folder, record
        self._interruption, self._crew, self._count = interruption, crew, crew.all
        self._workers: list[ServerProcess] = []
        self._numbers: dict[str, int] = {}  # of workers, by locust's names for them
        self._staged: set[str] = set()
        self._finished: dict[str, str] = {}
        self._inbox = Inbox(folder)
        self._house = house
        self._environment = Environment(user_classes=_classes(size), host=record.target)
        self._runner: MasterRunner
        self._leaving, self._stopped, self._broken = False, "", ""
        self._reports: dict[str, dict[str, Any]] = {}  # the last of each worker
        events: Any = self._environment.events
        events.test_stopping.add_listener(self._on_stopping)
        events.worker_report.add_listener(self._on_report)
        self.write()

    def pids(self) -> list[int]:
        """Of the generator: this process and its workers."""
        return [os.getpid(), *(one.pid for one in self._workers if one.exit_code() is None)]

    @contextmanager
    def staged(self, order: Order, *, page: int = 0) -> Iterator[None]:
        """Workers are there and know their part within. Raises CutShort.

        locust's own page, for whoever wants to look on, is at the port `page` of this machine.
        """
        self._runner = self._environment.create_master_runner(*self._crew.bind)
        self._runner.register_message("ready", self._on_ready)
        self._runner.register_message("clock", self._on_clock)
        self._runner.register_message("staged", self._on_staged)
        self._runner.register_message("finished", self._on_finished)
        web = self._page(page) if page else None
        try:
            self._workers = [self._worker(number) for number in range(self._crew.here)]
            self._meet_workers()
            for client, number in self._numbers.items():
                part = dataclass_replace(order, number=number)
                self._runner.send_message("order", asdict(part), client)
            self._wait(lambda: len(self._staged) == self._count, "workers to learn their part")
            yield
        finally:
            self._leaving = True
            self._runner.quit()
            for worker in self._workers:
                worker.stop(grace=5)
            if web:
                web.stop()  # type: ignore[no-untyped-call]

    def gather(self, first: Step) -> None:
        """Let all users come who are there in the first phase. Raises CutShort."""
        self._begin("arrive", first.users, 0)
        self._pace(0, 0)
        self._runner.start(first.users, SPAWN_A_SECOND)
        wanted, end = first.members + first.voices, time.monotonic() + ARRIVE_SECONDS
        while (here := self._sockets()) < wanted:
            if time.monotonic() > end:
                raise CutShort(
                    f"{here} of {wanted} users had connected after {ARRIVE_SECONDS:.0f} s"
                )
            self._sleep(0.2)
        self._end()

    def play(self, step: Step) -> Phase:
        """Lead all through one phase. Raises CutShort."""
        self._begin(step.name, step.users, step.rate)
        self._pace(step.rate / step.members if step.members else 0, 1)
        if not step.fault:
            self._sleep(step.seconds)
        else:
            self._suffer(step)
        return self._end()

    def search(self, profile: Profile) -> None:
        """Look for the highest rate that is held. Raises CutShort."""
        search = Search(profile.size.rate, profile.size.most)
        while rate := search.next():
            plateau = self.play(step(profile.size, f"{rate:g}", part=rate / profile.size.rate))
            self.rest()
            self._wait(partial(self._told, plateau), "what workers measured")
            trial = tried(read(self.folder), plateau, profile.size.hold_ms)
            self.write(trials=[*self.record.trials, trial])
            self._say(f"  {rate:g} {'held' if trial.held else trial.why}")
            search.tell(held=trial.held)

    def rest(self) -> None:
        """Between two trials: nobody begins anything, and what was not begun is forgotten."""
        self._pace(0, 0)
        self._sleep(REST_SECONDS)

    def settle(self) -> None:
        """Nobody begins anything: what is under way arrives."""
        self._begin("settle", self._runner.user_count, 0)
        self._pace(0, 0)
        self._sleep(SETTLE_SECONDS, patient=True)
        self._end()

    def finish(self) -> None:
        """Let the workers write what they know, and judge it. Raises CutShort."""
        self._runner.send_message("finish", {})
        self._wait(lambda: len(self._finished) == self._count, "what workers know", patient=True)
        if failures := [failure for failure in self._finished.values() if failure]:
            raise CutShort(f"a user could not live: {failures[0]}")
        pages = [ledger.decoded(path.read_bytes()) for path in self.folder.glob("*.ledger.json")]
        began = self.record.began.timestamp()
        outages = [
            (began + fault.since, began + max(fault.until or 0.0, fault.since + GRANTED_SECONDS))
            for fault in self.record.faults
            if fault.name == LOSES_LEASES
        ]
        if self._house:
            gaps = lease_gaps(read(self.folder).resources)
            outages += [(began + since, began + until) for since, until in gaps]
        found = ledger.judge(pages, sorted(outages))
        self.write(ledger=convert(found, Ledger, from_attributes=True))

    def cut(self, why: str) -> None:
        """Note that the run is not whole."""
        print(f"Cut short: {why}", file=sys.stderr, flush=True)
        self.write(cut_short=self.record.cut_short or why)

    def write(self, **changes: Any) -> None:
        self.record = replace(self.record, **changes)
        write_run(self.folder, self.record)

    # Inside.

    def _meet_workers(self) -> None:
        host, port = self._crew.bind
        seconds = START_SECONDS
        if self._crew.elsewhere:
            seconds = ELSEWHERE_SECONDS
            self._say(
                f"{self._crew.elsewhere} workers are to come: python -m loadtests.worker"
                f" {host}:{port}"
            )
        self._wait(lambda: len(self._numbers) == self._count, "workers to start", seconds=seconds)

    @property
    def _seconds(self) -> float:
        return now() - self.record.began.timestamp()

    def _suffer(self, step: Step) -> None:
        """A phase with a fault: it begins after a second, and ends in the middle."""
        self._sleep(1)
        fault, half = Fault(name=step.fault, since=self._seconds), step.seconds / 2
        self._say(f"  {step.fault}")
        ending: Callable[[], None] | None = None
        if what := OF_USERS.get(step.fault):
            self._runner.send_message("happening", {"what": what, "seconds": half})
        elif self._house:
            self._house.on_serving = self._tell_serving
            ending = self._restored(partial(OF_HOUSE[step.fault], self._house))
        self._sleep(half)
        if ending:
            self._restored(ending)
        self.write(faults=[*self.record.faults, replace(fault, until=self._seconds)])
        self._sleep(half - 1)

    def _tell_serving(self, gateways: list[str]) -> None:
        self._runner.send_message("serving", {"gateways": gateways})

    @staticmethod
    def _restored(work: Callable[[], Restored]) -> Restored:
        """Do something to the house. Raises CutShort where it does not stand up again."""
        try:
            return work()
        except SetupProblem as problem:
            raise CutShort(str(problem)) from None

    def _pace(self, members: float, others: float) -> None:
        rates = {"member": members, "voice": VOICE_RATE * others, "officer": OFFICER_RATE * others}
        self._runner.send_message("pace", rates)

    def _begin(self, name: str, users: int, rate: float) -> None:
        phase = Phase(name=name, since=self._seconds, users=users, rate=rate)
        self.write(phases=[*self.record.phases, phase])
        self._say(f"{name}: {users} users, {rate:g} {self.record.rate_unit}")

    def _end(self) -> Phase:
        *before, last = self.record.phases
        last = replace(last, until=self._seconds)
        self.write(phases=[*before, last])
        return last

    def _say(self, text: str) -> None:
        print(f"{self._seconds:6.0f} s  {text}", flush=True)

    def _progress(self) -> None:
        total, send = self._environment.stats.total, self._environment.stats.get("send", "socket")
        median, p99 = (send.get_current_response_time_percentile(part) for part in (0.5, 0.99))
        self._say(
            f"  {self._runner.user_count} users, {total.current_rps:.0f} operations a second,"
            f" {total.num_failures} refused or failed"
            f", send p50 {median or 0:.0f} ms, p99 {p99 or 0:.0f} ms"
        )

    def _page(self, port: int) -> WebUI:
        self._environment.parsed_options = get_parser(default_config_files=[]).parse_args([])
        gevent.spawn(stats_history, self._runner)  # what its charts are made of
        self._say(f"locust's page: http://localhost:{port}")
        return self._environment.create_web_ui(LOOPBACK, port)

    def _worker(self, number: int) -> ServerProcess:
        return ServerProcess(
            f"worker {number + 1}",
            dying_with_parent(command(*self._crew.bind), on_parent_death="KILL"),
            log=self.folder / f"process-{number + 1}.log",
            environment=os.environ,
        )

    def _sleep(self, seconds: float, *, patient: bool = False) -> None:
        end, told = time.monotonic() + seconds, time.monotonic()
        while (left := end - time.monotonic()) > 0:
            gevent.sleep(min(left, 0.25))
            self._check(patient)
            if time.monotonic() - told > PROGRESS_SECONDS:
                told += PROGRESS_SECONDS
                self._progress()

    def _wait(
        self,
        true: Callable[[], bool],
        what: str,
        *,
        seconds: float = START_SECONDS,
        patient: bool = False,
    ) -> None:
        end = time.monotonic() + seconds
        while not true():
            gevent.sleep(0.05)
            self._check(patient)
            if time.monotonic() > end:
                raise CutShort(f"waited {seconds:.0f} s for {what}")

    def _check(self, patient: bool) -> None:
        """Raise CutShort if a worker has died, or (unless `patient`) somebody wants us to stop."""
        for worker in self._workers:
            if (code := worker.exit_code()) is not None:
                raise CutShort(f"{worker.name} ended with {code}:\n{worker.last_words()}")
        here = {one.id for one in self._runner.clients.all if one.state != STATE_MISSING}
        if gone := len(self._numbers.keys() - here):
            raise CutShort(f"{gone} of {len(self._numbers)} workers are gone, or do not answer")
        if self._broken:
            raise CutShort(self._broken)
        if (reason := self._interruption.reason or self._stopped) and not patient:
            raise CutShort(reason)

    def _on_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        self._reports[client_id] = data
        self._take(data.get("pieces", {}))

    def _take(self, pieces: dict[str, Any]) -> None:
        try:
            self._inbox.take(pieces)
        except (Unreadable, OSError) as problem:
            self._broken = str(problem)

    def _sockets(self) -> int:
        return sum(report.get("sockets", 0) for report in self._reports.values())

    def _told(self, phase: Phase) -> bool:
        """Whether all that workers measured in a phase is here."""
        return all(one.get("told", 0.0) >= (phase.until or 0.0) for one in self._reports.values())

    def _on_stopping(self, **_: Any) -> None:
        if not self._leaving:
            self._stopped = "stopped on locust's page"

    def _on_ready(self, msg: Any, **_: Any) -> None:
        if len(self._numbers) < self._count:
            self._numbers[msg.node_id] = len(self._numbers)
        else:  # locust would give users to it, and nobody counts on what it knows
            self._runner.send_message("quit", client_id=msg.node_id)

    def _on_clock(self, msg: Any, **_: Any) -> None:
        said = {"asked": msg.data["asked"], "said": now()}
        self._runner.send_message("clock", said, msg.node_id)

    def _on_staged(self, msg: Any, **_: Any) -> None:
        self._staged.add(msg.node_id)

    def _on_finished(self, msg: Any, **_: Any) -> None:
        self._take(msg.data["pieces"])
        self._finished[msg.node_id] = msg.data["failure"]


def _classes(size: Size) -> list[type[User]]:
    """The users that there are; how many of which is fixed, members excepted."""
    USERS["voice"].fixed_count, USERS["officer"].fixed_count = size.voices, size.officers
    counts = {"member": size.members, "voice": size.voices, "officer": size.officers}
    return [USERS[kind] for kind in KINDS if counts[kind]]
