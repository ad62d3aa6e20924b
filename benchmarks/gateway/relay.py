"""Signaling between pairs: `voice.signal` of seats in calls, against peers.

500 bytes a message as it is sent; members, calls, leases and limits are real. Half of the calls
sit at one gateway, half across two, so that each signal goes through Redis. At ejabberd and
prosody a call is a room, and a signal a private message in it (XEP-0045, 7.5): the server looks
at who is in the room, and says who sent it, as Parley does. All take turns, so that a ratio is of
the same moment; once with one message in flight each way, once with bursts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import uvloop

from app.realtime.protocol import SIGNAL_BURST
from benchmarks.figures import Figure
from benchmarks.gateway.calls import ROOM, Room, Seat, paired, renewed, seated
from benchmarks.gateway.cast import Cast
from benchmarks.gateway.connection import Connection
from benchmarks.gateway.pairs import Side, relay
from benchmarks.gateway.servers import Gateway, Peer, Server, used
from benchmarks.gateway.sizes import sized
from benchmarks.gateway.turns import Turn, rate, ratio
from benchmarks.peers.programs import xmpp_user
from benchmarks.peers.stream import Stream, private
from tests.live import LiveDatabase
from tests.stack import running_stack

CALLS = 40
MOST = SIGNAL_BURST
"""What a socket may say at once: a turn ends sooner where servers are quick."""
PAIRS = CALLS * ROOM // 2
ROUNDS, SECONDS = 5, 1.5
WINDOWS = {1: "one at a time", 8: "bursts of 8"}


@dataclass
class Target:
    """Sides at servers that do the same work, and the turns that they had."""

    name: str
    servers: list[Server]
    sides: list[Side]
    turns: dict[int, list[Turn]] = field(default_factory=dict)

    async def work(self, window: int) -> None:
        result = await relay(
            self.sides, partial(used, self.servers), seconds=SECONDS, window=window, most=MOST
        )
        self.turns.setdefault(window, []).append(result)


def measure(scale: float) -> Iterator[Figure]:
    stack = running_stack()
    with (
        stack.fresh_database() as database,
        LiveDatabase(database).acting_as("app"),
        Gateway.running(LiveDatabase(database), stack.redis, stack) as here,
        Gateway.running(LiveDatabase(database), stack.redis, stack) as there,
        Peer.running("ws") as ws,
        Peer.running("peerjs") as peerjs,
        Peer.running("ejabberd") as ejabberd,
        Peer.running("prosody") as prosody,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        cast = Cast(2 * CALLS * ROOM)
        calls = cast.rooms(ROOM)
        targets = [
            Target("bare ws", [ws], runner.run(_pairs(_ws_side, ws.port))),
            Target("Parley", [here], []),
            Target("PeerJS", [peerjs], runner.run(_pairs(_peerjs_side, peerjs.port))),
            Target("Parley through Redis", [here, there], []),
            Target("ejabberd", [ejabberd], runner.run(_private_messages(ejabberd.port))),
            Target("prosody", [prosody], runner.run(_private_messages(prosody.port))),
        ]
        everyone: list[Seat] = []
        for target, some in ((targets[1], calls[:CALLS]), (targets[3], calls[CALLS:])):
            ports = [server.port for server in target.servers]
            for at in range(0, CALLS, 5):  # a ticket is good for half a minute
                rooms: list[Room] = [
                    (conversation, [(person, cast.ticket(person)) for person in people])
                    for conversation, people in some[at : at + 5]
                ]
                seats = runner.run(seated(rooms, ports, Seat))
                target.sides += paired(seats)
                everyone += [seat for call in seats for seat in call]
                runner.run(renewed(everyone))
        for window in WINDOWS:
            # The first turn of each is not counted: node compiles what runs often as it runs.
            for _ in range(1 + max(1, round(ROUNDS * scale))):
                for target in targets:
                    runner.run(renewed(everyone))
                    runner.run(target.work(window))
    for window, shape in WINDOWS.items():
        yield from _figures([target.turns[window][1:] for target in targets], targets, shape)


def _figures(
    turns: Sequence[Sequence[Turn]], targets: Sequence[Target], shape: str
) -> Iterator[Figure]:
    for target, mine in zip(targets, turns, strict=True):
        yield rate(f"{target.name}, signals, {shape}", "a CPU second", mine)
    ws, ours, peerjs, crossing, ejabberd, prosody = turns
    yield ratio(f"signals against bare ws, {shape}", ours, ws, 0.75)
    yield ratio(f"signals against PeerJS, {shape}", ours, peerjs, 1.0)
    yield ratio(f"signals against ejabberd, {shape}", ours, ejabberd, 4.0)
    yield ratio(f"signals against prosody, {shape}", ours, prosody, 15.0)
    yield ratio(f"signals through Redis against local, {shape}", crossing, ours, 0.6)


SideAt = Callable[[int, str, str], Awaitable[Side]]


async def _pairs(side_at: SideAt, port: int) -> list[Side]:
    return [
        await side_at(port, me, to)
        for number in range(PAIRS)
        for me, to in (
            (f"{number:03}a", f"{number:03}b"),
            (f"{number:03}b", f"{number:03}a"),
        )
    ]


async def _ws_side(port: int, me: str, to: str) -> Side:
    connection = Connection()
    await connection.open(port, f"/pair?me={me}&to={to}")
    return Side(connection, lambda neg: _json({"to": to, "neg": neg}))


async def _peerjs_side(port: int, me: str, to: str) -> Side:
    """An end that offers, once the server has said that it is open."""
    connection = Connection()
    opened = asyncio.get_running_loop().create_future()
    connection.on_texts = opened.set_result
    await connection.open(port, f"/peerjs?key=peerjs&id={me}&token=t{me}")
    await opened
    return Side(connection, lambda neg: _json({"type": "OFFER", "dst": to, "payload": neg}))


async def _private_messages(port: int) -> list[Side]:
    """Rooms of six, of whom the first and the second talk to each other, and so on."""
    sides = []
    for number in range(CALLS * ROOM):
        stream, room, place = Stream(), f"room{number // ROOM}", number % ROOM
        await stream.open(port, xmpp_user(number))
        await stream.enter(room, f"p{place}")
        sides.append(Side(stream, private(room, f"p{place ^ 1}")))
    return sides


def _json(fields: dict[str, Any]) -> bytes:
    return sized(lambda filling: msgspec.json.encode(fields | {"sdp": filling}))
