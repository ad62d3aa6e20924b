"""Group commit: what arrives while a commit is under way is committed together next.

Order is kept: items are taken in the order in which they were put, and one batch is
finished before the next begins.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Calls `work` with up to `limit` items at a time; `work` returns a result or an
    exception for each, in order."""

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Coroutine[Any, Any, Sequence[Result | Exception]]],
        *,
        limit: int = 200,
    ) -> None:
        self._work = work
        self._limit = limit
        self._waiting: asyncio.Queue[tuple[Item, asyncio.Future[Result]]] = asyncio.Queue()

    def put(self, item: Item) -> asyncio.Future[Result]:
        """Queue `item`; the future has its result, or the exception that it met."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((item, future))
        return future

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._limit and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._do(batch)

    async def _do(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results: Sequence[Result | Exception] = await self._work([item for item, _ in batch])
        except Exception as error:
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
