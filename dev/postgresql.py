"""A private PostgreSQL cluster on loopback: made, started and stopped without pg_ctl.

Its superuser's password lies beside it, readable by its maker alone.
"""

import functools
import os
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg2

from dev.binaries import postgresql_programs
from dev.errors import SetupProblem
from dev.ports import LOOPBACK, free_port
from dev.privileges import as_server_owner, give_to_server_owner, reaches, within_reach
from dev.processes import ServerProcess

SUPERUSER = "postgres"
# Without these a crash of the machine may lose data: for tests alone.
VOLATILE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and their parameters may hold what members wrote.
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


@dataclass
class Cluster:
    """`folder` holds `data/`, `superuser.password` and `postgresql.log`."""

    folder: Path
    durable: bool = True
    port: int = 0
    _process: ServerProcess | None = field(default=None, repr=False)

    @functools.cached_property
    def data(self) -> Path:
        """The cluster itself; beside the folder's other files wherever its server gets there."""
        return self._home / "data"

    @functools.cached_property
    def _home(self) -> Path:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not reaches(self.folder):
            self.folder.chmod(0o711)
        return self.folder if reaches(self.folder) else within_reach("data", self.folder)

    @property
    def exists(self) -> bool:
        return (self.data / "PG_VERSION").is_file()

    @property
    def password(self) -> str:
        return (self.folder / "superuser.password").read_text()

    def create(self) -> None:
        """Run initdb. Passwords are asked of everybody: other users share the loopback."""
        draft = self._home / "data.new"
        secret = self.folder / "superuser.password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(24))
        # Under another name until it is whole: a killed initdb leaves half a cluster.
        shutil.rmtree(draft, ignore_errors=True)
        give_to_server_owner(draft)
        handed = self._home / "handed.password"
        shutil.copy(secret, handed)
        os.chown(handed, draft.stat().st_uid, -1)
        command = [
            str(self._programs() / "initdb"), "-D", str(draft), "-U", SUPERUSER,
            "--auth=scram-sha-256", f"--pwfile={handed}", "-E", "UTF8", "--locale=C",
        ]  # fmt: skip
        if not self.durable:
            command.append("--no-sync")
        done = subprocess.run(
            as_server_owner(command),
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        handed.unlink()
        if done.returncode:
            raise SetupProblem(f"PostgreSQL's initdb failed:\n{done.stderr.strip()}")
        draft.rename(self.data)

    def start(self, port: int = 0) -> None:
        """Listen on `port`, or on one that is free."""
        for attempt in range(5):
            self.port = port or free_port()
            try:
                self._launch()
                return
            except SetupProblem:
                # Somebody may have taken the free port in between; any other cause stays.
                if port or attempt == 4:
                    raise

    def stop(self, *, fast: bool = True) -> None:
        """End it: `fast` closes sessions and writes a checkpoint, else it just stops."""
        if self._process:
            self._process.stop(signal.SIGINT if fast else signal.SIGQUIT, grace=20)
            self._process = None

    @property
    def process(self) -> ServerProcess:
        if not self._process:
            raise SetupProblem("PostgreSQL is not running.")
        return self._process

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str = "") -> str:
        secret = quote(password or self.password, safe="")
        return f"postgres://{user}:{secret}@{LOOPBACK}:{self.port}/{database}"

    def command(self) -> list[str]:
        """The server on `self.port`. If its starter dies it closes in good order by itself."""
        settings = _SETTINGS | {"port": str(self.port)} | ({} if self.durable else VOLATILE)
        command = [str(self._programs() / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return as_server_owner(command, on_parent_death="INT")

    def forget_a_dead_postmaster(self) -> None:
        """Remove a pid file whose process is not this cluster's any more.

        PostgreSQL would refuse to start if that process id belongs to somebody else now.
        """
        note = self.data / "postmaster.pid"
        if note.exists() and not _is_postmaster_of(self.data, note.read_text().split("\n")[0]):
            note.unlink()

    def _programs(self) -> Path:
        made_by = (self.data / "PG_VERSION").read_text().strip() if self.exists else ""
        programs = postgresql_programs(int(made_by) if made_by else None)
        return programs if reaches(programs / "postgres") else _readable_copy(programs)

    def _launch(self) -> None:
        log = self.folder / "postgresql.log"
        self._process = ServerProcess("PostgreSQL", self.command(), log=log)
        self._process.wait_until(self.answers, seconds=60)

    def answers(self) -> bool:
        """Whether it accepts a connection."""
        try:
            psycopg2.connect(self.url(), connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True


def _readable_copy(programs: Path) -> Path:
    """The programs with their libraries (of a wheel), where everybody can run them."""
    package = programs.parent.parent
    place = within_reach("programs", package)
    if not (place / "complete").exists():
        for part in (package, package.with_name(package.name + ".libs")):
            shutil.copytree(part, place / part.name, symlinks=True, dirs_exist_ok=True)
        (place / "complete").touch()
    return place / package.name / programs.relative_to(package)


def _is_postmaster_of(data: Path, pid: str) -> bool:
    try:
        command = Path(f"/proc/{int(pid)}/cmdline").read_text()
    except (OSError, ValueError):
        return False
    return str(data) in command
