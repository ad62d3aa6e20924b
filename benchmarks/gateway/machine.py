"""Cores, processor time and memory of processes, as Linux tells them in /proc."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


_ALLOWED = sorted(os.sched_getaffinity(0))
BUSY = 0.1


def cores() -> tuple[int, int]:
    """Return the core of the servers and that of everything else. Raises SystemExit with one."""
    if len(_ALLOWED) < 2:
        raise SystemExit("The gateway's figures need two cores: one for the server alone.")
    return _ALLOWED[-1], _ALLOWED[0]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started within runs on that core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _stat(pid: int) -> list[str]:
    # After the command's name, which may hold anything: proc_pid_stat(5), from field 3 on.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def family(root: int) -> list[int]:
    """Return `root` and all living descendants of it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
            except OSError:  # gone meanwhile
                continue
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


def processor_seconds(pids: Iterable[int]) -> float:
    """Return the time that these have used, in user and kernel, with their ended children."""
    total = 0.0
    for pid in pids:
        try:
            # The process's own clock, clock_getcpuclockid(3): /proc counts in steps of 10 ms.
            total += time.clock_gettime(~pid << 3 | 2) + sum(map(int, _stat(pid)[13:15])) / _TICK
        except OSError:  # gone meanwhile
            continue
    return total


def resident_bytes(pids: Iterable[int]) -> int:
    """Return how much memory these hold."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in pids)


def busy_seconds() -> float:
    """Return the processor time of all processes of the machine since its start."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / _TICK


@dataclass(frozen=True, slots=True)
class Moment:
    """What the clocks said: wall, and of this thread: running, and waiting for its core."""

    wall: float
    ran: float
    waited: float

    @classmethod
    def now(cls) -> "Moment":
        ran, waited, _ = Path("/proc/thread-self/schedstat").read_text().split()
        return cls(time.perf_counter(), int(ran) / 1e9, int(waited) / 1e9)

    def idle_since(self, before: "Moment") -> float:
        """Return the part of the time since `before` in which there was nothing to do."""
        wall = self.wall - before.wall
        return max(0.0, 1 - (self.ran - before.ran + self.waited - before.waited) / wall)

    def share_since(self, before: "Moment") -> float:
        """Return the part of the time since `before` in which this thread ran."""
        return (self.ran - before.ran) / (self.wall - before.wall)


class Watch:
    """Who else was at work on the two cores, from its making on."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._all, self._own = busy_seconds(), processor_seconds(family(os.getpid()))

    def conditions(self) -> dict[str, object]:
        """The share of the machine that others used; above BUSY figures are not to be believed."""
        wall = time.perf_counter() - self._wall
        own = processor_seconds(family(os.getpid())) - self._own
        others = max(0.0, busy_seconds() - self._all - own) / (wall * (os.cpu_count() or 1))
        verdict = "busy: believe ratios alone, and measure again" if others > BUSY else "idle"
        return {"others": f"{others:.0%} of the machine ({verdict})", "model": _model()}


def _model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")
