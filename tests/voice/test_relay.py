"""Our credentials and our settings, as a real coturn takes them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aioice.stun import TransactionFailed
from aioice.turn import create_turn_endpoint

from app.realtime.protocol import IceServer
from app.voice.turn import ice
from dev.ports import LOOPBACK
from tests.turn import TurnServer, turn

__all__ = ["turn"]

DENIED = [
    "0.0.0.1", "10.0.0.1", "100.64.0.1", "127.0.0.2", "169.254.169.254", "172.16.0.1",
    "192.168.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
]  # fmt: skip


def credentials(turn: TurnServer, *, now: float = 0, secret: str = "") -> IceServer:
    given = ice(
        str(uuid4()), now or time.time(), stun=[], turn=[turn.url], secret=secret or turn.secret
    )
    return given.servers[0]


@asynccontextmanager
async def allocated(turn: TurnServer, username: str, password: str) -> AsyncIterator[Any]:
    server = (LOOPBACK, turn.port)
    transport, _ = await create_turn_endpoint(asyncio.DatagramProtocol, server, username, password)
    inner = transport._TurnTransport__inner_protocol  # type: ignore[attr-defined]
    try:
        yield inner
    finally:
        await inner.delete()


async def test_our_credentials_open_a_relay(turn: TurnServer) -> None:
    given = credentials(turn)
    async with allocated(turn, given.username, given.credential) as relay:
        assert relay.relayed_address[0] == LOOPBACK
        await relay.channel_bind(0x4000, (LOOPBACK, 40_000))


async def test_credentials_that_are_over_forged_or_another_s_open_nothing(
    turn: TurnServer,
) -> None:
    one, other = credentials(turn), credentials(turn)
    over = credentials(turn, now=time.time() - 700)
    forged = credentials(turn, secret="x" * 32)
    later = f"{int(time.time()) + 86_400}:{one.username.partition(':')[2]}"
    for username, password in [
        (over.username, over.credential),
        (forged.username, forged.credential),
        (one.username, other.credential),
        (later, one.credential),
    ]:
        with pytest.raises(TransactionFailed) as refused:
            async with allocated(turn, username, password):
                pass
        assert refused.value.response.attributes["ERROR-CODE"][0] == 401


async def test_nothing_is_relayed_into_a_private_network(turn: TurnServer) -> None:
    given = credentials(turn)
    async with allocated(turn, given.username, given.credential) as relay:
        for number, address in enumerate(DENIED, 0x4001):
            with pytest.raises(TransactionFailed) as refused:
                await relay.channel_bind(number, (address, 53))
            assert refused.value.response.attributes["ERROR-CODE"][0] == 403, address
