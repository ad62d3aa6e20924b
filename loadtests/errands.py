"""What the negotiation of a pair asks for, carried out in its order, and what is overdue."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from app.realtime.client.negotiation import Action, Negotiation


class Errands:
    """`run` until cancelled. After `overdue_seconds` without anything to do, the negotiation is
    asked what has to be said again."""

    def __init__(
        self,
        negotiation: Negotiation,
        perform: Callable[[Action], Awaitable[None]],
        *,
        overdue_seconds: float,
    ) -> None:
        self._negotiation, self._perform = negotiation, perform
        self._overdue_seconds = overdue_seconds
        self._due: asyncio.Queue[Sequence[Action]] = asyncio.Queue()

    def do(self, actions: Sequence[Action]) -> None:
        if actions:
            self._due.put_nowait(actions)

    async def run(self) -> None:
        while True:
            try:
                # Not `wait_for`, which forgets (until Python 3.12) that it was cancelled when
                # there is something at that moment: whoever closes the pair would wait for ever.
                async with asyncio.timeout(self._overdue_seconds):
                    actions = await self._due.get()
            except TimeoutError:
                actions = self._negotiation.overdue()
            for action in actions:
                await self._perform(action)
