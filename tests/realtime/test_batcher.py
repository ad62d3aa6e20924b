"""Group commit: together, in order, each with its own outcome."""

import asyncio
from collections.abc import Sequence

import pytest

from app.realtime.batcher import Batcher


async def test_what_arrives_during_a_commit_is_committed_together_next() -> None:
    batches: list[list[int]] = []
    free = asyncio.Event()

    async def work(items: Sequence[int]) -> list[int | Exception]:
        batches.append(list(items))
        await free.wait()
        return [item * 10 for item in items]

    batcher: Batcher[int, int] = Batcher(work, limit=3)
    runner = asyncio.create_task(batcher.run())
    first = batcher.put(1)
    await asyncio.sleep(0)
    rest = [batcher.put(number) for number in range(2, 8)]
    await asyncio.sleep(0.01)
    free.set()
    assert await asyncio.gather(first, *rest) == [10, 20, 30, 40, 50, 60, 70]
    assert batches == [[1], [2, 3, 4], [5, 6, 7]]
    runner.cancel()


async def test_one_refusal_is_nobody_elses() -> None:
    async def work(items: Sequence[int]) -> list[int | Exception]:
        return [ValueError("odd") if item % 2 else item for item in items]

    batcher: Batcher[int, int] = Batcher(work)
    runner = asyncio.create_task(batcher.run())
    outcomes = await asyncio.gather(*(batcher.put(n) for n in range(4)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [int, ValueError, int, ValueError]
    runner.cancel()


async def test_a_failed_commit_fails_all_of_its_batch_and_not_the_next() -> None:
    broken = True

    async def work(items: Sequence[int]) -> list[int | Exception]:
        if broken:
            raise ConnectionError("the database is away")
        return list(items)

    batcher: Batcher[int, int] = Batcher(work)
    runner = asyncio.create_task(batcher.run())
    with pytest.raises(ConnectionError):
        await batcher.put(1)
    broken = False
    assert await batcher.put(2) == 2
    runner.cancel()


async def test_after_a_large_batch_those_who_come_at_once_are_together() -> None:
    """Whoever was answered says the next thing at once; alone, nobody waits for others."""
    batches: list[int] = []

    async def work(items: Sequence[int]) -> list[int | Exception]:
        batches.append(len(items))
        return list(items)

    batcher: Batcher[int, int] = Batcher(work)
    runner = asyncio.create_task(batcher.run())
    await asyncio.gather(*(batcher.put(number) for number in range(20)))
    first = batcher.put(1)
    await asyncio.sleep(0)
    await asyncio.gather(first, *(batcher.put(number) for number in range(14)))
    await batcher.put(1)
    await batcher.put(2)
    assert batches == [20, 15, 1, 1]
    runner.cancel()
