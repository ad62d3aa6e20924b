"""Threads in which the gateway talks to the database; each has a connection of its own.

Lanes of their own, so that a slow command keeps neither deliveries nor sends waiting, and a
bounded number of threads, so that no number of sockets needs more connections.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any, TypeVar

from django.conf import settings
from django.db import close_old_connections, connections

from app.kept_connection import KeptConnection

Result = TypeVar("Result")


class Lane(Enum):
    """One thing at a time, but for commands."""

    DELIVERY = "delivery"
    SENDS = "sends"
    PLACES = "places"
    ADMISSION = "admission"
    RENEWALS = "renewals"
    CHORES = "chores"
    COMMANDS = "commands"


def connections_needed() -> int:
    """How many connections to the database a gateway process has at most."""
    return len(Lane) - 1 + int(settings.GATEWAY_THREADS)


class Lanes:
    """Made on the loop that uses it; `close` ends the threads."""

    def __init__(self) -> None:
        self._pools = {
            lane: ThreadPoolExecutor(
                settings.GATEWAY_THREADS if lane is Lane.COMMANDS else 1,
                thread_name_prefix=f"gateway-{lane.value}",
            )
            for lane in Lane
        }

    async def run(self, lane: Lane, work: Callable[..., Result], *arguments: Any) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pools[lane], _with_connections, work, arguments)

    def close(self) -> None:
        for pool in self._pools.values():
            for _ in range(pool._max_workers):
                pool.submit(connections.close_all)
            pool.shutdown()


_mine = KeptConnection()


def _with_connections(work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    """Run in a thread as Django runs a request: stale connections are dropped around it."""
    close_old_connections()
    _mine.begin()
    try:
        result = work(*arguments)
    finally:
        close_old_connections()
    _mine.worked()
    return result
