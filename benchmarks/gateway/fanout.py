"""One conversation with 200 sockets: each message, committed elsewhere, goes to all of them.

Messages are committed by the services, in another process than the gateway, as another instance
or the REST API does; what they publish is kept back and given to Redis piece by piece. Bare `ws`
gets the very same texts at a socket; ejabberd and prosody get messages of that size in a room of
200, one of whom says them. Once one message is said at a time, once eight together, as a group
commit tells of them; whoever says them to a peer writes the eight at once, too.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from unittest.mock import patch
from uuid import UUID, uuid4

import msgspec
import uvloop
from django.db import connections

from app.accounts.models import User
from app.chat.services import Draft, send_messages
from app.realtime import hints
from app.realtime.services import conversation_stream
from benchmarks.figures import Figure
from benchmarks.gateway.cast import Cast
from benchmarks.gateway.connection import Connection, Member
from benchmarks.gateway.counting import Counter, arrived, numbered
from benchmarks.gateway.followers import ALIVE
from benchmarks.gateway.pairs import Mouth, Wire
from benchmarks.gateway.servers import Gateway, Peer, Server, used
from benchmarks.gateway.turns import Meter, Turn, rate, ratio
from benchmarks.peers.programs import xmpp_user
from benchmarks.peers.stream import Stream, to_all
from tests.live import LiveDatabase
from tests.stack import running_stack

LISTENERS = 200
BURSTS = {1: "one at a time", 8: "bursts of 8"}
WINDOW = 2
"""Bursts in flight: the next is said while one is handed out."""
ROUNDS, SECONDS = 5, 2.0
COMMITTED_AHEAD = 64
_publish = hints.publish  # `hints.publish` itself is another one while messages are committed
_BODY = "What the ward needs to know before the round, in a few sentences. " * 3


Say = Callable[[int], None]
"""Says the next so many messages together."""


class Listeners:
    """Sockets that hear the same: keeps WINDOW bursts in flight to all of them, by `say`."""

    def __init__(self, connections: Sequence[Wire], say: Say) -> None:
        self._say = say
        self._burst = 0
        self.keeping: asyncio.Task[None] | None = None
        self.said = self.delivered = 0
        self.sample = b""
        self.counters = [Counter() for _ in connections]
        for one, counter in zip(connections, self.counters, strict=True):
            one.on_texts = self._hearing(counter)

    def _hearing(self, counter: Counter) -> Callable[[list[bytes]], None]:
        def heard(texts: list[bytes]) -> None:
            self.delivered += counter.count(texts)
            self.sample = texts[-1]
            if self._burst:
                self._keep_saying()

        return heard

    def _keep_saying(self) -> None:
        while self.delivered > (self.said - WINDOW * self._burst) * len(self.counters):
            self.said += self._burst
            self._say(self._burst)

    async def work(self, used: Callable[[], float], seconds: float, burst: int) -> Turn:
        """Say and hear for so long, then wait for the rest: all of it, and its cost from the first
        to the last. Raises Incorrect."""
        meter = Meter(lambda: self.delivered, used)
        self._burst = burst
        self._keep_saying()
        await asyncio.sleep(seconds)
        self._burst = 0
        # A gateway that read the log may be ahead of what was said: all of them get that too.
        furthest = max(self.said, *(counter.received for counter in self.counters))
        await arrived(self.counters, [furthest] * len(self.counters))
        return meter.read()


class Speaker:
    """Says messages in a conversation: commits some ahead, and tells of them as is asked."""

    def __init__(self, author: User, conversation: UUID) -> None:
        self._author, self._conversation = author, conversation
        self._channel = hints.STREAM_CHANNEL + conversation_stream(conversation)
        self._told: deque[msgspec.Raw] = deque()
        self._number = 0
        self._thread = ThreadPoolExecutor(1)
        self._ahead: Future[list[msgspec.Raw]] | None = None

    def say(self, count: int) -> None:
        """Publish one hint of the next `count` messages, as a commit of so many would."""
        while len(self._told) < count:
            ahead = self._ahead or self._thread.submit(self._commit)
            self._told += ahead.result()
            self._ahead = self._thread.submit(self._commit)
        payload = msgspec.json.encode([self._told.popleft() for _ in range(count)])
        _publish([hints.Hint(self._channel, payload)])

    def _commit(self) -> list[msgspec.Raw]:
        drafts = [
            Draft(self._author, self._conversation, str(uuid4()), _BODY + numbered(number))
            for number in range(self._number, self._number + COMMITTED_AHEAD)
        ]
        self._number += COMMITTED_AHEAD
        kept: list[hints.Hint] = []
        with patch.object(hints, "publish", kept.extend):
            send_messages(drafts)
        mine = [hint.payload for hint in kept if hint.channel == self._channel]
        return [one for told in mine for one in msgspec.json.decode(told, type=list[msgspec.Raw])]

    def close(self) -> None:
        self._thread.submit(connections.close_all).result()  # each thread has its own
        self._thread.shutdown()


def measure(scale: float) -> Iterator[Figure]:
    stack, rounds = running_stack(), max(1, round(ROUNDS * scale))
    turns: dict[tuple[str, int], list[Turn]] = {}
    with (
        stack.fresh_database() as database,
        LiveDatabase(database).acting_as("app"),
        Gateway.running(LiveDatabase(database), stack.redis, stack) as gateway,
        ExitStack() as running,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        cast = Cast(LISTENERS)
        conversation = cast.conversation("everyone", cast.people)
        with closing(Speaker(cast.people[0], conversation)) as speaker:
            tickets = [cast.ticket(person) for person in cast.people]
            ours = runner.run(_at_gateway(gateway, tickets, conversation, speaker))
            runner.run(ours.work(lambda: used([gateway]), 0.3, 1))
            there: list[tuple[str, Server, Listeners]] = []
            for name, listen in PEERS.items():
                peer = running.enter_context(Peer.running(name))
                there.append((name, peer, runner.run(listen(peer.port, ours.sample))))
            there.append((OURS, gateway, ours))
            for burst in BURSTS:
                for _ in range(1 + rounds):  # the first is not counted: node compiles as it runs
                    for name, server, listeners in there:
                        work = listeners.work(partial(used, [server]), SECONDS, burst)
                        turns.setdefault((name, burst), []).append(runner.run(work))
    counted = {which: mine[1:] for which, mine in turns.items()}
    for burst, shape in BURSTS.items():
        for name in (*PEERS, OURS):
            title = f"{name}, fan-out to {LISTENERS}, {shape}"
            yield rate(title, "deliveries a CPU second", counted[name, burst])
        for name, limit in LIMITS.items():
            title = f"fan-out to {LISTENERS} against {name}, {shape}"
            yield ratio(title, counted[OURS, burst], counted[name, burst], limit)


async def _at_gateway(
    gateway: Gateway, tickets: Sequence[str], conversation: UUID, speaker: Speaker
) -> Listeners:
    members = [Member() for _ in tickets]
    for member, ticket in zip(members, tickets, strict=True):
        await member.enter(gateway.port, ticket)
        await member.ask("sub", s=conversation_stream(conversation))
    listeners = Listeners(members, speaker.say)
    listeners.keeping = asyncio.create_task(_keep_alive(members))
    return listeners


async def _keep_alive(members: Sequence[Member]) -> None:
    """While peers have their turns: the gateway closes what says nothing for 35 s."""
    while True:
        await asyncio.sleep(10)
        for member in members:
            member.write(ALIVE)


async def _at_ws(port: int, text: bytes) -> Listeners:
    """Listeners at bare `ws`, where a socket says texts like this one, numbered alike."""
    before, _, after = text.partition(b"#")
    speaker = Connection()
    await speaker.open(port, "/speak")
    ears = [Connection() for _ in range(LISTENERS)]
    for one in ears:
        await one.open(port, "/listen")
    return Listeners(ears, Mouth(speaker, lambda mark: before + mark.encode() + after[2:]).say)


async def _at_room(port: int, text: bytes) -> Listeners:
    """Occupants of a room, the first of whom says messages of this one's size."""
    streams = [Stream() for _ in range(LISTENERS)]
    for number, stream in enumerate(streams):
        await stream.open(port, xmpp_user(number))
        await stream.enter("everyone", f"p{number}")
    return Listeners(streams, Mouth(streams[0], to_all("everyone", len(text))).say)


OURS = "Parley"
PEERS = {"ws": _at_ws, "ejabberd": _at_room, "prosody": _at_room}
LIMITS = {"ws": 1.0, "ejabberd": 6.0, "prosody": None}
