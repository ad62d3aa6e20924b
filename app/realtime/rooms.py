"""Who is in a voice room, as its stream tells, and who of them sits at a socket of this process.

A hub keeps a room for each `voice:` stream that somebody here listens to. It is read in the
snapshot in which the log was read, and follows the stream from there, so it is exact at the
offset that was handed out. No frameworks, no waiting: a signal passes in one step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from app.errors import NotFound, StaleGeneration

PREFIX = "voice:"
MAX_HELD = 256
"""Signals that wait for the event which says who sent them; a client repeats what is lost."""


class Listener(Protocol):
    """What a room needs of a socket."""

    seat: "Seat | None"

    def offer(self, message: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Seat:
    """A socket's place in a room: it speaks as participant `pid` in generation `gen`."""

    stream: str
    pid: str
    gen: int


class _Route(msgspec.Struct):
    """Of a `voice.signalled`'s data, who sent it to whom."""

    to: str
    gen: int
    sender: str
    sender_gen: int


class _Signalled(msgspec.Struct):
    d: _Route


_route = msgspec.json.Decoder(_Signalled)


@dataclass(slots=True)
class Room:
    """`gens` has the generation of everyone in the room, by `pid`."""

    gens: dict[str, int] = field(default_factory=dict)
    _seats: dict[str, Listener] = field(default_factory=dict)
    _held: list[tuple[_Route, bytes]] = field(default_factory=list)
    _elsewhere: dict[str, str] = field(default_factory=dict)
    """Which process somebody's signals came from: a guess that saves all others a look."""

    def read(self, gens: Mapping[str, int]) -> None:
        """Take over what the database says, at the offset that was handed out."""
        self.gens = dict(gens)
        self._elsewhere.clear()

    def follow(self, kind: str, data: Mapping[str, Any]) -> None:
        """Do as a durable event of the stream says. Whose place is gone loses the seat."""
        match kind:
            case "voice.joined":
                self.gens[data["participant"]["pid"]] = data["participant"]["gen"]
            case "voice.resumed":
                self.gens[data["pid"]] = data["gen"]
                self._elsewhere.pop(data["pid"], None)
                self._unseat(data["pid"])
            case "voice.left":
                self.gens.pop(data["pid"], None)
                self._elsewhere.pop(data["pid"], None)
                self._unseat(data["pid"])

    def sit(self, socket: Listener, seat: Seat) -> None:
        """Give `socket` its seat; it has one at most, and a place is taken by one socket."""
        if self.gens.get(seat.pid) != seat.gen:
            return  # gone again while the answer was on its way: the events after it tell
        self._unseat(seat.pid)
        socket.seat = seat
        self._seats[seat.pid] = socket

    def stand_up(self, socket: Listener) -> None:
        """Take the socket's seat away; its participant stays until the lease ends."""
        if socket.seat is not None and self._seats.get(socket.seat.pid) is socket:
            self._unseat(socket.seat.pid)

    def _unseat(self, pid: str) -> None:
        socket = self._seats.pop(pid, None)
        if socket is not None:
            socket.seat = None

    def find(self, to: str, gen: int) -> Listener | None:
        """Return the socket at which participant `to` sits, None if that is elsewhere.

        Raises NotFound if they are not in the room, StaleGeneration if not as `gen`.
        """
        there = self.gens.get(to)
        if there is None:
            raise NotFound("They are not in this room.")
        if there != gen:
            raise StaleGeneration("They came back as another generation: negotiate anew.")
        return self._seats.get(to)

    def address_of(self, pid: str) -> str:
        """Return the process at which `pid` sat when it last signalled somebody here, or ""."""
        return self._elsewhere.get(pid, "")

    def has(self, frame: bytes) -> bool:
        """Tell whether whom the signal is for sits here."""
        return _route.decode(frame).d.to in self._seats

    def pass_on(self, frame: bytes, address: str = "") -> bool:
        """Hand a signal of another process, at `address`, to whom it is for, if they sit here.

        Returns False if it names somebody that is not in the room as known here: it is held,
        and the log is to be read, which tells whether they came meanwhile.
        """
        route = _route.decode(frame).d
        if route.to not in self._seats:
            return True
        if self._deliver(route, frame):
            if address:
                self._elsewhere[route.sender] = address
            return True
        if len(self._held) < MAX_HELD:
            self._held.append((route, frame))
        return False

    def pass_on_held(self) -> None:
        """After the log was read: what still does not fit is for nobody."""
        held, self._held = self._held, []
        for route, frame in held:
            self._deliver(route, frame)

    def _deliver(self, route: _Route, frame: bytes) -> bool:
        gens, socket = self.gens, self._seats.get(route.to)
        if gens.get(route.sender) != route.sender_gen or gens.get(route.to) != route.gen:
            return False
        if socket is not None:
            socket.offer(frame)
        return True
