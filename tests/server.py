"""Real processes for tests: the web server and the sealer, which a test may kill and restart."""

import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from app.start import command
from dev.ports import LOOPBACK, free_port
from dev.privileges import dying_with_parent
from dev.processes import ServerProcess
from dev.redis_server import RedisServer
from dev.services import web_command
from tests.live import LiveDatabase
from tests.stack import Stack


class TestedProcess:
    """One process of Parley on a test's own database and Redis. Its log: `log_text()`."""

    __test__ = False
    name = ""

    def __init__(self, database: LiveDatabase, redis: RedisServer, stack: Stack) -> None:
        self.database = database
        self._redis = redis
        self._stack = stack
        self._log = stack.folder / f"{self.name}-{database.name}.log"
        self._process: ServerProcess | None = None

    @classmethod
    @contextmanager
    def running(cls, database: LiveDatabase, redis: RedisServer, stack: Stack) -> Iterator[Self]:
        process = cls(database, redis, stack)
        process.start()
        try:
            yield process
        finally:
            process.terminate()

    @property
    def pid(self) -> int:
        assert self._process, "it is not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start it and return when it is ready."""
        assert not self._process, "it is running"
        self._process = ServerProcess(
            self.name,
            dying_with_parent(self.command(), on_parent_death="KILL"),
            log=self._log,
            environment=os.environ | self.environment(),
        )
        self._process.wait_until(self.is_ready, seconds=30)

    def kill(self) -> None:
        """SIGKILL: it has no chance to finish anything."""
        self._stop(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM, and wait for its end. Nothing happens when it has been stopped already."""
        self._stop(signal.SIGTERM)

    def restart(self) -> None:
        self.terminate()
        self.start()

    def log_text(self) -> str:
        """All that it has written so far, over all its starts."""
        return self._log.read_text(errors="replace")

    def command(self) -> list[str]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        return True

    def environment(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "app.settings.test",
            "DATABASE_URL": self.database.app_url,
            "SEALER_DATABASE_URL": self.database.sealer_url,
            "REDIS_URL": self._redis.url,
            "RECEIPTS": "stdout",
        }

    def _stop(self, how: signal.Signals) -> None:
        if self._process:
            self._process.stop(how)
            self._process = None


class WebServer(TestedProcess):
    """Pages, REST and the gateway, as `make run` starts them. It keeps its port."""

    name = "web"

    def __init__(self, database: LiveDatabase, redis: RedisServer, stack: Stack) -> None:
        super().__init__(database, redis, stack)
        self.port = free_port()
        self.base_url = f"http://{LOOPBACK}:{self.port}"

    def command(self) -> list[str]:
        return web_command(sys.executable, self.port)

    def environment(self) -> dict[str, str]:
        # Without what only the sealer may have.
        return super().environment() | {"SEALER_DATABASE_URL": "", "SEALER_SIGNING_KEY_FILE": ""}

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base_url}/healthz", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


class GatewayServer(WebServer):
    """The same, served as in production: gunicorn, uvicorn, and sockets handed over."""

    name = "gateway"

    def command(self) -> list[str]:
        return command(["gateway"], {"BIND": LOOPBACK, "PORT": str(self.port)})

    def kill(self) -> None:
        """gunicorn and its processes at once, as when a machine is lost."""
        os.killpg(self.pid, signal.SIGKILL)
        super().kill()


class SealerProcess(TestedProcess):
    """`manage.py seal`. Ready means started: a test waits for what it seals."""

    name = "sealer"

    def command(self) -> list[str]:
        return command(["sealer"], {})
