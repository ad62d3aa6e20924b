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
from typing import Any, Generic, TypeVar

from app import metrics

Item = TypeVar("Item")
Result = TypeVar("Result")


LIMIT = 200
GATHER_SECONDS = 0.001
GATHERINGS = 5
MANY = 10
"""Items of a batch after which the next is waited for."""


Work = Callable[[Sequence[Item]], Coroutine[Any, Any, Sequence[Result | Exception]]]
"""Returns a result or an exception for each item, in order."""


class Batches(Generic[Item, Result]):
    """Calls `work` with up to `limit` items at a time, and then `settle` with their outcomes.
    `waits` observes how long each item waited for its batch."""

    def __init__(
        self,
        work: Work[Item, Result],
        settle: Callable[[Sequence[Item], Sequence[Result | Exception]], None],
        *,
        limit: int = LIMIT,
        waits: metrics.Spread | None = None,
    ) -> None:
        self._work, self._settle = work, settle
        self._limit = limit
        self._waits = waits
        # Not asyncio's queue: that costs as much as decoding the command.
        self._waiting: deque[tuple[Item, float]] = deque()
        self._wake = asyncio.Event()
        self._before = 0

    def put(self, item: Item) -> None:
        """Queue `item`."""
        self._waiting.append((item, perf_counter()))
        self._wake.set()

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

    async def _do(self, batch: list[tuple[Item, float]]) -> None:
        if self._waits is not None:
            now = perf_counter()
            for _, since in batch:
                self._waits.observe(now - since)
        items = [item for item, _ in batch]
        try:
            outcomes: Sequence[Result | Exception] = await self._work(items)
        except Exception as error:
            outcomes = [error] * len(items)
        self._settle(items, outcomes)


class Batcher(Generic[Item, Result]):
    """The same for who awaits the outcome of one item."""

    def __init__(self, work: Work[Item, Result], *, limit: int = LIMIT) -> None:
        async def without_futures(
            asked: Sequence[tuple[Item, asyncio.Future[Result]]],
        ) -> Sequence[Result | Exception]:
            return await work([item for item, _ in asked])

        self._batches: Batches[tuple[Item, asyncio.Future[Result]], Result]
        self._batches = Batches(without_futures, _answer, limit=limit)

    def put(self, item: Item) -> asyncio.Future[Result]:
        """Queue `item`; the future has its result, or the exception that it met."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._batches.put((item, future))
        return future

    async def run(self) -> None:
        """Work until cancelled."""
        await self._batches.run()


def _answer(
    asked: Sequence[tuple[Item, asyncio.Future[Result]]],
    outcomes: Sequence[Result | Exception],
) -> None:
    for (_, future), outcome in zip(asked, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
