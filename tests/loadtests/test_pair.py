"""A pair of a voice room without a server."""

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from app.realtime.client.negotiation import Repeat
from app.realtime.protocol import Participant
from loadtests.ledger import Ledger
from loadtests.pair import Pair, Silence


def participant() -> Participant:
    names = {"user": str(uuid4()), "device": str(uuid4())}
    fields: dict[str, Any] = dict.fromkeys(Participant.__struct_fields__, "")
    return Participant(**fields | names | {"pid": str(uuid4()), "gen": 1})


def somebody() -> Any:
    """A voice whose signals go nowhere."""

    async def signal(_: object) -> None: ...

    def attend(part: Any) -> Any:
        return asyncio.get_running_loop().create_task(part)

    place = SimpleNamespace(pid=str(uuid4()), gen=1, conversation="ward-4", signal=signal)
    return SimpleNamespace(
        place=place, engine=SimpleNamespace(run="r", ledger=Ledger(), attend=attend)
    )


@pytest.mark.parametrize("steps", range(6))
def test_a_pair_that_has_something_to_do_can_be_closed_at_any_moment(steps: int) -> None:
    async def closed() -> None:
        pair = Pair(somebody(), participant(), Silence())
        await asyncio.sleep(0.01)
        pair.do([Repeat("1.1p")])
        for _ in range(steps):
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await pair.close()

    asyncio.run(closed())
