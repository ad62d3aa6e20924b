"""Devices of members, and the sockets that they hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from app.errors import DomainError
from app.realtime import protocol
from app.realtime.client import negotiation
from app.realtime.client.negotiation import Negotiation
from app.realtime.rooms import Seat
from app.voice.lifetimes import Holder
from app.voice.rooms import Place
from tests.voice.simulation.database import (
    FAITHFUL_MS,
    USERS,
    Shown,
    Told,
    uuid,
)

if TYPE_CHECKING:
    from tests.voice.simulation.instances import Instance
    from tests.voice.simulation.world import World


@dataclass(eq=False)
class Socket:
    """What is pushed arrives later, in order; or never, when the socket is cut before."""

    client: Client
    instance: Instance
    seat: Seat | None = None
    queue: deque[Callable[[], None]] = field(default_factory=deque)

    def offer(self, frame: bytes, *, ephemeral: bool = False) -> None:
        heard = msgspec.json.decode(frame)
        signal = msgspec.convert(heard["d"] | {"t": heard["t"]}, protocol.VoiceSignalled)
        self.queue.append(lambda: self.client.signalled(signal))

    def arrive(self) -> bool:
        """The next frame arrives; False if there is none."""
        if self.client.socket is not self or not self.queue:
            return False
        self.queue.popleft()()
        return True


class Client:
    """A device of a member: what it believes, and what it does by itself."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.user = USERS[number % len(USERS)]
        self.device = uuid(3, number)
        self.session = str(uuid(4, number))
        self.socket: Socket | None = None
        self.place: Place | None = None
        self.position = 0
        self.replica: Shown = {}
        self.peers: dict[str, Negotiation] = {}
        self.faithful = True
        """It renews by itself; else its process has died, or is stuck."""
        self.renewed_at = -FAITHFUL_MS
        self.asked_at = -FAITHFUL_MS
        self.seated_on: Socket | None = None
        self.missed: set[int] = set()
        """Outages in which it renewed, since Redis heard of it."""

    # What it asks for.

    def connect(self, instance: Instance) -> None:
        self.cut()
        self.socket = Socket(self, instance)

    def cut(self) -> None:
        if self.socket is not None:
            for hub in self.socket.instance.hubs.values():
                hub.stand_up(self.socket)
                hub.sockets = [one for one in hub.sockets if one is not self.socket]
        self.socket = None

    def renew(self) -> None:
        # Not while a resumption is under way: the older generation would be refused.
        if self.socket is None or self.place is None or self.seated_on is not self.socket:
            return
        holder = Holder(self.place.pid, self.place.gen, self.user, self.session)
        self.asked_at = self.world.now
        if self.socket.instance.renew(holder):
            self.renewed_at = self.world.now
            if self.world.leases.away:
                self.missed.add(self.world.leases.outages)
            else:
                self.missed.clear()
        else:
            self.gone()

    def gone(self) -> None:
        self.place = None
        self.replica, self.peers = {}, {}

    def is_kept(self) -> bool:
        """Connected, and renewing as it should: nobody may say that its time ran out.

        Of three outages that its renewals fell into, with no second between them, nothing is
        promised.
        """
        return (
            self.socket is not None
            and self.socket.instance.up
            and self.world.now - self.renewed_at <= FAITHFUL_MS
            and len(self.missed) <= 2
        )

    def seated(self, place: Place, offset: int, shown: Shown, granted_at: int) -> None:
        """The reply to a join or a resumption: the room at a position of its stream."""
        if self.place is None or self.place.pid != place.pid:
            self.peers = {}
        self.place, self.position, self.replica = place, offset, shown
        self.seated_on = self.socket
        self.renewed_at = self.asked_at = granted_at
        self.missed = {self.world.leases.outages} if self.world.leases.away else set()
        for pid, peer in shown.items():
            if pid in self.peers:
                self._perform(pid, self.peers[pid].renewed(me=place.gen, peer=peer["gen"]))
            elif pid != str(place.pid):
                self._meet(pid, peer["gen"], offering=place.gen == 1)
        for pid in set(self.peers) - set(shown):
            del self.peers[pid]

    # What it hears.

    def told(self, room: UUID, offset: int, told: Told) -> None:
        if self.place is None or self.place.conversation != room:
            return
        if offset <= self.position:
            return
        assert offset == self.position + 1, "a gap"
        self.position = offset
        self._apply(*told)
        if self.place and offset in self.world.database.snapshots[room]:
            assert self.replica == self.world.database.snapshots[room][offset], "replayed wrongly"

    def _apply(self, kind: str, data: dict[str, Any]) -> None:
        match kind:
            case "voice.joined":
                peer = data["participant"]
                self.replica[peer["pid"]] = dict(peer)
                if self.place and peer["pid"] != str(self.place.pid):
                    self._meet(peer["pid"], peer["gen"], offering=False)
            case "voice.resumed":
                self.replica[data["pid"]] |= data
                if self.place and data["pid"] == str(self.place.pid):
                    self.gone()  # on another socket, not this one
                elif data["pid"] in self.peers:
                    peers = self.peers[data["pid"]]
                    self._perform(data["pid"], peers.renewed(peer=data["gen"]))
            case "voice.changed":
                self.replica[data["pid"]] |= data
            case "voice.left":
                self.replica.pop(data["pid"], None)
                self.peers.pop(data["pid"], None)
                if self.place and data["pid"] == str(self.place.pid):
                    self.gone()

    # Its connections.

    def _meet(self, pid: str, gen: int, *, offering: bool) -> None:
        assert self.place is not None
        me = negotiation.Seat(str(self.place.pid), self.place.gen)
        self.peers[pid] = Negotiation(me, negotiation.Seat(pid, gen))
        if offering:
            self._perform(pid, self.peers[pid].needed())

    def signalled(self, signal: protocol.VoiceSignalled) -> None:
        if self.place is None:
            return  # it gave the place up by itself
        assert (signal.to, signal.gen) == (str(self.place.pid), self.place.gen), "to another one"
        sender = self.replica.get(signal.sender)
        assert sender is not None, "a signal from somebody who is not in the room"
        assert sender["gen"] == signal.sender_gen, "a signal from an older generation"
        if signal.sender in self.peers:  # it may have signalled to itself
            self._perform(signal.sender, self.peers[signal.sender].received(signal))

    def change_tracks(self) -> None:
        for pid, one in list(self.peers.items()):
            self._perform(pid, one.needed())

    def overdue(self) -> None:
        for pid, one in list(self.peers.items()):
            if pid in self.peers:
                again = one.overdue()
                # Who came back, or heard nothing at all, begins: no offer may be under way.
                wanted = not again and not one.settled
                self._perform(pid, one.needed() if wanted else again)

    def _perform(self, pid: str, actions: Sequence[negotiation.Action]) -> None:
        for action in actions:
            one = self.peers.get(pid)
            if one is None:
                return
            match action:
                case negotiation.Offer(neg):
                    self.send(one.described(neg, protocol.Description("offer", neg)))
                case negotiation.Answer(neg):
                    self.send(one.described(neg, protocol.Description("answer", neg)))
                case negotiation.Repeat(neg):
                    kind = "offer" if one._offered and one._offered.neg == neg else "answer"
                    self.send(one.described(neg, protocol.Description(kind, neg)))  # type: ignore[arg-type]

    def send(self, signal: protocol.VoiceSignalData) -> None:
        """As `Gateway._signal`: to a seat here, or to all other instances."""
        if self.socket is None or self.socket.seat is None:
            return
        seat, instance = self.socket.seat, self.socket.instance
        hub = instance.hub(UUID(seat.stream.partition(":")[2]))
        try:
            there = hub.room.find(signal.to, signal.gen)
        except DomainError:
            return
        frame = protocol.signalled(seat.stream, seat.pid, seat.gen, signal)
        if there is not None:
            there.offer(frame)
        else:
            for other in self.world.instances:
                if other is not instance and other.up:
                    other.passed.append((hub.name, frame))
