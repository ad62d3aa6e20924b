"""A real coturn on loopback, with the settings that production has (cloudrun/turnserver.conf).

Only this machine's own address, which production denies like every private one, is a peer here.

    turn.url      "turn:127.0.0.1:<port>?transport=udp", for the setting TURN_URLS
    turn.secret   for the setting TURN_SECRET
"""

import os
import secrets
import shutil
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.errors import SetupProblem
from dev.ports import LOOPBACK, free_port
from dev.privileges import dying_with_parent
from dev.processes import PROJECT, ServerProcess
from tests.stack import Stack

_BINDING = struct.pack(">HHI", 0x0001, 0, 0x2112A442)  # RFC 8489: request, no body, cookie


class TurnServer:
    """One coturn; `log_text()` is all that it said, sessions and their users among it."""

    def __init__(self, folder: Path) -> None:
        self.secret = secrets.token_hex(16)
        self.port = 0
        self._folder = folder
        self._log = folder / "turnserver.log"
        self._process: ServerProcess | None = None

    @property
    def url(self) -> str:
        return f"turn:{LOOPBACK}:{self.port}?transport=udp"

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator["TurnServer"]:
        folder.mkdir(exist_ok=True)
        server = cls(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()

    def start(self) -> None:
        """Listen on a free port; on the same one at every later start."""
        for attempt in range(5):
            port = self.port or free_port()
            try:
                self._launch(port)
                self.port = port
                return
            except SetupProblem:
                if self.port or attempt == 4:
                    raise

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None

    def log_text(self) -> str:
        return self._log.read_text(errors="replace")

    def _launch(self, port: int) -> None:
        self._process = ServerProcess("coturn", self._command(port), log=self._log)
        self._process.wait_until(lambda: _answers(port), seconds=30)

    def _command(self, port: int) -> list[str]:
        # The secret is in a file: a command line can be read by everybody on the machine.
        file = self._folder / "turnserver.conf"
        file.touch(mode=0o600)
        production = (PROJECT / "cloudrun" / "turnserver.conf").read_text()
        settings = production.replace("log-file=/dev/null", "log-file=stdout")
        file.write_text(f"{settings}\nstatic-auth-secret={self.secret}\n")
        command = [
            *("turnserver", "-c", str(file)),
            *("--listening-ip", LOOPBACK, "--relay-ip", LOOPBACK, "--listening-port", str(port)),
            *("--realm", "parley.test", "--no-tls", "--no-dtls", "--verbose"),
            *("--allow-loopback-peers", "--allowed-peer-ip", LOOPBACK),
            *("--pidfile", str(self._folder / "pid"), "--userdb", str(self._folder / "users")),
        ]
        return dying_with_parent(command, on_parent_death="KILL")


def _answers(port: int) -> bool:
    """Whether a STUN binding request gets a response (RFC 8489, 6)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.5)
        asker.connect((LOOPBACK, port))
        try:
            asker.send(_BINDING + secrets.token_bytes(12))
            return asker.recv(1500)[:2] == b"\x01\x01"
        except OSError:
            return False


@pytest.fixture(scope="module")
def turn(stack: Stack) -> Iterator[TurnServer]:
    if not shutil.which("turnserver"):
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("coturn is not installed (Debian: apt-get install coturn)")
    with TurnServer.running(stack.folder / "turn") as server:
        yield server
