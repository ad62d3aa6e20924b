"""pytest plugin: every process of the suite has its own PostgreSQL and Redis.

They listen on free loopback ports, start before Django's settings are read, and die with
the process even if that is killed. Workers of pytest-xdist share nothing: one's open
transaction would hold back the other's sealing. How to use it: see `tests/conftest.py`.
"""

import atexit
import base64
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from dev.errors import SetupProblem
from dev.postgresql import Cluster
from dev.privileges import reaches
from dev.redis_server import RedisServer
from dev.roles import LOGINS, Passwords, create_database, drop_database
from tests.mould import TEMPLATE, TEST_DATABASE, copy_of_the_mould


@dataclass
class Database:
    """One database of this process's cluster, with an address for each role."""

    name: str
    owner_url: str
    app_url: str
    sealer_url: str
    superuser_url: str


class Stack:
    """This process's services."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key_encryption_key = _key_file(folder / "key-encryption.key")
        self.sealer_key = _key_file(folder / "sealer-signing.key")
        self.redis = RedisServer(folder / "redis", durable=False)
        self.redis.start()
        self._cluster: Cluster | None = None
        self._passwords: Passwords | None = None

    def start_postgresql(self) -> None:
        """The migrated cluster; made on the first call of a process."""
        if self._cluster is None:
            self._cluster, self._passwords = copy_of_the_mould(self.folder / "postgresql")
            self._cluster.start()

    def restart_postgresql(self) -> None:
        """Every connection breaks; it comes back on its port, with all that was committed."""
        with self.postgresql_away():
            pass

    @contextmanager
    def postgresql_away(self) -> Iterator[None]:
        """The same, with some time between."""
        assert self._cluster
        port = self._cluster.port
        self._cluster.stop()
        try:
            yield
        finally:
            self._start_again(self._cluster, port)

    def _start_again(self, cluster: Cluster, port: int) -> None:
        for attempt in range(20):
            try:
                cluster.start(port)
                return
            except SetupProblem:  # somebody's connection may have had the port for a moment
                if attempt == 19:
                    raise
                time.sleep(0.5)

    def database(self, name: str = TEST_DATABASE) -> Database:
        self.start_postgresql()
        assert self._cluster
        assert self._passwords
        given = self._passwords.as_dict()
        urls = {kind: self._cluster.url(name, LOGINS[kind], given[kind]) for kind in LOGINS}
        return Database(name, urls["owner"], urls["app"], urls["sealer"], self._cluster.url(name))

    @contextmanager
    def fresh_database(self, template: str = TEMPLATE) -> Iterator[Database]:
        """A migrated, empty database; dropped afterwards, whoever is still connected."""
        self.start_postgresql()
        assert self._cluster
        name = f"live_{secrets.token_hex(6)}"
        create_database(self._cluster.url(), name, template=template)
        try:
            yield self.database(name)
        finally:
            drop_database(self._cluster.url(), name)

    def empty_redis(self) -> None:
        with redis.Redis.from_url(self.redis.url) as client:
            client.flushall()

    def stop(self) -> None:
        if self._cluster:
            self._cluster.stop(fast=False)
        self.redis.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


_running: Stack | None = None


def running_stack() -> Stack:
    """The stack of this process."""
    assert _running, "the plugin `tests.stack` was not loaded"
    return _running


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Iterator[None]:
    # Before pytest-django reads the settings, hence a wrapper.
    _start()
    return (yield)


def _start() -> None:
    global _running  # noqa: PLW0603  # pytest has no place for it this early
    if _running:
        return
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"parley-test-{os.getpid()}-"))
    if not reaches(folder):
        folder.chmod(0o711)
    _running = Stack(folder)
    atexit.register(_running.stop)
    os.environ.pop("DATABASE_ROLE", None)
    os.environ.update(
        {
            "REDIS_URL": _running.redis.url,
            "KEY_ENCRYPTION_KEY_FILE": str(_running.key_encryption_key),
            "SEALER_SIGNING_KEY_FILE": str(_running.sealer_key),
            "ERASURE_LIST": str(folder / "erasures.list"),
            "ATTACHMENT_STORAGE": f"file://{folder}/attachments",
        }
    )


def _sweep() -> None:
    """Remove what a killed run left (its servers died with it)."""
    for folder in Path(tempfile.gettempdir()).glob("parley-test-*"):
        pid = folder.name.split("-")[2]
        with suppress(FileNotFoundError):  # another run sweeps as well
            if pid.isdigit() and not Path(f"/proc/{pid}").exists() and folder.owner() == _me():
                shutil.rmtree(folder, ignore_errors=True)


def _me() -> str:
    return Path("/proc/self").owner()


def _key_file(path: Path) -> Path:
    path.touch(mode=0o600)
    path.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    return path
