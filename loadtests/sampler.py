"""What a run costs: once a second, each process with its children, PostgreSQL and Redis."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import psutil
import psycopg2
import psycopg2.extensions
import redis

from loadtests.clock import now
from loadtests.record import Postgres, Process, Redis, ResourceLog, Resources

EVERY_SECONDS = 1.0
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
                        if (found := _process(name, kind, pid))
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


def _process(name: str, kind: str, pid: int) -> Process | None:
    """A process with all its children; this one without. None where it is gone."""
    cpu, rss, files = 0.0, 0, 0
    try:
        root = psutil.Process(pid)
        ended = root.cpu_times()
        if pid != os.getpid():  # whose children are everybody else
            cpu += ended.children_user + ended.children_system
        for one in [root] if pid == os.getpid() else [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess), one.oneshot():
                times = one.cpu_times()
                cpu += times.user + times.system
                rss += one.memory_info().rss
                files += one.num_fds()
    except psutil.NoSuchProcess:
        return None
    return Process(name=name, kind=kind, cpu_seconds=cpu, rss_bytes=rss, files=files)


def _redis(url: str) -> Redis | None:
    with suppress(redis.RedisError, OSError):
        if url:
            with redis.Redis.from_url(url, socket_timeout=1) as client:
                told = client.info()
            return Redis(
                commands=told["total_commands_processed"],
                memory_bytes=told["used_memory"],
                clients=told["connected_clients"],
            )
    return None
