"""`make run`: everything that Parley is, on this machine, until it is told to stop."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from app import start
from dev import redis_server
from dev.errors import SetupProblem
from dev.leftovers import Roll
from dev.ports import LOOPBACK, free_port, is_taken
from dev.postgresql import Cluster
from dev.privileges import dying_with_parent
from dev.roles import LOGINS, Passwords, create_database, create_roles
from dev.services import scheduler_command, web_command, worker_command
from dev.state import PROJECT, STATE, State, read_env, write_env
from dev.supervisor import Child, Supervisor, Terminal

DATABASE = "parley"
_LOG_LIMIT = 5_000_000


class StopRequested(BaseException):
    """Ctrl-C, SIGTERM, or a terminal that was closed."""


class Run:
    """One run of the whole stack."""

    def __init__(self) -> None:
        self.state = State(Path(os.environ.get("STATE_DIR") or STATE))
        self.port = _wanted_port()
        self.terminal = Terminal()
        self.roll = Roll(self.state.file("processes"))
        self.supervisor = Supervisor(self.terminal, self.roll)
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "app.settings.dev",
            "STATE_DIR": str(self.state.folder),
        }

    def __call__(self) -> int:
        """Run until a signal. Returns the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _request_stop)
        began = time.monotonic()
        try:
            self._prepare()
            self._start_services()
            sign_ins = self._fill_database()
            self._start_parley()
            self._greet(sign_ins, time.monotonic() - began)
            broken = self.supervisor.watch()
            self.terminal.say(f"stopping, because {broken} cannot be kept running")
            return 1
        except StopRequested:
            self.terminal.say("stopping …")
            return 0
        finally:
            _ignore_signals()
            self.supervisor.stop()

    def _prepare(self) -> None:
        self.state.open()
        self.state.announce(f"process {os.getpid()}, http://localhost:{self.port}")
        if names := self.roll.end_leftovers():
            self.terminal.say(f"ended what an earlier run left behind: {', '.join(names)}")
        if is_taken(self.port):
            raise SetupProblem(
                f"Port {self.port} is in use by another program."
                f" Take another one: make PORT={self.port + 1} run"
            )

    def _start_services(self) -> None:
        shared = self.state.secrets() | {
            "ALLOWED_HOSTS": "localhost,127.0.0.1",
            "KEY_ENCRYPTION_KEY_FILE": str(self.state.key_file("key-encryption.key")),
        }
        own = {"SEALER_SIGNING_KEY_FILE": str(self.state.key_file("sealer-signing.key"))}
        shared["REDIS_URL"] = os.environ.get("REDIS_URL") or self._start_redis()
        # Given addresses win over these files by being in the environment of every process.
        urls = {} if os.environ.get("DATABASE_URL") else self._start_postgresql()
        shared |= {"DATABASE_URL": urls["app"]} if urls else {}
        owner = {"OWNER_DATABASE_URL": urls["owner"]} if urls else {}
        own |= {"SEALER_DATABASE_URL": urls["sealer"]} if urls else {}
        write_env(self.state.file("env"), shared)
        write_env(self.state.file("env.owner"), owner)
        write_env(self.state.file("env.sealer"), own)

    def _start_postgresql(self) -> dict[str, str]:
        cluster = Cluster(self.state.file("postgresql"))
        if not cluster.exists:
            self.terminal.say(f"making a PostgreSQL cluster in {cluster.data} …")
            cluster.create()
        cluster.forget_a_dead_postmaster()
        cluster.port = free_port()
        child = Child("postgresql", cluster.command(), stop_signal=signal.SIGINT, grace=30)
        child.log = _log(cluster.folder / "postgresql.log")
        self.supervisor.start(child)
        self._wait(cluster.answers, "PostgreSQL", child.log, seconds=120)
        passwords = self._passwords()
        create_roles(cluster.url(), passwords)
        create_database(cluster.url(), DATABASE)
        secret = passwords.as_dict()
        return {kind: cluster.url(DATABASE, LOGINS[kind], secret[kind]) for kind in LOGINS}

    def _passwords(self) -> Passwords:
        path = self.state.file("postgresql/roles")
        if not path.exists():
            write_env(path, Passwords.fresh().as_dict())
        return Passwords(**read_env(path))

    def _start_redis(self) -> str:
        port = free_port()
        server = redis_server.RedisServer(self.state.file("redis"), port=port)
        server.folder.mkdir(mode=0o700, exist_ok=True)
        child = Child("redis", server.command(port), log=_log(server.folder / "redis.log"))
        self.supervisor.start(child)
        self._wait(lambda: redis_server.answers(port), "Redis", child.log, seconds=30)
        return server.url

    def _fill_database(self) -> str:
        """Migrate, and seed an empty database. Returns the demonstration sign-ins, if any."""
        self._manage("migrate", "--no-input", "--verbosity", "0")
        return self._manage("seed_demo").strip()

    def _start_parley(self) -> None:
        python = sys.executable
        notes = self.state.file("schedule")
        for name, command in {
            "sealer": start.command(["sealer"], {}),
            "worker": worker_command(python),
            "scheduler": scheduler_command(python, notes),
            "web": web_command(python, self.port),
        }.items():
            # They are made to bear SIGKILL, and must not outlive us.
            mortal = dying_with_parent(command, on_parent_death="KILL")
            self.supervisor.start(Child(name, mortal, self.environment))
        self._wait(self._web_answers, "the web process", None, seconds=60)

    def _greet(self, sign_ins: str, seconds: float) -> None:
        lines = [f"ready after {seconds:.0f} s: http://localhost:{self.port}"]
        if sign_ins:
            lines += ["", sign_ins, ""]
        self.terminal.say("\n".join([*lines, "Ctrl-C stops everything; the data stays."]))

    def _manage(self, *arguments: str) -> str:
        """Run a command of manage.py to its end, and return what it says."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            dying_with_parent(command, on_parent_death="KILL"),
            cwd=PROJECT,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise SetupProblem(f"`manage.py {' '.join(arguments)}` failed:\n{said}")
        return done.stdout

    def _wait(
        self, ready: Callable[[], bool], what: str, log: Path | None, *, seconds: float
    ) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            try:
                self.supervisor.check()
                if time.monotonic() > deadline:
                    raise SetupProblem(f"{what} was not ready within {seconds:.0f} s.")
            except SetupProblem as problem:
                raise SetupProblem(f"{problem}{_last_words(log)}") from None
            time.sleep(0.05)

    def _web_answers(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://{LOOPBACK}:{self.port}/healthz", timeout=5
            ) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _wanted_port(environment: Mapping[str, str] = os.environ) -> int:
    given = environment.get("PORT") or "8000"
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise SetupProblem(f"PORT must be a number from 1 to 65535, not {given!r}.")
    return int(given)


def _request_stop(number: int, frame: FrameType | None) -> None:
    # From here on the ending is under way: it must not be interrupted by the next signal.
    _ignore_signals()
    raise StopRequested


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _log(path: Path) -> Path:
    """A log of bounded size over many runs: at most this one and the one before."""
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_suffix(".log.1"))
    return path


def _last_words(log: Path | None) -> str:
    if log is None or not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-8:]
    return "\n".join([f"\n{log}:", *(f"    {line}" for line in lines)])
