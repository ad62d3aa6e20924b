"""Keeps children running: one log on the terminal, restarts with a limit, an orderly end.

A child that ends is started again; one that ends four times within a minute brings
everything down, loudly, instead of limping on. Children are forked by the main thread
alone, because the kernel ties "die with your parent" to the thread.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from dev.errors import SetupProblem
from dev.leftovers import Roll
from dev.state import PROJECT

_ENDS_ALLOWED = 3
_WITHIN = 60.0
_PAUSE = 1.0
_COLOURS = ("36", "33", "32", "35", "34", "31")


@dataclass
class Child:
    """A program to keep running, and how to ask it to end."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    # Where its output goes instead of the terminal.
    log: Path | None = None
    process: "subprocess.Popen[bytes] | None" = None
    ends: deque[float] = field(default_factory=deque)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Terminal:
    """Whole lines, each with its writer's name; a reader that has gone away ends the run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._colours: dict[str, str] = {}

    def say(self, text: str, who: str = "parley") -> None:
        with self._lock:
            prefix = f"{who:<10} | "
            if self._coloured:
                colour = self._colours.setdefault(who, _COLOURS[len(self._colours) % len(_COLOURS)])
                prefix = f"\033[{colour}m{prefix}\033[0m"
            for line in text.splitlines():
                sys.stdout.write(f"{prefix}{line}\n")
            sys.stdout.flush()

    def follow(self, stream: IO[bytes], who: str) -> None:
        """Repeat what a child writes, from a thread of its own."""

        def repeat() -> None:
            with stream:
                for line in stream:
                    try:
                        self.say(line.decode(errors="replace").rstrip(), who)
                    except OSError:
                        # Nobody reads any more: as if the terminal had been closed.
                        os.kill(os.getpid(), signal.SIGHUP)
                        return

        threading.Thread(target=repeat, name=f"log of {who}", daemon=True).start()


class Supervisor:
    """Children in the order of their start; they are stopped in the reverse order."""

    def __init__(self, terminal: Terminal, roll: Roll) -> None:
        self.terminal = terminal
        self._roll = roll
        self._children: list[Child] = []

    def start(self, child: Child) -> None:
        self._children.append(child)
        self._launch(child)

    def watch(self) -> str:
        """Keep everything running. Returns only with the name of a child that cannot be kept."""
        while True:
            for child in self._children:
                if not child.is_running and not self._revive(child):
                    return child.name
            time.sleep(0.2)

    def check(self) -> None:
        """Raise SetupProblem when a child has ended that should be getting ready."""
        for child in self._children:
            if child.process and (code := child.process.poll()) is not None:
                raise SetupProblem(f"{child.name} ended while starting ({_how(code)}).")

    def stop(self) -> None:
        """Ask each child to end, wait, and kill what does not. A second signal hurries."""
        for child in reversed(self._children):
            if child.process and child.is_running:
                child.process.send_signal(child.stop_signal)
                self._wait(child)
        self._roll.clear()

    def _wait(self, child: Child) -> None:
        assert child.process
        try:
            child.process.wait(child.grace)
        except subprocess.TimeoutExpired:
            self.terminal.say(f"{child.name} does not end: killed")
            child.process.kill()
            child.process.wait()

    def _revive(self, child: Child) -> bool:
        assert child.process
        now = time.monotonic()
        child.ends.append(now)
        while child.ends[0] < now - _WITHIN:
            child.ends.popleft()
        how = _how(child.process.returncode)
        if len(child.ends) > _ENDS_ALLOWED:
            self.terminal.say(f"{child.name} ended again ({how}): giving up")
            return False
        self.terminal.say(f"{child.name} ended ({how}): starting it again")
        time.sleep(_PAUSE)
        self._launch(child)
        return True

    def _launch(self, child: Child) -> None:
        if child.log:
            child.log.touch(mode=0o600)
        output = child.log.open("ab") if child.log else subprocess.PIPE
        child.process = subprocess.Popen(
            child.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **child.environment},
            cwd=PROJECT,
            # Ctrl-C in a terminal reaches us alone, and we stop them in order.
            start_new_session=True,
        )
        self._roll.add(child.process.pid, child.name)
        if child.process.stdout:
            self.terminal.follow(child.process.stdout, child.name)
        elif not isinstance(output, int):
            output.close()


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
