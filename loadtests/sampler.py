"""What a run costs: once a second, each process with its children, PostgreSQL and Redis."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg2
import psycopg2.extensions
import redis

from loadtests.clock import now
from loadtests.record import Postgres, Process, Redis, ResourceLog, Resources

EVERY_SECONDS = 1.0
WEIGHED_SECONDS = 10.0  # what a process shares with others takes the kernel a millisecond to say
SWEEPS = "parley:voice:sweeps"  # of `app.voice.leases`, which wants Django
Processes = Callable[[], Mapping[str, tuple[str, int]]]
"""Name to kind and process id of all that is to be looked at now."""
_STATISTICS = """
    SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
           (SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database)::bigint,
           (pg_current_wal_lsn() - '0/0')::bigint
"""


class Sampler:
    """Writes to `log` from its making until `close`, in a thread of its own."""

    def __init__(
        self,
        log: ResourceLog,
        processes: Processes,
        *,
        began: float,
        postgres_url: str = "",
        redis_url: str = "",
    ) -> None:
        self._log, self._processes, self._began = log, processes, began
        self._postgres_url, self._redis_url = postgres_url, redis_url
        self._scales = _Scales()
        self._connection: psycopg2.extensions.connection | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)
        self._log.close()

    def _run(self) -> None:
        at = time.monotonic()
        while not self._ended.wait(max(0.0, at - time.monotonic())):
            at += EVERY_SECONDS
            self._log.write(
                Resources(
                    second=now() - self._began,
                    processes=[
                        found
                        for name, (kind, pid) in self._processes().items()
                        if (found := _process(name, kind, pid, self._scales))
                    ],
                    postgres=self._postgres(),
                    redis=_redis(self._redis_url),
                )
            )

        if self._connection:
            self._connection.close()

    def _postgres(self) -> Postgres | None:
        if not self._postgres_url:
            return None
        try:
            if self._connection is None:
                self._connection = psycopg2.connect(self._postgres_url, connect_timeout=1)
                self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                cursor.execute(_STATISTICS)
                [(connections, transactions, wal_bytes)] = cursor.fetchall()
        except psycopg2.Error:
            self._connection = None  # it is away: the next sample asks again
            return None
        return Postgres(connections=connections, transactions=transactions, wal_bytes=wal_bytes)


class _Weight(NamedTuple):
    """Bytes of memory: all, and what stands in no file (None: the kernel does not say)."""

    all: int
    unfiled: int | None


class _Scales:
    """What each process weighs, looked at now and then."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, _Weight]] = {}  # by pid, with when to look again

    def weigh(self, process: psutil.Process) -> _Weight:
        """What several processes share counts for each in part (PSS), where the kernel says it.
        Raises NoSuchProcess."""
        at = time.monotonic()
        due, found = self._known.get(process.pid, (0.0, _Weight(0, None)))
        if at >= due:
            found = _pss(process.pid) or _Weight(process.memory_info().rss, None)
            self._known[process.pid] = at + WEIGHED_SECONDS, found
        return found


def _pss(pid: int) -> _Weight | None:
    """See proc(5), /proc/pid/smaps_rollup. None where it is not to be had."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return None
    parted = (line.split(":") for line in lines)
    sizes = {name: int(size.removesuffix("kB")) << 10 for name, size in parted}
    if "Pss_Anon" not in sizes:  # before Linux 5.4
        return _Weight(sizes["Pss"], None)
    return _Weight(sizes["Pss"], sizes["Pss_Anon"] + sizes["Pss_Shmem"])


def _process(name: str, kind: str, pid: int, scales: _Scales) -> Process | None:
    """A process with all its children; this one without. None where it is gone."""
    cpu, files = 0.0, 0
    weights: list[_Weight] = []
    try:
        root = psutil.Process(pid)
        ended = root.cpu_times()
        if pid != os.getpid():  # whose children are everybody else
            cpu += ended.children_user + ended.children_system
        for one in [root] if pid == os.getpid() else [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess), one.oneshot():
                times = one.cpu_times()
                cpu += times.user + times.system
                weights.append(scales.weigh(one))
                files += one.num_fds()
    except psutil.NoSuchProcess:
        return None
    unfiled = [weight.unfiled for weight in weights if weight.unfiled is not None]
    return Process(
        name=name,
        kind=kind,
        cpu_seconds=cpu,
        memory_bytes=sum(weight.all for weight in weights),
        unfiled_bytes=sum(unfiled) if len(unfiled) == len(weights) else None,
        files=files,
        pid=pid,
    )


def _redis(url: str) -> Redis | None:
    with suppress(redis.RedisError, OSError):
        if url:
            with redis.Redis.from_url(url, socket_timeout=1) as client:
                told, done, (seconds, micro) = (
                    client.info(),
                    client.hget(SWEEPS, "done"),
                    client.time(),
                )
            return Redis(
                swept=seconds + micro / 1e6 - int(done) / 1e3 if done else None,
                commands=told["total_commands_processed"],
                memory_bytes=told["used_memory"],
                clients=told["connected_clients"],
            )
    return None
