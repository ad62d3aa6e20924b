"""What all users have in common: turns, whose times are drawn whatever became of the last one."""

import asyncio
from collections.abc import Mapping

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
                await self.do(action, at)

    async def do(self, action: str, at: float) -> None:
        """Do what was to be done `at` that time, booked with `engine.timed`."""
        raise NotImplementedError

    def possible(self, action: str) -> str:
        """Another action where this one cannot be done yet."""
        return action

    async def _intend(self) -> None:
        at = now()
        while True:
            at = await self.engine.turn(self.person.account.kind, at)
            [drawn] = self.engine.chance.choices(self._actions, self._weights)
            action = self.possible(drawn)
            self.engine.log.intended(action)
            self._due.put_nowait((at, action))
