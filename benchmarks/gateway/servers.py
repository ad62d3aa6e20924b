"""What is measured, each as it is shipped, alone on the servers' core."""

import base64
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol

from django.conf import settings

from app.start import HEAP, command
from benchmarks.gateway.machine import cores, family, on_core, processor_seconds, resident_bytes
from benchmarks.peers.programs import PROGRAMS, Program
from dev.errors import SetupProblem
from dev.ports import LOOPBACK, accepts, free_port
from dev.privileges import dying_with_parent
from dev.processes import ServerProcess
from tests.server import WebServer
from tests.settings.production import production_environment
from tests.stack import running_stack


class Server(Protocol):
    """What a part needs to know of a server."""

    port: int

    @property
    def pid(self) -> int: ...


class Gateway(WebServer):
    """The gateway in the image's command, with production's settings and the benchmark's keys."""

    name = "gateway"

    def command(self) -> list[str]:
        return command(["gateway"], {"BIND": LOOPBACK, "PORT": str(self.port)})

    def environment(self) -> dict[str, str]:
        # The same keys: what is committed here is opened there.
        same = {
            "SECRET_KEY": settings.SECRET_KEY,
            "FIELD_ENCRYPTION_KEY": settings.FIELD_ENCRYPTION_KEY,
            "AUDIT_PSEUDONYM_KEY": base64.b64encode(settings.AUDIT_PSEUDONYM_KEY).decode(),
            "BLIND_INDEX_KEY": base64.b64encode(settings.BLIND_INDEX_KEY).decode(),
            "KEY_ENCRYPTION_KEY_FILE": str(settings.KEY_ENCRYPTION_KEY_FILE),
        }
        here = {
            "DJANGO_SETTINGS_MODULE": "app.settings.prod",
            "STATE_DIR": str(running_stack().folder),
            "ERASURE_LIST": os.environ["ERASURE_LIST"],
            "ALLOWED_HOSTS": LOOPBACK,
            "TRUSTED_PROXY_COUNT": "0",
            "PORT": str(self.port),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        return production_environment() | super().environment() | HEAP | same | here

    def start(self) -> None:
        with on_core(cores()[0]):
            super().start()

    def _stop(self, how: signal.Signals) -> None:
        """gunicorn's workers as well: of a manager that is killed they go on without it."""
        everybody = family(self.pid) if self._process else []
        if how == signal.SIGKILL:
            for pid in everybody:
                os.kill(pid, how)
        super()._stop(how)
        for pid in everybody:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Peer:
    """Somebody else's server; stopped at the end of `running`."""

    def __init__(self, name: str, start: Callable[[int, Path], Program]) -> None:
        self.port = free_port()
        folder = Path(mkdtemp(prefix=f"{name}-", dir=running_stack().folder))
        program = start(self.port, folder)
        with on_core(cores()[0]):
            self._process = ServerProcess(
                name,
                dying_with_parent(program.command, on_parent_death="KILL"),
                log=folder / f"{name}.out",
                environment=os.environ | program.environment,
            )
        self._process.wait_until(lambda: accepts(self.port), seconds=60)

    @classmethod
    @contextmanager
    def running(
        cls, name: str, start: Callable[[int, Path], Program] | None = None
    ) -> Iterator["Peer"]:
        """The peer of that name in PROGRAMS, or another. Raises SetupProblem where it cannot be
        had."""
        peer = cls(name, start or PROGRAMS[name])
        try:
            yield peer
        finally:
            peer.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.stop()


def used(servers: Sequence[Server]) -> float:
    """Processor seconds of these servers with all their processes."""
    return processor_seconds(pid for server in servers for pid in family(server.pid))


def held(server: Server) -> int:
    """Bytes of memory of a server with all its processes."""
    return resident_bytes(family(server.pid))


def database_seconds() -> float:
    """Processor seconds of PostgreSQL, which is nobody's and serves all that are measured."""
    cluster = running_stack()._cluster
    if cluster is None:
        raise SetupProblem("PostgreSQL does not run.")
    return processor_seconds(family(cluster.process.pid))
