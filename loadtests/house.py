"""What a run needs when no deployment is named: Parley as production starts it, on loopback.

PostgreSQL (with every commit on the disk), Redis, web, two gateways, worker, scheduler and sealer,
by the commands of the image (`app.start`), in a folder of their own that ends with the run. Only
processes that were started here are ever stopped, each by its own id.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.start import HEAP, command
from dev.errors import SetupProblem
from dev.ports import LOOPBACK, free_port
from dev.postgresql import Cluster
from dev.privileges import dying_with_parent, reaches
from dev.processes import PROJECT, ServerProcess
from dev.redis_server import RedisServer
from dev.roles import LOGINS, create_database
from dev.services import scheduler_command
from dev.state import write_privately
from loadtests.people import Account, read_accounts
from tests.mould import TEMPLATE, copy_of_the_mould
from tests.settings.production import production_environment

DATABASE = "parley_load"
READY_SECONDS = 60
GRACE_SECONDS = 15


class Instance:
    """A `web` or a `gateway`; killed and started again it keeps its port."""

    def __init__(self, name: str, process: str, folder: Path, environment: dict[str, str]) -> None:
        self.name, self.kind = name, process
        self._log = folder / f"{name}.log"
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        self._environment = environment | {"BIND": LOOPBACK, "PORT": str(port)}
        self._command = command([process], self._environment)
        self._process: ServerProcess | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Return at once: `wait` returns when it answers."""
        self._process = ServerProcess(
            self.name,
            dying_with_parent(self._command, on_parent_death="KILL"),
            log=self._log,
            environment=self._environment,
        )

    def wait(self) -> None:
        if self._process:
            self._process.wait_until(lambda: answers(self.url), seconds=READY_SECONDS)

    def become_ready(self, sleep: Callable[[float], None]) -> None:
        """Wait until a balancer would send somebody here; `sleep` waits. Raises SetupProblem."""
        until = time.monotonic() + READY_SECONDS
        while not answers(self.url, "/readyz"):
            if time.monotonic() > until:
                raise SetupProblem(f"{self.name} was not ready within {READY_SECONDS} s.")
            sleep(0.2)

    def kill(self) -> None:
        """gunicorn and its processes at once, as when a machine is lost."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.stop(signal.SIGKILL)
            self._process = None

    def leave(self, sleep: Callable[[float], None]) -> None:
        """In good order, as `stop`; `sleep` waits for it, so that others may live meanwhile."""
        if self._process:
            os.kill(self._process.pid, signal.SIGTERM)
            until = time.monotonic() + GRACE_SECONDS
            while self._process.exit_code() is None and time.monotonic() < until:
                sleep(0.1)
        self.stop()

    def stop(self) -> None:
        """In good order: it lets its sockets go first."""
        if self._process:
            self._process.stop(signal.SIGTERM, grace=GRACE_SECONDS)
            self._process = None


class House:
    """Made by `open_house`."""

    def __init__(self, folder: Path, gateways: int) -> None:
        self.folder = folder
        self.redis = RedisServer(folder / "redis", durable=False)
        self.cluster: Cluster
        self.web: Instance
        self.gateways: list[Instance] = []
        self.on_serving: Callable[[list[str]], None] = lambda _: None
        """Told at which gateways' base URLs users are to connect from now on."""
        self.others: dict[str, ServerProcess] = {}
        self.environment: dict[str, str] = {}
        self._count = gateways

    @property
    def instances(self) -> list[Instance]:
        """All that answer HTTP."""
        return [*([self.web] if hasattr(self, "web") else []), *self.gateways]

    def processes(self) -> dict[str, tuple[str, int]]:
        """Name to kind and process id of all that runs now."""
        found = {"postgres": ("postgres", self.cluster.process.pid)}
        if self.redis.is_running:
            found["redis"] = ("redis", self.redis.process.pid)
        found |= {one.name: (one.kind, one.pid) for one in self.instances if one.pid}
        return found | {name: (name, one.pid) for name, one in self.others.items()}

    def start(self) -> None:
        """Return when everything answers. Raises SetupProblem."""
        self.cluster, passwords = copy_of_the_mould(self.folder / "postgresql")
        self.cluster.durable = True  # what is measured has been written to the disk
        self.cluster.start()
        create_database(self.cluster.url(), DATABASE, template=TEMPLATE)
        self.redis.start()
        secret = passwords.as_dict()
        urls = {kind: self.cluster.url(DATABASE, LOGINS[kind], secret[kind]) for kind in LOGINS}
        self.environment = self._environment(urls["app"])
        self.web = Instance("web", "web", self.folder, self.environment)
        self.gateways = [self._gateway(number + 1) for number in range(self._count)]
        for instance in self.instances:
            instance.start()
        sealing = {
            "SEALER_DATABASE_URL": urls["sealer"],
            "SEALER_SIGNING_KEY_FILE": str(self._key("sealer-signing.key")),
        }
        self._begin("sealer", command(["sealer"], {}), sealing)
        self._begin("worker", command(["worker"], {}))
        self._begin("scheduler", scheduler_command(sys.executable, self.folder / "schedule"))
        for instance in self.instances:
            instance.wait()

    def replace(self, old: Instance, sleep: Callable[[float], None]) -> None:
        """As a new revision does: another gateway begins beside `old`; what is new goes to that as
        soon as it is ready, and `old` gets SIGTERM. `sleep` waits, in seconds. Raises SetupProblem.
        """
        self._count += 1
        new = self._gateway(self._count)
        self.gateways.append(new)
        new.start()
        new.become_ready(sleep)
        self.on_serving([one.url for one in self.gateways if one is not old])
        old.leave(sleep)
        self.gateways.remove(old)

    def stop(self) -> None:
        for instance in self.instances:
            instance.stop()
        for process in reversed(list(self.others.values())):
            process.stop()
        if hasattr(self, "cluster"):
            self.cluster.stop()
        self.redis.stop()

    def keep_logs(self, folder: Path) -> None:
        """Put what its processes said beside the record of a run: the rest ends with the house."""
        for log in self.folder.glob("*.log"):
            shutil.copy(log, folder)

    def seed(self, members: int, voices: int, officers: int) -> list[Account]:
        """Found an organization of so many, and return what they sign in with."""
        accounts = self.folder / "accounts.json"
        seeding = [sys.executable, "-m", "loadtests.seed"]
        done = subprocess.run(
            [*seeding, str(members), str(voices), str(officers), str(accounts)],
            env=self.environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SetupProblem(f"The organization could not be founded:\n{done.stderr[-2000:]}")
        return read_accounts(accounts)

    def _gateway(self, number: int) -> Instance:
        return Instance(f"gateway-{number}", "gateway", self.folder, self.environment)

    def _begin(self, name: str, words: list[str], more: dict[str, str] | None = None) -> None:
        self.others[name] = ServerProcess(
            name,
            dying_with_parent(words, on_parent_death="KILL"),
            log=self.folder / f"{name}.log",
            environment=self.environment | (more or {}),
        )

    def _environment(self, database_url: str) -> dict[str, str]:
        return (
            os.environ
            | production_environment()
            | HEAP
            | {
                "DATABASE_URL": database_url,
                "REDIS_URL": self.redis.url,
                "KEY_ENCRYPTION_KEY_FILE": str(self._key("key-encryption.key")),
                "ERASURE_LIST": str(self.folder / "erasures.list"),
                "STATE_DIR": str(self.folder),
                "ALLOWED_HOSTS": LOOPBACK,
                "TRUSTED_PROXY_COUNT": "1",
                "RECEIPTS": "off",
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            }
        )

    def _key(self, name: str) -> Path:
        path = self.folder / name
        write_privately(path, production_environment()["BLIND_INDEX_KEY"] + "\n")
        return path


@contextmanager
def open_house(gateways: int = 2) -> Iterator[House]:
    """Everything runs within, and is gone afterwards, with its data."""
    folder = Path(tempfile.mkdtemp(prefix="parley-load-"))
    if not reaches(folder):
        folder.chmod(0o711)
    house = House(folder, gateways)
    try:
        house.start()
        yield house
    finally:
        house.stop()
        shutil.rmtree(folder, ignore_errors=True)


def answers(url: str, path: str = "/healthz") -> bool:
    """Whether a Parley says that it is well."""
    try:
        with urllib.request.urlopen(f"{url}{path}", timeout=5) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
