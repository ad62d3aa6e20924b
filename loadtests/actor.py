"""What all users have in common: turns, whose times are drawn whatever became of the last one,
and for those with a socket what may happen to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager

from app.realtime.client import Client
from app.realtime.client.transport import WebSocket
from loadtests.clock import now
from loadtests.people import Person


class Actor:
    """`actions` says how many of a hundred turns are which."""

    def __init__(self, person: Person, actions: Mapping[str, int]) -> None:
        self.person, self.engine = person, person.engine
        self._actions, self._weights = list(actions), list(actions.values())
        self._due: asyncio.Queue[tuple[float, str]] = asyncio.Queue()

    async def take_turns(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._intend())
            while True:
                at, action = await self._due.get()
                if at >= self.engine.backlog_since:
                    await self.do(action, at)

    async def do(self, action: str, at: float) -> None:
        """Do what was to be done `at` that time, booked with `engine.timed`."""
        raise NotImplementedError

    def possible(self, action: str) -> str:
        """Another action where this one cannot be done yet."""
        return action

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """A socket of this person's, which the engine may cut or slow down within."""
        async with self.person.client() as client, asyncio.TaskGroup() as group:

            def nerve(what: str, seconds: float) -> None:
                happening = _lose(client) if what == "storm" else _dawdle(client, seconds)
                operation = "reconnect" if what == "storm" else "slow-reader"
                group.create_task(self._booked(operation, happening))

            with self.engine.timed("connect"):
                await client.ready()
            self.engine.sockets += 1
            self.engine.nerves.add(nerve)
            try:
                yield client
            finally:
                self.engine.nerves.discard(nerve)
                self.engine.sockets -= 1

    async def _booked(self, operation: str, happening: Awaitable[None]) -> None:
        with self.engine.timed(operation):
            await happening

    async def _intend(self) -> None:
        at = now()
        while True:
            at = await self.engine.turn(self.person.account.kind, at)
            [drawn] = self.engine.chance.choices(self._actions, self._weights)
            action = self.possible(drawn)
            self.engine.log.intended(action)
            self._due.put_nowait((at, action))


def cut(client: Client) -> None:
    """As a network that is gone: nobody says a word."""
    if (link := client.link) and isinstance(link.transport, WebSocket):
        link.transport.socket.transport.abort()


async def _lose(client: Client) -> None:
    """Lose the socket, and wait for the next one."""
    before = client.link
    cut(client)
    while await client.ready() is before:
        await asyncio.sleep(0)


async def _dawdle(client: Client, seconds: float) -> None:
    """Read nothing for a while: the server must not wait, and all must arrive in the end."""
    if (link := client.link) and isinstance(link.transport, WebSocket):
        transport = link.transport.socket.transport
        transport.pause_reading()
        await asyncio.sleep(seconds)
        if not transport.is_closing():
            transport.resume_reading()
