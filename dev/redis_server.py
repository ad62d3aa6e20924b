"""A private Redis (or Valkey) on loopback."""

import signal
from dataclasses import dataclass, field
from pathlib import Path

import redis

from dev.binaries import redis_program
from dev.errors import SetupProblem
from dev.ports import LOOPBACK, free_port
from dev.privileges import dying_with_parent
from dev.processes import ServerProcess


@dataclass
class RedisServer:
    """`folder` holds its log and, when `durable`, what it saves."""

    folder: Path
    durable: bool = True
    port: int = 0
    _process: ServerProcess | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.exit_code() is None

    @property
    def process(self) -> ServerProcess:
        if not self._process:
            raise SetupProblem("Redis is not running.")
        return self._process

    def start(self, port: int = 0) -> None:
        """Listen on `port`, or on one that is free (the same one at every later start)."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for attempt in range(5):
            chosen = port or self.port or free_port()
            try:
                self._launch(chosen)
                self.port = chosen
                return
            except SetupProblem:
                if port or self.port or attempt == 4:
                    raise

    def stop(self) -> None:
        """End it and wait for its end; what was saved stays."""
        if self._process:
            self._process.stop(signal.SIGTERM)
            self._process = None

    def command(self, port: int) -> list[str]:
        """The server; it ends when its starter dies."""
        command = [
            str(redis_program()), "--bind", LOOPBACK, "--port", str(port),
            "--dir", str(self.folder), "--daemonize", "no", "--save", "",
            "--appendonly", "yes" if self.durable else "no", "--protected-mode", "yes",
        ]  # fmt: skip
        return dying_with_parent(command, on_parent_death="TERM")

    def _launch(self, port: int) -> None:
        log = self.folder / "redis.log"
        self._process = ServerProcess("Redis", self.command(port), log=log)
        self._process.wait_until(lambda: answers(port), seconds=20)


def answers(port: int) -> bool:
    """Whether a Redis on `port` of the loopback answers."""
    with redis.Redis(host=LOOPBACK, port=port, socket_connect_timeout=1) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
