"""`make run` as a person meets it: real processes in a state folder of the test's own.

The tests of this module build on one another's data, as runs do.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from dev.ports import LOOPBACK, free_port
from dev.state import PROJECT, read_env

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.timeout(240)]
READY = 90


class Running:
    """A run that is under way."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"http://localhost:{port}"
        self.log = log

    def wait_until_ready(self) -> None:
        _wait(lambda: f"{self.url}\n" in self.log.read_text(), READY, self.log)
        assert self.answers()

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def children(self, state: Path) -> list[int]:
        return [int(line.split()[0]) for line in (state / "processes").read_text().splitlines()]

    def child(self, state: Path, name: str) -> int:
        lines = (state / "processes").read_text().splitlines()
        return next(int(line.split()[0]) for line in lines if line.endswith(f" {name}"))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@contextmanager
def _run(state: Path, command: list[str] | None = None, port: int = 0) -> Iterator[Running]:
    port = port or free_port()
    # Not the services of the suite: what a person's environment holds.
    ours = {"DATABASE_URL", "REDIS_URL", "KEY_ENCRYPTION_KEY_FILE", "SEALER_SIGNING_KEY_FILE",
            "DJANGO_SETTINGS_MODULE", "DATABASE_ROLE", "OWNER_DATABASE_URL",
            "SEALER_DATABASE_URL"}  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"STATE_DIR": str(state), "PORT": str(port)}
    log = state / f"run-{time.monotonic_ns()}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command or [sys.executable, "-m", "dev", "run"],
            cwd=PROJECT, env=environment, stdout=output, stderr=output, text=True,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield Running(process, port, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _wait(condition: Callable[[], bool], seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _alive(pids: list[int]) -> list[int]:
    def runs(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    return [pid for pid in pids if runs(pid)]


def _organizations(state: Path) -> list[str]:
    with psycopg2.connect(read_env(state / "env")["DATABASE_URL"]) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT id FROM accounts_organization ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


def test_it_says_when_it_is_ready_restarts_what_ends_and_its_next_run_has_the_data(
    state: Path,
) -> None:
    with _run(state) as run:
        run.wait_until_ready()
        children = run.children(state)
        assert len(_alive(children)) == len(children) >= 6
        said = run.log.read_text()
        assert "Demonstration sign-ins" in said
        assert "Ctrl-C stops everything" in said
        assert "Traceback" not in said

        os.kill(run.child(state, "web"), signal.SIGKILL)
        _wait(lambda: "web ended (signal SIGKILL)" in run.log.read_text(), 10, run.log)
        _wait(run.answers, 30, run.log)

        before = _organizations(state)
        assert len(before) > 0
        children = run.children(state)
        run.process.kill()
        run.process.wait(5)
    # At once, on the same port: what is still closing must not be in the way.
    with _run(state, port=run.port) as again:
        again.wait_until_ready()
        assert _alive(children) == []
        assert _organizations(state) == before
        assert "Demonstration sign-ins" in again.log.read_text()
        children = again.children(state)
        again.process.send_signal(signal.SIGINT)
        assert again.process.wait(40) == 0
        assert _alive(children) == []


def test_when_make_is_killed_everything_stops_in_good_order(state: Path) -> None:
    with _run(state, ["make", f"PYTHON={sys.executable}", "run"]) as run:
        run.wait_until_ready()
        children = run.children(state)
        run.process.kill()
        _wait(lambda: not _alive(children), 40, run.log)
        # By the SIGTERM that the supervisor then got.
        assert "stopping …" in run.log.read_text()


def test_a_port_that_is_in_use_is_said_in_a_sentence(state: Path) -> None:
    with socket.socket() as occupant:
        occupant.bind((LOOPBACK, 0))
        occupant.listen()
        port = occupant.getsockname()[1]
        with _run(state, port=port) as run:
            assert run.process.wait(30) == 1
        said = run.log.read_text()
    assert f"Port {port} is in use by another program" in said
    assert f"make PORT={port + 1} run" in said
    assert "Traceback" not in said
