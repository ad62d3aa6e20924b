"""People in rooms of Synapse: the same load and the same account as Parley's `sending`.

Each has a `/sync` long poll open all the time, as Element does, with a timeline that is long
enough for all that is under way; a message is a PUT. What is heard is kept as bytes and looked
at afterwards.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

import msgspec

from benchmarks.figures import Incorrect
from benchmarks.gateway.connection import Closed
from benchmarks.gateway.sending import Load, Sending, Times, next_text
from benchmarks.peers.homeserver import Guest
from dev.ports import LOOPBACK

PATIENCE, _LOOK = 90.0, 0.02
_MESSAGE, _NEXT = b'"m.room.message"', b'"next_batch":"'
_FILTER = {
    "presence": {"types": []},
    "account_data": {"types": []},
    "room": {"timeline": {"limit": 200}, "state": {"lazy_load_members": True}},
}
"""As Element asks, but for a longer timeline: nothing is left out that was not read yet."""


Heard = tuple[float, dict[str, Any]]
"""When it was heard (perf_counter), and the event."""


class Exchange(asyncio.Protocol):
    """One kept-alive connection: a request, then its answer at `on_answer`, then the next."""

    def __init__(self, on_answer: "Callable[[Exchange, int, bytes], None]") -> None:
        self._on_answer = on_answer
        self.closed: Closed | None = None
        self._rest = b""
        self._transport: asyncio.Transport

    @classmethod
    async def open(
        cls, port: int, on_answer: "Callable[[Exchange, int, bytes], None]"
    ) -> "Exchange":
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: cls(on_answer), LOOPBACK, port)
        return made

    def write(self, request: bytes) -> None:
        self._transport.write(request)

    def abort(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if whole := answered(self._rest):
            self._rest = b""
            self._on_answer(self, *whole)

    def connection_lost(self, _: Exception | None) -> None:
        self.closed = Closed("Synapse cut the connection")


def answered(data: bytes) -> tuple[int, bytes] | None:
    """Return status and body of an HTTP/1.1 answer, or None while it is not whole."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return None
    status, lower = int(head[9:12]), head.lower()
    if (at := lower.find(b"content-length:")) >= 0:
        size = int(lower[at + 15 :].split(b"\r\n", 1)[0])
        return (status, body) if len(body) >= size else None
    if b"chunked" not in lower:
        raise Incorrect(f"an answer of unknown length: {head!r}")
    pieces: list[bytes] = []
    while True:
        line, found, body = body.partition(b"\r\n")
        if not found:
            return None
        size = int(line, 16)
        if len(body) < size + 2:
            return None
        if not size:
            return status, b"".join(pieces)
        pieces.append(body[:size])
        body = body[size + 2 :]


class Writer:
    """A member of one room. `taken` counts acknowledgements, `heard_messages` what it heard."""

    def __init__(self, guest: Guest, room: str) -> None:
        self._guest, self._room = guest, room
        self.said = self.taken = self.heard_messages = 0
        self.heard: list[tuple[float, bytes]] = []
        self.on_taken: Callable[[Writer], None] = lambda _: None
        self.failure: Incorrect | None = None
        self._answers: list[tuple[float, Sending, bytes]] = []
        self._idle: list[Exchange] = []
        self._sent: dict[Exchange, Sending] = {}
        self._filter = ""
        self._polling: Exchange | None = None

    async def enter(self, sends_at_once: int) -> None:
        """Follow the room from now on, with connections for so many sends at once."""
        user, port = quote(self._guest.user), self._guest.port
        path = f"/_matrix/client/v3/user/{user}/filter"
        ask = self._guest.ask
        self._filter = (await asyncio.to_thread(ask, "POST", path, **_FILTER))["filter_id"]
        first = f"/_matrix/client/v3/sync?filter={self._filter}&timeout=0"
        position = (await asyncio.to_thread(ask, "GET", first))["next_batch"]
        self._idle = [await Exchange.open(port, self._acknowledged) for _ in range(sends_at_once)]
        self._polling = await Exchange.open(port, self._hear)
        self._poll(position.encode())

    def send(self, intended: float) -> None:
        """Send the next message, which was to be sent at `intended` (perf_counter)."""
        self.said += 1
        message = Sending(str(uuid4()), f"{next_text()} {self.said}", intended)
        if not self._idle:
            raise Incorrect("more sends at once than there are connections")
        exchange = self._idle.pop()
        self._sent[exchange] = message
        body = msgspec.json.encode({"msgtype": "m.text", "body": message.text})
        path = f"/_matrix/client/v3/rooms/{quote(self._room)}/send/m.room.message/{message.id}"
        exchange.write(self._request("PUT", path.encode(), body))

    def _request(self, method: str, path: bytes, body: bytes = b"") -> bytes:
        head = f" HTTP/1.1\r\nHost: {LOOPBACK}\r\nAuthorization: Bearer {self._guest.token}\r\n"
        size = f"Content-Length: {len(body)}\r\n\r\n"
        return b"%s %s%s%s" % (method.encode(), path, (head + size).encode(), body)

    def _poll(self, position: bytes) -> None:
        path = f"/_matrix/client/v3/sync?filter={self._filter}&timeout=30000&since="
        if self._polling:
            self._polling.write(self._request("GET", path.encode() + position))

    def _hear(self, _: Exchange, status: int, body: bytes) -> None:
        if status != 200:
            self.failure = Incorrect(f"/sync was answered with {status} {body[:200]!r}")
            return
        at = body.index(_NEXT) + len(_NEXT)
        self._poll(body[at : body.index(b'"', at)])
        if messages := body.count(_MESSAGE):
            self.heard_messages += messages
            self.heard.append((time.perf_counter(), body))

    def _acknowledged(self, exchange: Exchange, status: int, body: bytes) -> None:
        message = self._sent.pop(exchange)
        self._idle.append(exchange)
        if status != 200:
            self.failure = Incorrect(f"a send was answered with {status} {body[:200]!r}")
            return
        self._answers.append((time.perf_counter(), message, body))
        self.taken += 1
        self.on_taken(self)

    @property
    def trouble(self) -> Incorrect | None:
        """Why there is nothing more to wait for, if so."""
        return self.failure or next((one.closed for one in self._exchanges if one.closed), None)

    def abort(self) -> None:
        """Cut all connections."""
        for exchange in self._exchanges:
            exchange.abort()

    @property
    def _exchanges(self) -> list[Exchange]:
        return [*self._idle, *self._sent, *([self._polling] if self._polling else [])]

    def acknowledged(self) -> Iterator[tuple[str, Sending, float]]:
        """Take the acknowledgements: event, message, the seconds that it took."""
        answers, self._answers = self._answers, []
        for at, message, body in answers:
            yield msgspec.json.decode(body)["event_id"], message, at - message.intended

    def events(self) -> Iterator[Heard]:
        """Take the messages that it heard. Raises Incorrect where some were left out."""
        heard, self.heard = self.heard, []
        for at, body in heard:
            timeline = msgspec.json.decode(body)["rooms"]["join"][self._room]["timeline"]
            if timeline["limited"]:
                raise Incorrect("Synapse left out what was said before")
            for event in timeline["events"]:
                yield at, event


class Visitors(Load):
    """All who are in rooms of Synapse."""

    def __init__(self) -> None:
        self.rooms: list[list[Writer]] = []
        self.everyone: list[Writer] = []

    async def seat(self, room: str, guests: Sequence[Guest], sends_at_once: int) -> None:
        """Let these, who are in the room, follow it."""
        writers = [Writer(guest, room) for guest in guests]
        for writer in writers:
            await writer.enter(sends_at_once)
        self.rooms.append(writers)
        self.everyone += writers

    def abort(self) -> None:
        """Cut all connections."""
        for writer in self.everyone:
            writer.abort()

    async def settle(self) -> Times:
        """As `Crowd.settle`: all of a room heard the same in the same order. What one writer
        sends at once comes by several connections, and so in any order. Raises Incorrect."""
        deadline = time.monotonic() + PATIENCE
        while missing := self._missing():
            if time.monotonic() > deadline:
                raise Incorrect(missing)
            await asyncio.sleep(_LOOK)
        times = Times()
        for writers in self.rooms:
            sent = {}
            for writer in writers:
                for event_id, message, seconds in writer.acknowledged():
                    sent[event_id] = message
                    times.acknowledged.append(seconds)
            times.delivered += _compare(sent, [list(writer.events()) for writer in writers])
        return times

    def _missing(self) -> str:
        """What has not come yet, in words. Raises Incorrect where nothing more will."""
        if trouble := next((one.trouble for one in self.everyone if one.trouble), None):
            raise trouble
        unanswered = sum(one.said - one.taken for one in self.everyone)
        unheard = sum(
            max(0, sum(each.said for each in writers) - one.heard_messages)
            for writers in self.rooms
            for one in writers
        )
        if not (unanswered or unheard):
            return ""
        return f"{unanswered} sends not answered, {unheard} not heard after {PATIENCE:.0f} s"


def _compare(sent: dict[str, Sending], heard: Sequence[list[Heard]]) -> Iterator[float]:
    """What each of a room heard, against what was sent; the last one's seconds."""
    witness = heard[-1]
    order = [event["event_id"] for _, event in witness]
    if any([event["event_id"] for _, event in one] != order for one in heard):
        raise Incorrect("members of one room heard different things")
    if len(order) != len(sent) or {*order} != {*sent}:
        raise Incorrect(f"{len(sent)} were sent, {len(order)} heard")
    for at, event in witness:
        message = sent[event["event_id"]]
        if event["content"]["body"] != message.text:
            raise Incorrect("another text than was sent")
        yield at - message.intended
