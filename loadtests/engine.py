"""Where the users live: one event loop in a native thread, beside locust's hub of greenlets.

The project's client is asyncio, locust is gevent. locust's patching of the standard library is
switched off (it needs none of it here), so that both can run in one process; why so and not
otherwise: docs/decisions/0020-load-generator.md.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random, SystemRandom
from typing import Any

import uvloop

from app.realtime.client import ConnectionLost, Refused, Stopped
from loadtests.clock import now
from loadtests.http import Answered
from loadtests.ledger import Ledger
from loadtests.record import WorkerLog
from loadtests.schedule import Arrivals

TICK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Outcome:
    """One operation for locust's own tables."""

    kind: str
    name: str
    seconds: float
    error: Exception | None


class Engine:
    """Made and used by locust's thread; what actors call runs on the loop."""

    def __init__(self, log: WorkerLog, run: str) -> None:
        self.log, self.run, self.ledger = log, run, Ledger()
        self.arrivals = Arrivals(Random(SystemRandom().random()))  # noqa: S311 - people, no keys
        self.chance = self.arrivals.random
        self.outcomes: deque[Outcome] = deque(maxlen=100_000)
        self.rates: dict[str, float] = {}  # turns a second of one user, by kind
        self.failure = ""
        self.sockets = 0
        self._sleepers: set[asyncio.Future[bool]] = set()
        self.backlog_since = 0.0  # turns from before it are not taken any more
        self.nerves: set[Callable[[str, float], None]] = set()
        self._actors: set[asyncio.Task[None]] = set()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="engine", daemon=True)
        self._thread.start()

    # From locust's thread.

    def begin(self, actor: Callable[[], Coroutine[Any, Any, None]]) -> "asyncio.Task[None]":
        """Let somebody live until `end`."""

        async def made() -> asyncio.Task[None]:
            task = asyncio.create_task(actor())
            self._actors.add(task)
            task.add_done_callback(self._ended)
            return task

        return asyncio.run_coroutine_threadsafe(made(), self._loop).result()

    def end(self, actor: "asyncio.Task[None]") -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(actor.cancel)

    def pace(self, rates: dict[str, float]) -> None:
        """From now on each user of a kind has so many turns a second; 0: they only listen."""
        self._loop.call_soon_threadsafe(self._paced, rates)

    def happens(self, what: str, seconds: float) -> None:
        """`storm` takes everybody's socket away; `slow` keeps one user from reading."""

        def happen() -> None:
            for nerve in list(self.nerves)[: 1 if what == "slow" else None]:
                nerve(what, seconds)

        self._loop.call_soon_threadsafe(happen)

    def ask(self, work: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
        """Run something on the loop and return what it returns."""

        async def done() -> Any:
            return await work()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(seconds)

    def close(self) -> None:
        """End everybody and the loop; whoever is ended later is over already."""

        async def end_all() -> None:
            for actor in self._actors:
                actor.cancel()
            await asyncio.gather(*self._actors, return_exceptions=True)

        if not self._thread.is_alive():
            return
        self.ask(end_all)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    # On the loop.

    def attend(self, part: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Let a part of somebody's life run beside the rest; what it fails of is not overlooked."""
        task = self._loop.create_task(part)
        task.add_done_callback(self._ended)
        return task

    async def turn(self, kind: str, after: float) -> float:
        """Wait for the next intended time after `after`, and return it."""
        while True:
            at = self.arrivals.next(after, self.rates.get(kind, 0))
            if await self.until(at):
                self.log.late(now() - at)
                return at
            after = now()  # another rate: drawn anew

    async def until(self, at: float) -> bool:
        """Sleep until `at`; False when the pace changed before."""
        woken: asyncio.Future[bool] = self._loop.create_future()
        timer = self._loop.call_later(min(at - now(), 3600.0), _settle, woken)
        self._sleepers.add(woken)
        try:
            return await woken
        finally:
            timer.cancel()
            self._sleepers.discard(woken)

    @contextmanager
    def timed(
        self, operation: str, intended: float | None = None, kind: str = "socket"
    ) -> Iterator[None]:
        """Book what happens within as one operation. What is refused or fails goes no further.

        `intended` is when it was to begin, where it was booked as intended then; None: now.
        """
        if intended is None:
            intended = now()
            self.log.intended(operation)
        self.log.begun(operation)
        error: Exception | None = None
        try:
            yield
        except (Refused, Answered) as refused:
            self.log.refused(operation, str(refused.code))
            error = refused
        except (ConnectionLost, Stopped, OSError, TimeoutError, EOFError) as failed:
            self.log.failed(operation, type(failed).__name__.lower())
            error = failed
        seconds = now() - intended
        if error is None:
            self.log.done(operation, seconds)
        self.outcomes.append(Outcome(kind, operation, seconds, error))

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        ticking = self._loop.create_task(self._tick())
        try:
            self._loop.run_forever()
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(ticking)
            self._loop.close()

    async def _tick(self) -> None:
        """How late the loop itself is, whatever users do."""
        at = now()
        while True:
            at = max(at + TICK_SECONDS, now())
            await asyncio.sleep(at - now())
            self.log.late(now() - at)

    def _paced(self, rates: dict[str, float]) -> None:
        if not any(rates.values()):
            self.backlog_since = now()
        self.rates = rates
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(False)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._actors.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # A user that cannot live is a load that was not there: the run must not look fine.
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            self.failure = self.failure or f"{type(error).__name__}: {error}"


def _settle(woken: "asyncio.Future[bool]") -> None:
    if not woken.done():
        woken.set_result(True)
