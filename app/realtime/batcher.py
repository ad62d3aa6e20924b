"""Group commit: what arrives while a commit is under way is committed together next.

Order is kept: items are taken in the order in which they were put, and one batch is
finished before the next begins. Where many came together last time, a batch that would be much
smaller waits some milliseconds as long as more come: who was just answered says the next thing
at once, and a batch of one costs as much as one of ten. Who is alone waits for nobody.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from time import perf_counter
from typing import Any, Generic, NamedTuple, TypeVar

from app import metrics

Item = TypeVar("Item")
Result = TypeVar("Result")


GATHER_SECONDS = 0.001
GATHERINGS = 5
MANY = 10
"""Items of a batch after which the next is waited for."""


class _Waiting(NamedTuple, Generic[Item, Result]):
    item: Item
    future: asyncio.Future[Result]
    since: float


class Batcher(Generic[Item, Result]):
    """Calls `work` with up to `limit` items at a time; `work` returns a result or an
    exception for each, in order. `waits` observes how long each item waited for that."""

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Coroutine[Any, Any, Sequence[Result | Exception]]],
        *,
        limit: int = 200,
        waits: metrics.Spread | None = None,
    ) -> None:
        self._work = work
        self._limit = limit
        self._waits = waits
        # Not asyncio's queue: that costs as much as decoding the command.
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._wake = asyncio.Event()
        self._before = 0

    def put(self, item: Item) -> asyncio.Future[Result]:
        """Queue `item`; the future has its result, or the exception that it met."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, future, perf_counter()))
        self._wake.set()
        return future

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            if self._before >= MANY:
                await self._gather()
            number = min(self._limit, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(number)]
            if not self._waiting:
                self._wake.clear()
            self._before = number
            await self._do(batch)

    async def _gather(self) -> None:
        """Let those come who are on their way, if there are fewer yet than last time."""
        here = 0
        for _ in range(GATHERINGS):
            if here == len(self._waiting) or len(self._waiting) >= self._before:
                return
            here = len(self._waiting)
            await asyncio.sleep(GATHER_SECONDS)

    async def _do(self, batch: list[_Waiting[Item, Result]]) -> None:
        if self._waits is not None:
            now = perf_counter()
            for each in batch:
                self._waits.observe(now - each.since)
        try:
            results: Sequence[Result | Exception] = await self._work([each.item for each in batch])
        except Exception as error:
            results = [error] * len(batch)
        for (_, future, _), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
