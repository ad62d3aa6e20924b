"""Whole runs: one that passes, one in which a message is dropped, and those that go wrong."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from app.accounts.models import User
from dev.ports import LOOPBACK, free_port
from dev.processes import PROJECT
from loadtests.ledger import decoded
from loadtests.people import Account, Kind, write_accounts
from loadtests.record import Run
from tests.cast import PASSWORD, join
from tests.chat.talk import room
from tests.server import WebServer
from tests.shared_server import live_db, server, shared

__all__ = ["live_db", "server", "shared"]
pytestmark = pytest.mark.timeout(240)

PATIENT = """
[default]
error_share = 1
lag_p99_ms = 60000
[profile.smoke]
"""
"""A busy machine is no fault of the code: what these runs judge is correctness alone."""


class Launched:
    """One `make loadtest`; its folder is read when it has ended."""

    def __init__(self, tmp_path: Path, **given: str) -> None:
        objectives = tmp_path / "objectives.toml"
        objectives.write_text(PATIENT)
        self._runs = tmp_path / "runs"
        small = {"MEMBERS": "3", "VOICES": "0", "OFFICERS": "0", "RATE": "15", "SECONDS": "3"}
        here = {"FOLDER": str(self._runs), "OBJECTIVES": str(objectives), "MIX": "send"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "loadtests"],
            cwd=PROJECT,
            env=os.environ | small | here | given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        said, _ = self.process.communicate(timeout=200)
        return self.process.returncode, said

    @property
    def folder(self) -> Path:
        [folder] = self._runs.iterdir()
        return folder

    @property
    def record(self) -> Run:
        return msgspec.json.decode((self.folder / "run.json").read_bytes(), type=Run)

    def until(self, says: str) -> None:
        """Wait for a line with these words."""
        assert self.process.stdout
        for line in self.process.stdout:
            if says in line:
                return
        pytest.fail(f"it never said {says!r}")


@pytest.fixture
def accounts(tmp_path: Path, alice: User, bob: User, mallory: User) -> Path:
    """Four members of one conversation, who sign in with their passwords."""
    people = (alice, bob, mallory, join(alice.organization, f"dora-{uuid4().hex[:8]}"))
    room(*people)
    file = tmp_path / "accounts.json"
    write_accounts(
        file,
        [
            Account(name=f"m{number}", email=one.email, password=PASSWORD)
            for number, one in enumerate(people)
        ],
    )
    return file


def test_smoke_starts_all_that_it_needs_and_passes(tmp_path: Path) -> None:
    more = {"MEMBERS": "4", "VOICES": "2", "OFFICERS": "1", "MIX": "people"}
    launched = Launched(tmp_path, **more)
    code, said = launched.ended()
    assert code == 0, said
    ledger = launched.record.ledger
    assert ledger
    assert ledger.acknowledged > 0
    assert ledger.received > ledger.acknowledged
    assert ledger.pairs >= 1
    assert ledger.wrong == 0
    assert not launched.record.cut_short


def test_two_in_a_voice_room_hear_each_other(
    tmp_path: Path, server: WebServer, alice: User, bob: User, mallory: User
) -> None:
    talk = str(room(alice, bob, mallory).pk)
    kinds: list[tuple[User, Kind]] = [(alice, "voice"), (bob, "voice"), (mallory, "member")]
    file = tmp_path / "accounts.json"
    write_accounts(
        file,
        [
            Account(name=f"a{at}", kind=kind, email=one.email, password=PASSWORD, rooms=[talk])
            for at, (one, kind) in enumerate(kinds)
        ],
    )
    more = {"MEMBERS": "1", "VOICES": "2", "MEDIA": "aiortc", "TARGET": server.base_url}
    launched = Launched(tmp_path, ACCOUNTS=str(file), **more)
    code, said = launched.ended()
    assert code == 0, said
    ledger = launched.record.ledger
    assert ledger
    assert ledger.pairs >= 1
    assert ledger.ways >= 2
    assert ledger.frames_heard >= 100  # two seconds of one
    assert ledger.wrong == 0
    assert "Sound was sent from one to another" in (launched.folder / "report.html").read_text()


def test_a_dropped_message_is_found(tmp_path: Path, server: WebServer, accounts: Path) -> None:
    with dropping_proxy(server.port) as proxy:
        launched = Launched(tmp_path, TARGET=f"http://{LOOPBACK}:{proxy}", ACCOUNTS=str(accounts))
        code, said = launched.ended()
    ledger = launched.record.ledger
    assert code == 2, said
    assert ledger
    assert (ledger.lost, ledger.doubled, ledger.reordered, ledger.ghosts) == (1, 0, 0, 0)
    assert "never heard" in ledger.examples[0]


def test_a_run_that_is_stopped_says_so_and_has_its_record(
    tmp_path: Path, server: WebServer, accounts: Path
) -> None:
    launched = Launched(tmp_path, TARGET=server.base_url, ACCOUNTS=str(accounts), SECONDS="60")
    launched.until("users, ")
    launched.process.send_signal(signal.SIGTERM)
    code, said = launched.ended()
    assert code == 4, said
    assert launched.record.cut_short == "stopped by SIGTERM"
    assert launched.record.ended
    assert launched.record.ledger
    assert launched.record.ledger.wrong == 0


def test_a_worker_that_dies_ends_the_run_in_words(
    tmp_path: Path, server: WebServer, accounts: Path
) -> None:
    launched = Launched(tmp_path, TARGET=server.base_url, ACCOUNTS=str(accounts), SECONDS="60")
    launched.until("users, ")
    [worker] = children(launched.process.pid)
    os.kill(worker, signal.SIGKILL)
    code, said = launched.ended()
    assert code == 4, said
    assert "worker 1 ended with -9" in launched.record.cut_short
    assert launched.record.ledger is None


def test_a_worker_from_elsewhere_brings_what_it_knows(
    tmp_path: Path, server: WebServer, accounts: Path
) -> None:
    launched, bind = from_elsewhere(tmp_path, server, accounts, WORKERS="1", MEMBERS="2")
    with worker_elsewhere(bind, tmp_path, ["-c", ANOTHER_CLOCK]):
        code, said = launched.ended()
    assert code == 0, said
    assert launched.record.workers == 2
    pages = [decoded(file.read_bytes()) for file in launched.folder.glob("*.ledger.json")]
    senders = [{sender for said in page.said.values() for sender in said} for page in pages]
    assert [len(one) for one in senders] == [1, 1]
    assert senders[0] != senders[1]
    ledger = launched.record.ledger
    assert ledger
    # Who is at one worker heard what the other's user wrote, and nothing else is missing.
    assert ledger.received == 2 * ledger.acknowledged
    assert ledger.wrong == 0
    report = msgspec.json.decode((launched.folder / "report.json").read_bytes())
    done = {one["name"]: one for one in report["summary"]["operations"]}
    assert done["send"]["done"] == ledger.acknowledged
    assert done["delivery"]["done"] == ledger.received
    # The clock there is half an hour ahead, and its figures are by the master's.
    assert done["delivery"]["latency_ms"]["highest"] < 600_000


@pytest.mark.parametrize(
    ("number", "under_way"),
    [(signal.SIGKILL, "operations a second"), (signal.SIGTERM, "users, ")],
)
def test_a_worker_from_elsewhere_that_goes_ends_the_run_in_words(
    tmp_path: Path, server: WebServer, accounts: Path, number: signal.Signals, under_way: str
) -> None:
    launched, bind = from_elsewhere(tmp_path, server, accounts, WORKERS="0", SECONDS="60")
    with worker_elsewhere(bind, tmp_path) as worker:
        launched.until(under_way)
        worker.send_signal(number)
        code, said = launched.ended()
    assert code == 4, said
    assert "1 of 1 workers are gone" in launched.record.cut_short
    assert launched.record.ledger is None
    if under_way == "operations a second":
        assert (launched.folder / "worker-1.hlog").stat().st_size, "what it told is kept"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"PROFILE": "quick"}, "There is no profile 'quick'"),
        (
            {"TARGET": f"http://{LOOPBACK}:{free_port()}", "EMAILS": "a", "PASSWORD": "b"},
            "/healthz",
        ),
        ({"TARGET": "https://chat.example.org", "EMAILS": "a", "PASSWORD": "b"}, "YES=chat"),
        ({"OBJECTIVES": "/nowhere.toml"}, "/nowhere.toml cannot be read"),
        ({"WORKERS": "0"}, "There is to be a worker at least"),
        ({"REMOTE": "1"}, "BIND=host:port"),
    ],
)
def test_what_cannot_begin_says_why_and_leaves_nothing(
    tmp_path: Path, given: dict[str, str], says: str
) -> None:
    launched = Launched(tmp_path, **given)
    code, said = launched.ended()
    assert (code, says in said) == (5, True), said
    assert not list(tmp_path.glob("runs/*"))
    assert "Traceback" not in said


def from_elsewhere(
    tmp_path: Path, server: WebServer, accounts: Path, **given: str
) -> tuple[Launched, str]:
    """A run with a worker that comes by itself, and where to."""
    bind = f"{LOOPBACK}:{free_port()}"
    there = {"TARGET": server.base_url, "ACCOUNTS": str(accounts)}
    return Launched(tmp_path, REMOTE="1", BIND=bind, **there, **given), bind


WORKER = ["-m", "loadtests.worker"]
ANOTHER_CLOCK = """
import sys, time
here = time.time
time.time = lambda: here() + 1800
from loadtests.worker import main
main(sys.argv[1:])
"""


@contextlib.contextmanager
def worker_elsewhere(
    master: str, tmp_path: Path, program: Sequence[str] = WORKER
) -> Iterator[subprocess.Popen[bytes]]:
    """As somebody starts one by hand, who shares no folder with the run."""
    with (tmp_path / "elsewhere.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, *program, master],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield worker
        worker.wait(60)  # the master lets it go
    finally:
        worker.kill()
        worker.wait()


def children(pid: int) -> list[int]:
    """The processes that `pid` has started."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@contextlib.contextmanager
def dropping_proxy(port: int) -> Iterator[int]:
    """A port before `port` that makes one message unreadable to one of those who get it.

    A frame that was simply left out would be missed by the client, and asked for again.
    """
    planted = threading.Event()
    threads: list[threading.Thread] = []
    listener = socket.create_server((LOOPBACK, 0))

    def pump(source: socket.socket, sink: socket.socket, *, faulty: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if faulty and b'"t":"message.created"' in data and not planted.is_set():
                    planted.set()
                    data = data.replace(b'"body":"lt1:', b'"body":"xt1:', 1)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                upstream = socket.create_connection((LOOPBACK, port))
                for ends in ((client, upstream, False), (upstream, client, True)):
                    source, sink, faulty = ends
                    thread = threading.Thread(
                        target=pump, args=(source, sink), kwargs={"faulty": faulty}
                    )
                    thread.start()
                    threads.append(thread)
                sockets.extend((client, upstream))

    sockets: list[socket.socket] = [listener]
    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        accepting.join(10)
        for thread in threads:
            thread.join(10)
        for one in sockets:
            one.close()
