"""A small server of a test's own, on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[int]:
    """Its port. With each client it talks until either ends it; what fails in that is raised."""
    talks: list[asyncio.Task[None]] = []

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):  # a client cuts it off
                await talk(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(whole, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
        for one in talks:
            one.cancel()
        for outcome in await asyncio.gather(*talks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
