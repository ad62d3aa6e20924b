"""Fifty busy members on two instances, some of them in voice rooms.

All clients live on one event loop in a thread of its own; the test itself breaks things and
looks into the database. Everybody writes into one conversation, so that its order is decided
between fifty writers. `check` compares what each member was told with what is stored.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Any, TypeVar
from uuid import uuid4

from django.db import OperationalError

from app.accounts.models import User
from app.chat.models import Conversation, Message, MessageVersion
from app.realtime.client import Client, Device, Place, Position, Reload, Stopped, Stream
from app.realtime.client.streams import Phase
from app.realtime.models import Stream as StreamRow
from app.realtime.models import StreamEvent
from app.realtime.protocol import Ack, Durable
from app.voice.access import rosters
from loadtests.device import new_device
from tests.realtime.client.member import client_of
from tests.server import WebServer

AIM_SECONDS = 10.0
"""What is promised: after this long everybody is connected again."""
PATIENCE = 60.0
"""What a test waits for that, and for all else: it may share its machine."""
GHOST_SECONDS = 25.0
PAUSE_SECONDS = (0.5, 3.0)
FINGERPRINT = ":".join(["AB"] * 32)

Result = TypeVar("Result")


@dataclass
class Instances:
    """The servers, as behind a load balancer: whoever connects gets the next that runs."""

    servers: tuple[WebServer, ...]
    _turns: Iterator[int] = field(default_factory=itertools.count)

    def next_url(self) -> str:
        """Of one that runs; one that is going may be given out, and refuse."""
        running = [server for server in self.servers if server.is_running] or self.servers
        return running[next(self._turns) % len(running)].base_url


@dataclass
class Member:
    """One who writes now and then, and keeps what came."""

    user: User
    client: Client
    square: Stream
    device: Device
    heard: list[Durable] = field(default_factory=list)
    states: list[tuple[float, str]] = field(default_factory=list)
    room: Conversation | None = None
    place: Place | None = None

    @property
    def is_connected(self) -> bool:
        """Connected, and following again what it followed."""
        return self.client.state == "ready" and self.square.phase is Phase.LIVE

    def lost_since(self, moment: float) -> bool:
        """Whether there was a time without a connection."""
        return any(at >= moment and state != "ready" for at, state in self.states)

    def back_at(self, broken_at: float) -> float:
        """When it had a connection again; `broken_at` if it always had one."""
        if not self.lost_since(broken_at):
            return broken_at
        return next(at for at, state in reversed(self.states) if state == "ready")

    async def listen(self) -> None:
        async for happening in self.square:
            assert not isinstance(happening, Reload), "told to load everything again"
            if isinstance(happening, Durable):
                self.heard.append(happening)


class Town:
    """Made by `living_in`."""

    def __init__(self, instances: Instances, square: Conversation) -> None:
        self.instances, self.square = instances, square
        self.members: list[Member] = []
        self.sent: dict[str, str] = {}
        self.acked: dict[str, Ack] = {}
        self._writing = asyncio.Event()
        self._under_way = 0
        self._loop: asyncio.AbstractEventLoop
        self._failures: list[BaseException] = []

    # From the test's thread.

    def do(self, work: Coroutine[Any, Any, Result], seconds: float = PATIENCE) -> Result:
        """Run `work` where the clients live."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def until(self, true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        """Wait until `true()`, or fail."""
        deadline = time.monotonic() + seconds
        while not true():
            assert not self._failures, self._failures
            assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
            time.sleep(0.05)

    def connected_again_after(self, broken_at: float) -> float:
        """Wait until everybody is connected and stays so.

        Returns how long the last one took of those who lost their connection, else 0.
        """
        whole_since: float | None = None
        deadline = time.monotonic() + PATIENCE
        while whole_since is None or time.monotonic() < whole_since + 1.5:
            assert not self._failures, self._failures
            away = sum(not member.is_connected for member in self.members)
            now = time.monotonic()
            whole_since = None if away else whole_since or now
            assert now < deadline, f"{away} of {len(self.members)} are not connected again"
            time.sleep(0.02)
        return max(member.back_at(broken_at) for member in self.members) - broken_at

    def rest(self) -> None:
        """Nobody writes any more, and all that was written is acknowledged; until `check`."""
        self.do(self._stop_writing())
        self.until(lambda: self._under_way == 0, "every send is acknowledged")

    def check(self) -> str:
        """Nothing acknowledged is lost, twice or out of order; the rooms are what members see.

        Returns how much was compared. Writing rests meanwhile.
        """
        self.rest()
        name = f"conversation:{self.square.pk}"
        top = StreamRow.objects.get(name=name).top
        self.until(
            lambda: all(len(member.heard) >= top for member in self.members), "all have heard all"
        )
        rows = StreamEvent.objects.filter(stream=name).order_by("offset")
        log = [(row.offset, row.type, row.data.get("id")) for row in rows]
        assert [offset for offset, _, _ in log] == list(range(1, top + 1))
        for member in self.members:
            assert [(one.o, one.t, one.d.get("id")) for one in member.heard] == log
            texts = {e.d["id"]: e.d["body"] for e in member.heard if e.t == "message.created"}
            assert texts == self.sent, "what a member was told is what was written"
        self._check_messages()
        self._check_rooms()
        self._loop.call_soon_threadsafe(self._writing.set)
        return f"{len(self.acked)} messages, {top} events to each of {len(self.members)}"

    def _check_messages(self) -> None:
        kept = {str(row.pk): row.offset for row in Message.objects.filter(conversation=self.square)}
        assert kept.keys() == self.sent.keys() == self.acked.keys()
        assert kept == {id_: ack.offset for id_, ack in self.acked.items()}
        versions = MessageVersion.objects.filter(message__conversation=self.square)
        assert {str(v.message_id): v.body for v in versions} == self.sent
        assert len(versions) == len(kept), "one version each"

    def _check_rooms(self) -> None:
        """What every member in a room sees is what is stored, and all of them are still there."""
        for room in {member.room for member in self.members if member.room}:
            there = [member.place for member in self.members if member.room == room]
            self.until(lambda: self._agrees(room, there), "a room is the same for all")  # noqa: B023

    def _agrees(self, room: Conversation, there: list[Place | None]) -> bool:
        places = [place for place in there if place]
        assert [place.reason for place in places] == [None] * len(places), "somebody was put out"
        stored = rosters([str(room.pk)])[str(room.pk)]
        seen = [{one.pid: one.gen for one in place.participants.values()} for place in places]
        return stored == {place.pid: place.gen for place in places} and all(
            one == stored for one in seen
        )

    def until_the_database_answers(self) -> None:
        """This process's own connection was cut as well."""

        def answers() -> bool:
            with suppress(OperationalError):
                return StreamRow.objects.exists()
            return False

        self.until(answers, "PostgreSQL is back")

    # On the loop.

    async def join(self, member: Member, room: Conversation) -> None:
        member.room = room
        member.place = await member.client.join(str(room.pk), member.device, FINGERPRINT)

    async def _write(self, member: Member) -> None:
        while True:
            await self._writing.wait()
            await asyncio.sleep(SystemRandom().uniform(*PAUSE_SECONDS))
            if not self._writing.is_set():
                continue
            id_ = str(uuid4())
            self.sent[id_] = f"message {id_} of {member.user.pk}"
            self._under_way += 1
            ack = await member.client.send(str(self.square.pk), self.sent[id_], id_=id_)
            assert id_ not in self.acked
            self.acked[id_] = ack
            self._under_way -= 1

    async def _stop_writing(self) -> None:
        self._writing.clear()

    async def _live(self, started: threading.Event, ending: asyncio.Event) -> None:
        async with AsyncExitStack() as clients:
            for member in self.members:
                await clients.enter_async_context(member.client)
            tasks = [
                asyncio.create_task(self._watched(work))
                for member in self.members
                for work in (member.listen(), self._write(member))
            ]
            self._writing.set()
            started.set()
            await ending.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (Exception, Stopped) as error:
            self._failures.append(error)


@contextmanager
def living_in(instances: Instances, square: Conversation, users: list[User]) -> Iterator[Town]:
    """A town whose members are connected and write, until the end of the context."""
    town = Town(instances, square)
    epoch = StreamRow.objects.get(name=f"conversation:{square.pk}").epoch
    started, ending = threading.Event(), asyncio.Event()
    for user in users:
        states: list[tuple[float, str]] = []

        def note(state: str, states: list[tuple[float, str]] = states) -> None:
            states.append((time.monotonic(), state))

        client = client_of(user, instances.next_url, on_state=note)
        stream = client.follow(f"conversation:{square.pk}", Position(epoch, 0))
        town.members.append(Member(user, client, stream, new_device(), states=states))

    def run() -> None:
        with asyncio.Runner() as runner:
            town._loop = runner.get_loop()
            runner.run(town._live(started, ending))

    thread = threading.Thread(target=run, name="town")
    thread.start()
    try:
        assert started.wait(PATIENCE)
        yield town
    finally:
        town._loop.call_soon_threadsafe(ending.set)
        thread.join(PATIENCE)
