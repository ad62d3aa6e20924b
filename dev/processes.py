"""A server that this process started: it never outlives it, and stops when told."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dev.errors import SetupProblem

PROJECT = Path(__file__).resolve().parent.parent


class ServerProcess:
    """One child with its log file. Start it from a thread that lives as long as it should."""

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        log.touch(mode=0o600)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=PROJECT,
                # Ctrl-C in a terminal is for us: we stop our children in good order.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Return when `ready()`; raise SetupProblem when the server ended or time is up."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.exit_code() is not None:
                raise SetupProblem(f"{self.name} ended at once:\n{self.last_words()}")
            if time.monotonic() > deadline:
                self.stop(signal.SIGKILL)
                raise SetupProblem(
                    f"{self.name} was not ready within {seconds:.0f} s:\n{self.last_words()}"
                )
            time.sleep(0.02)

    def stop(self, first: signal.Signals = signal.SIGTERM, *, grace: float = 10) -> None:
        """Send `first`, then SIGKILL after `grace` seconds. Returns when it is gone."""
        if self.exit_code() is None:
            self._process.send_signal(first)
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        return "\n".join(f"    {line}" for line in lines)
