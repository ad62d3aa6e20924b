"""People in rooms who send and hear each other: the load, and the account of every message.

What is heard is kept as bytes and looked at afterwards, so that hearing costs the generator
little. Whoever sits in a room must have heard the very same bytes; of one of them, the witness,
each is taken apart and compared with what was sent and with what was acknowledged.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Protocol
from uuid import UUID, uuid4
from zlib import crc32

import msgspec

from app.realtime.services import conversation_stream
from benchmarks.corpus import texts
from benchmarks.figures import Incorrect
from benchmarks.gateway.connection import TIMEOUT, Member, command
from benchmarks.gateway.followers import ALIVE
from benchmarks.gateway.frames import masked
from benchmarks.gateway.turns import Meter, Turn, turn

WARMING, _LOOK = 0.5, 0.02
_PUSH = b'{"s"'
_texts = cycle(texts(1000))


def next_text() -> str:
    """Return what somebody says next: words as in the corpus."""
    return next(_texts)


@dataclass(slots=True)
class Sending:
    """One message: when it was to be sent, and what became of it."""

    id: str
    text: str
    intended: float
    offset: int | None = None


class Talker(Member):
    """A member's socket in one room. `taken` counts acknowledgements, `heard_messages` what it
    heard of all members, itself included."""

    def __init__(self, conversation: UUID) -> None:
        super().__init__()
        self.conversation = str(conversation)
        self.said = self.taken = self.heard_messages = self.print = 0
        self.unsettled: dict[int, Sending] = {}
        self.pushes: list[tuple[float, bytes]] | None = None
        self.on_taken: Callable[[Talker], None] = lambda _: None
        self._answers: list[tuple[float, bytes]] = []

    async def enter_room(self, port: int, ticket: str, *, witness: bool) -> int:
        """Connect and follow the room; from here on every frame is counted. Returns its top."""
        await self.enter(port, ticket)
        answer = await self.ask("sub", s=conversation_stream(self.conversation))
        self.pushes = [] if witness else None
        self.on_texts = self._hear
        return int(answer["o"])

    def send(self, intended: float) -> None:
        """Send the next message, which was to be sent at `intended` (perf_counter)."""
        self.said += 1
        self._last += 1
        message = Sending(str(uuid4()), f"{next_text()} {self.said}", intended)
        self.unsettled[self._last] = message
        data = {"conversation": self.conversation, "id": message.id, "body": message.text}
        self.write(masked(command(self._last, "send", **data)))

    def _hear(self, texts: list[bytes]) -> None:
        now = time.perf_counter()
        for text in texts:
            if text.startswith(_PUSH):
                self.heard_messages += 1
                self.print = crc32(text, self.print)
                if self.pushes is not None:
                    self.pushes.append((now, text))
            else:
                self._answers.append((now, text))
                self.taken += 1
                self.on_taken(self)

    def acknowledged(self) -> Iterator[float]:
        """Take the acknowledgements apart: the seconds that each took. Raises Incorrect."""
        answers, self._answers = self._answers, []
        for at, text in answers:
            frame = msgspec.json.decode(text)
            message = self.unsettled.get(frame["id"])
            if message is None or message.offset is not None or "ok" not in frame:
                raise Incorrect(f"refused, unknown or acknowledged twice: {frame}")
            if frame["ok"]["id"] != message.id:
                raise Incorrect("the acknowledgement of another message")
            message.offset = frame["ok"]["offset"]
            yield at - message.intended


@dataclass(slots=True)
class Times:
    """Seconds from when a message was to be sent until it was acknowledged, until it arrived at
    the witness, and by how much the generator itself was late."""

    acknowledged: list[float] = field(default_factory=list)
    delivered: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)


class Speaking(Protocol):
    """Who sends: each acknowledgement is told to `on_taken`."""

    taken: int
    on_taken: Callable[[Any], None]

    def send(self, intended: float) -> None: ...


class Load(ABC):
    """Two ways of sending by everyone. What was sent must be accounted for: see `settle`."""

    everyone: Sequence[Speaking]

    @abstractmethod
    async def settle(self) -> Times:
        """Wait until all that was sent is acknowledged and heard by everyone in its room; then
        compare. Raises Incorrect for a message lost, doubled, changed or out of order."""

    @property
    def acknowledged(self) -> int:
        return sum(talker.taken for talker in self.everyone)

    async def saturate(
        self, used: Callable[[], float], seconds: float, *, under_way: int
    ) -> tuple[Turn, Times]:
        """Each keeps so many messages under way, for so long: what was acknowledged, and its
        cost with its delivery to everyone. Raises Incorrect."""

        def again(talker: Speaking) -> None:
            talker.send(time.perf_counter())

        for talker in self.everyone:
            talker.on_taken = again
            for _ in range(under_way):
                again(talker)
        await asyncio.sleep(WARMING)
        result = await turn(lambda: self.acknowledged, used, seconds)
        for talker in self.everyone:
            talker.on_taken = lambda _: None
        return result, await self.settle()

    async def exhaust(
        self, count: int, used: Callable[[], float], *, under_way: int
    ) -> tuple[Turn, Times]:
        """Each sends so many, and keeps so many of them under way: all of them, and their cost
        from the first to when everybody has heard the last. Raises Incorrect."""
        left = dict.fromkeys(self.everyone, count)

        def again(talker: Speaking) -> None:
            if left[talker]:
                left[talker] -= 1
                talker.send(time.perf_counter())

        meter = Meter(lambda: self.acknowledged, used)
        for talker in self.everyone:
            talker.on_taken = again
            for _ in range(under_way):
                again(talker)
        times = await self.settle()
        return meter.read(), times

    async def offer(
        self, rate: float, used: Callable[[], float], seconds: float
    ) -> tuple[Turn, Times]:
        """So many messages a second, evenly, by all in turn, whatever the server does meanwhile:
        times count from when each was to be sent. Raises Incorrect."""
        late: list[float] = []
        meter = Meter(lambda: self.acknowledged, used)
        start = time.perf_counter()
        for number in range(round(rate * seconds)):
            due = start + number / rate
            while (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            late.append(time.perf_counter() - due)
            self.everyone[number * 7 % len(self.everyone)].send(due)
            if number % 50 == 0:
                await asyncio.sleep(0)  # also when late: what arrives must be heard
        times = await self.settle()
        times.late = late
        return meter.read(), times


class Crowd(Load):
    """All talkers, by rooms; `_tops` are the rooms' offsets that are accounted for."""

    def __init__(self) -> None:
        self.rooms: list[list[Talker]] = []
        self.everyone: list[Talker] = []
        self._tops: list[int] = []

    async def seat(self, ports: Sequence[int], conversation: UUID, tickets: Sequence[str]) -> None:
        """Members of one room, with these tickets, take seats at the servers in turn."""
        room = [Talker(conversation) for _ in tickets]
        top = 0
        for number, (talker, ticket) in enumerate(zip(room, tickets, strict=True)):
            port, last = ports[number % len(ports)], number == len(room) - 1
            top = await talker.enter_room(port, ticket, witness=last)
        self.rooms.append(room)
        self.everyone += room
        self._tops.append(top)
        await self.stay()

    async def stay(self) -> None:
        """Say that everybody is still there, for those who say nothing else."""
        for talker in self.everyone:
            talker.write(ALIVE)

    async def settle(self) -> Times:
        async with asyncio.timeout(TIMEOUT):
            while not self._is_quiet():
                await asyncio.sleep(_LOOK)
        times = Times()
        for number, room in enumerate(self.rooms):
            for talker in room:
                times.acknowledged += talker.acknowledged()
            if len({(talker.print, talker.heard_messages) for talker in room}) > 1:
                raise Incorrect("members of one room heard different things")
            times.delivered += self._compare(number, room)
        return times

    def _is_quiet(self) -> bool:
        if closed := next((one.closed for one in self.everyone if one.closed), None):
            raise closed
        for room in self.rooms:
            said = sum(one.said for one in room)
            if any(one.taken < one.said or one.heard_messages < said for one in room):
                return False
        return True

    def _compare(self, number: int, room: Sequence[Talker]) -> Iterator[float]:
        """What the witness heard against what was sent since the last time."""
        sent: dict[str, tuple[int, Talker, Sending]] = {}
        for talker in room:
            sent |= {one.id: (at, talker, one) for at, one in talker.unsettled.items()}
            talker.unsettled = {}
        heard, room[-1].pushes = room[-1].pushes or [], []
        reached: dict[Talker, int] = {}
        for at, text in heard:
            frame = msgspec.json.decode(text)
            if frame.get("t") != "message.created" or frame["d"]["id"] not in sent:
                raise Incorrect(f"a {frame.get('t')} of nobody's, or one that came twice")
            order, talker, message = sent.pop(frame["d"]["id"])
            self._tops[number] += 1
            if frame["o"] != self._tops[number] or frame["o"] != message.offset:
                raise Incorrect(f"offset {frame['o']} at {self._tops[number]}: {message.offset}")
            if frame["d"]["body"] != message.text:
                raise Incorrect("another text than was sent")
            if order <= reached.get(talker, 0):
                raise Incorrect("messages of one sender are out of order")
            reached[talker] = order
            yield at - message.intended
        if sent:
            raise Incorrect(f"{len(sent)} messages were heard by nobody")
