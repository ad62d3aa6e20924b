"""Children of a supervisor that was killed: found by what it wrote down, and ended.

Where the kernel told them of their parent's death (see `dev.privileges`) there are none,
or they are just closing. A process id alone proves nothing, it may have been given to
somebody else since: the time of its start must agree too.
"""

import os
import signal
import time
from pathlib import Path

_GRACE = 20.0


class Roll:
    """The file that names the running children, one a line: `pid start name`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, pid: int, name: str) -> None:
        with self._path.open("a") as roll:
            roll.write(f"{pid} {started_at(pid)} {name}\n")

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)

    def end_leftovers(self) -> list[str]:
        """End those that still run, the last started first. Returns their names."""
        found = [entry for entry in reversed(self._entries()) if _is_alive(entry)]
        for pid, _, name in found:
            # PostgreSQL takes SIGTERM as "wait until everybody has left".
            os.kill(pid, signal.SIGINT if name == "postgresql" else signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while any(map(_is_alive, found)) and time.monotonic() < deadline:
            time.sleep(0.05)
        for entry in filter(_is_alive, found):
            os.kill(entry[0], signal.SIGKILL)
        self.clear()
        return [name for _, _, name in found]

    def _entries(self) -> list[tuple[int, str, str]]:
        if not self._path.exists():
            return []
        parts = [line.split(" ", 2) for line in self._path.read_text().splitlines()]
        return [(int(part[0]), part[1], part[2]) for part in parts if len(part) == 3]


def started_at(pid: int) -> str:
    """The start of a process in the kernel's ticks; "" when it is gone, or not on Linux."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name, in parentheses, may hold spaces. Field 3 is the state, field 22 the start.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def _is_alive(entry: tuple[int, str, str]) -> bool:
    pid, start, _ = entry
    return bool(start) and started_at(pid) == start
