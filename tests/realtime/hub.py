"""A hub of the test's own process, on its database and Redis, whose sockets are lists."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from msgspec import Struct

from app.errors import NotFound
from app.realtime import services
from app.realtime.hub import Hub
from app.realtime.lanes import Lane, Lanes
from app.realtime.protocol import Subscribed
from app.realtime.services import Principal
from app.realtime.socket import Socket

PATIENCE = 60.0


class Board:
    """A hub, and who may not listen to what."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.failures = 0
        """Of so many of the next reads the database is away."""
        self.portions = asyncio.Event()
        """While it is clear, what is read for a slow reader is not handed out yet."""
        self.portions.set()
        self.lanes = Lanes()
        self.hub = Hub(
            redis_url=settings.REDIS_URL,
            in_thread=self._in_thread,
            open_bodies=lambda _: None,
            open_at_once=lambda events: not events,
            authorize=self._authorize,
            rosters=lambda _: {},
        )

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        result = await self.lanes.run(Lane.DELIVERY, work, *arguments)
        if work.__name__ == "_read_portion":
            await self.portions.wait()
        return result

    def _authorize(self, pairs: Sequence[tuple[Principal, str]]) -> list[Exception | None]:
        return [NotFound() if stream in self.refused else None for _, stream in pairs]

    async def do(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Something with the database, in a thread."""
        return await self.lanes.run(Lane.COMMANDS, work, *arguments)

    async def emit(self, stream: str, events: Collection[Struct]) -> None:
        await self.do(partial(_emit, stream, events))

    async def sub(
        self, socket: Socket, stream: str, position: tuple[str, int] | None = None
    ) -> list[Subscribed]:
        """Subscribe as a command does; returns the answers, of which there is one at most."""
        answers: list[Subscribed] = []

        def confirm(subscribed: Subscribed) -> None:
            socket.streams.add(stream)
            answers.append(subscribed)

        await self.hub.attach(socket, stream, position, confirm)
        return answers

    def unsub(self, socket: Socket, stream: str) -> None:
        socket.streams.discard(stream)
        self.hub.detach(socket, stream)


def _emit(stream: str, events: Collection[Struct]) -> None:
    with transaction.atomic():
        services.emit(stream, *events)


@asynccontextmanager
async def a_board() -> AsyncIterator[Board]:
    board = Board()
    running = asyncio.create_task(board.hub.run())
    try:
        yield board
    finally:
        running.cancel()
        await asyncio.wait({running})
        board.lanes.close()


async def until(true: Callable[[], bool], what: str) -> None:
    """Wait until `true()`, or fail."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.005)
    assert true(), what
