"""Parley's voice rooms in simulation: three instances around the pure modules.

Real are `app.voice.rooms` and `lifetimes`, `app.realtime.rooms` (what a hub knows) and the
client's `Negotiation`. Simulated are the database (transactions happen at a moment), the leases
(`LeaseTable`), the hints between instances, which may be late, lost, doubled or out of order,
sockets that break, instances that die, and clocks that are wrong. All that must hold at every
moment is asserted where it happens; the rest in `quiet`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from app.errors import DomainError, NotFound
from app.realtime import protocol
from app.realtime import rooms as hub_rooms
from app.realtime.client import negotiation
from app.realtime.client.negotiation import Negotiation
from app.realtime.rooms import Seat
from app.voice import lifetimes, rooms
from app.voice.leases import Away
from app.voice.lifetimes import GAP_MS, LEASE_MS, Holder, Living, Plan, Turn
from app.voice.rooms import Change, House, Identity, Limits, Place
from tests.voice.lease_table import LeaseTable

LIMITS = Limits(capacity=3)
SECOND = 1000
FAITHFUL_MS = 6 * SECOND
GONE_MS = LEASE_MS + 2 * 2 * SECOND
EPOCH = "epoch"

Told = tuple[str, dict[str, Any]]
Shown = dict[str, dict[str, Any]]


def uuid(kind: int, number: int) -> UUID:
    return UUID(int=(kind << 64) + number)


ROOMS = [uuid(1, number) for number in range(2)]
USERS = [uuid(2, number) for number in range(4)]
HOST = USERS[0]


@dataclass
class Record:
    """The call record of one participant, and of one call."""

    conversation: UUID
    began: int
    ended: int | None = None


class Database:
    """The truth: rows, streams, members. Every change is one call of `commit`."""

    def __init__(self) -> None:
        self.house = House()
        self.log: dict[UUID, list[Told]] = {room: [] for room in ROOMS}
        self.snapshots: dict[UUID, dict[int, Shown]] = {room: {0: {}} for room in ROOMS}
        self.members = {(user, room) for user in USERS for room in ROOMS}
        self.ended_sessions: set[str] = set()
        self.calls: list[Record] = []
        self.stays: dict[UUID, list[Record]] = {}

    def commit(self, changes: Sequence[Change], now: int) -> None:
        for change in changes:
            self._record(change, now)
            event = rooms.event(change, call=UUID(int=0), at="")
            if event is not None and not isinstance(change, rooms.Summoned):
                where = conversation_of(change)
                self.log[where].append((protocol.tag(event), protocol.event_data(event)))
        self.house = self.house.after(changes)
        for room in {conversation_of(change) for change in changes}:
            self.snapshots[room][len(self.log[room])] = self.shown(room)
        self._check()

    def _record(self, change: Change, now: int) -> None:
        match change:
            case rooms.Opened(room):
                self.calls.append(Record(room, now))
            case rooms.Closed(room):
                (on,) = self.calls_on(room)
                on.ended = now
            case rooms.Joined(place):
                self.stays.setdefault(place.pid, []).append(Record(place.conversation, now))
            case rooms.Left(place):
                (stay,) = self.stays[place.pid]
                assert stay.ended is None, "left twice"
                stay.ended = now

    def _check(self) -> None:
        living = list(self.house.living().values())
        devices = [(one.user, one.device) for one in living]
        assert len(devices) == len(set(devices)), "a device in two rooms"
        assert all(len(stays) == 1 for stays in self.stays.values()), "joined twice"
        for room in ROOMS:
            there = self.house.room(room)
            assert len(there) <= LIMITS.capacity, "above capacity"
            assert len(self.calls_on(room)) == bool(there), (
                "a call without anybody, or somebody without a call"
            )

    def calls_on(self, room: UUID) -> list[Record]:
        return [one for one in self.calls if one.conversation == room and one.ended is None]

    def shown(self, room: UUID) -> Shown:
        there = self.house.room(room).values()
        return {str(one.pid): msgspec.to_builtins(rooms.participant(one)) for one in there}

    def roster(self, room: UUID) -> dict[str, int]:
        return {str(pid): one.gen for pid, one in self.house.room(room).items()}

    def living(self) -> list[Living]:
        return [
            Living(one.pid, one.gen, one.user, (one.user, one.conversation) in self.members)
            for one in self.house.living().values()
        ]

    def present(self, holders: Sequence[Holder]) -> set[Holder]:
        known = {(one.pid, one.gen, one.user) for one in self.house.living().values()}
        return {one for one in holders if (one.pid, one.gen, one.user) in known}


def conversation_of(change: Change) -> UUID:
    match change:
        case rooms.Opened(room) | rooms.Closed(room) | rooms.HandedOver(conversation=room):
            return room
        case _:
            return change.place.conversation


@dataclass(eq=False)
class Socket:
    """What is pushed arrives later, in order; or never, when the socket is cut before."""

    client: "Client"
    instance: "Instance"
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


class Hub:
    """What one instance knows of one room, as `app.realtime.hub` does it."""

    def __init__(self, world: "World", room: UUID) -> None:
        self._world, self.name = world, room
        self.room = hub_rooms.Room()
        self.offset = len(world.database.log[room])
        self.room.read(world.database.roster(room))
        self.sockets: list[Socket] = []

    def hear(self, offset: int, told: Told) -> None:
        """A hint: told twice it is dropped, after a gap the log is read."""
        if offset == self.offset + 1:
            self._hand_out(offset, told)
        elif offset > self.offset:
            self.catch_up()

    def catch_up(self) -> None:
        log = self._world.database.log[self.name]
        for offset in range(self.offset + 1, len(log) + 1):
            self._hand_out(offset, log[offset - 1])
        assert self.room.gens == self._world.database.roster(self.name), "followed wrongly"
        self.room.pass_on_held()

    def _hand_out(self, offset: int, told: Told) -> None:
        self.offset = offset
        self.room.follow(*told)
        for socket in self.sockets:
            socket.queue.append(partial(socket.client.told, self.name, offset, told))

    def admit(self, socket: Socket, place: Place, position: int, reply: Callable[[], None]) -> None:
        """A socket takes a seat: the reply, and after it the events since `position`."""
        self.catch_up()
        self.room.read(self._world.database.roster(self.name))
        if socket not in self.sockets:
            self.sockets.append(socket)
        self.stand_up(socket)
        self.room.sit(socket, Seat(f"voice:{self.name}", str(place.pid), place.gen))
        socket.queue.append(reply)
        for offset in range(position + 1, self.offset + 1):
            told = self._world.database.log[self.name][offset - 1]
            socket.queue.append(partial(socket.client.told, self.name, offset, told))

    def stand_up(self, socket: Socket) -> None:
        if socket.seat is not None:
            seated = UUID(socket.seat.stream.partition(":")[2])
            socket.instance.hubs[seated].room.stand_up(socket)


class Instance:
    """A gateway process; `skew` is by how many ms its clock is wrong."""

    def __init__(self, world: "World", skew: int) -> None:
        self.world, self.skew = world, skew
        self.up = True
        self.hubs: dict[UUID, Hub] = {}
        self.inbox: list[tuple[UUID, int, Told]] = []
        self.passed: list[tuple[UUID, bytes]] = []
        self.plan: Plan | None = None

    def hub(self, room: UUID) -> Hub:
        if room not in self.hubs:
            self.hubs[room] = Hub(self.world, room)
        return self.hubs[room]

    def crash(self) -> None:
        self.up, self.plan = False, None
        for client in self.world.clients:
            if client.socket is not None and client.socket.instance is self:
                client.socket = None
        self.hubs.clear()
        self.inbox.clear()
        self.passed.clear()

    def renew(self, holder: Holder) -> bool:
        """As `services.renew_many`; False: refused."""
        world = self.world
        try:
            (done,) = world.leases.renew([holder])
        except Away:
            return bool(world.database.present([holder]))
        if not done:
            there = world.database.present([holder])
            world.leases.grant(list(there))
            done = bool(there)
        assert (
            not done or world.database.present([holder]) or holder.pid in world.dropped_in_vain
        ), "the renewal of somebody who is gone"
        return done

    def begin_sweep(self) -> None:
        """As `services.sweep`, up to what is to be done; much may happen before it is."""
        world = self.world
        try:
            turn = world.leases.turn()
            if turn is Turn.NOT_YET:
                return
            reading = world.leases.read()
        except Away:
            for one in world.database.living():
                if not one.may_stay:
                    world.put_out(rooms.revoke, one)
            return
        live = {one for one in reading.sessions() if str(one) not in world.database.ended_sessions}
        living = world.database.living()
        gap = turn is Turn.AFTER_A_GAP
        self.plan = lifetimes.plan(reading, living, live_sessions=live, after_a_gap=gap)

    def finish_sweep(self) -> None:
        world, plan = self.world, self.plan
        if plan is None:
            return
        self.plan = None
        world.leases.drop(plan.forget)
        world.dropped_in_vain -= set() if world.leases.away else set(plan.forget)
        world.leases.grant(list(world.database.present(plan.grant)))
        with suppress(Away):
            world.leases.swept()
        for one in plan.revoke:
            world.put_out(rooms.revoke, one)
        for one in plan.expire:
            self._expire(one)

    def _expire(self, one: Living) -> None:
        world = self.world
        if not self.asks_again:
            world.put_out(rooms.expire, one)
            return
        try:
            reading = world.leases.read()
        except Away:
            return
        if reading.ended(one.pid, one.gen):
            world.put_out(rooms.expire, one)

    asks_again = True
    """Under the row's lock. Only a planted bug does not."""


class Client:
    """A device of a member: what it believes, and what it does by itself."""

    def __init__(self, world: "World", number: int) -> None:
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
        """Outages in which it renewed, since a renewal was noted."""

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

        Of two outages that its renewals fell into, one after the other, nothing is promised.
        """
        return (
            self.socket is not None
            and self.socket.instance.up
            and self.world.now - self.renewed_at <= FAITHFUL_MS
            and len(self.missed) <= 1
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


@dataclass
class Frame:
    """A command that was carried out; carried out again it must change nothing."""

    client: Client
    run: Callable[[], None]


class World:
    """Everything, at `now` ms."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.pids = 0
        self.database = Database()
        self.leases = LeaseTable(lambda: self.now)
        self.instances = [Instance(self, skew) for skew in (0, 40 * SECOND, -40 * SECOND)]
        self.clients = [Client(self, number) for number in range(6)]
        self.frames: list[Frame] = []
        self.dropped_in_vain: set[UUID] = set()
        """Whose lease outlived them, as Redis was away; until it is swept up."""

    # Transactions.

    def commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, rooms.Left):
                self._leaves(change)
        tops = {room: len(log) for room, log in self.database.log.items()}
        self.database.commit(changes, self.now)
        for room, log in self.database.log.items():
            for offset in range(tops[room] + 1, len(log) + 1):
                for instance in self.instances:
                    if instance.up:
                        instance.inbox.append((room, offset, log[offset - 1]))

    def _leaves(self, change: rooms.Left) -> None:
        self.leases.drop([change.place.pid])
        if self.leases.away:
            self.dropped_in_vain.add(change.place.pid)
        if change.reason == "timeout":
            kept = [
                one
                for one in self.clients
                if one.place is not None
                and (one.place.pid, one.place.gen) == (change.place.pid, change.place.gen)
                and one.is_kept()
            ]
            assert not kept, "put out though it gave signs of life"

    def put_out(self, how: Callable[..., list[Change]], one: Living) -> None:
        self.commit(how(self.database.house, one.pid, one.gen, LIMITS))

    # Commands, as `services` carry them out.

    def join(self, client: Client, room: UUID, *, crash: bool = False) -> None:
        self.pids += 1
        # Not in the order of joining: who is polite is chance.
        pid = uuid(5, (self.pids * 7919) % 100_003)
        client.gone()
        if crash:
            with refused():
                self._join(client, room, pid, crash=True)
        else:
            self._again(client, lambda: self._join(client, room, pid))

    def _join(self, client: Client, room: UUID, pid: UUID, *, crash: bool = False) -> None:
        if (client.user, room) not in self.database.members:
            raise NotFound
        identity = Identity("key", str(pid), "signed")
        wanted = Place(pid, room, client.user, client.device, identity, "")
        changes = rooms.join(self.database.house, wanted, LIMITS)
        holder = Holder(pid, 1, client.user, client.session)
        self._take(client, changes, holder, crash=crash)

    def resume(self, client: Client, *, crash: bool = False) -> None:
        if client.place is None:
            return
        pid, gen = client.place.pid, client.place.gen + 1
        if crash:
            with refused():
                self._resume(client, pid, gen, crash=True)
            client.cut()
        else:
            self._again(client, lambda: self._resume(client, pid, gen))

    def _resume(self, client: Client, pid: UUID, gen: int, *, crash: bool = False) -> None:
        place = self.database.house.known(pid)
        if place is None or (client.user, place.conversation) not in self.database.members:
            raise NotFound
        identity = Identity("", f"{pid} {gen}", "signed")
        changes = rooms.resume(self.database.house, pid, client.user, gen, identity)
        self._take(client, changes, Holder(pid, gen, client.user, client.session), crash=crash)

    def _take(self, client: Client, changes: list[Change], holder: Holder, *, crash: bool) -> None:
        if crash:  # of the process, after the lease and before the commit
            self.leases.grant([holder])
            self.dropped_in_vain.add(holder.pid)
            return
        self.commit(changes)
        self.leases.grant([holder])
        self.dropped_in_vain.discard(holder.pid)
        if client.socket is not None:
            place = self.database.house.known(holder.pid)
            assert place is not None
            room = place.conversation
            top, shown = len(self.database.log[room]), self.database.shown(room)
            hub = client.socket.instance.hub(room)
            reply = partial(client.seated, place, top, shown, self.now)
            hub.admit(client.socket, place, top, reply)

    def leave(self, client: Client) -> None:
        if client.place is None:
            return
        pid, gen = client.place.pid, client.place.gen
        self._again(
            client,
            lambda: self.commit(rooms.leave(self.database.house, pid, client.user, gen, LIMITS)),
        )

    def leave_late(self, client: Client) -> None:
        """What an older socket of the device said arrives only now."""
        if client.place is not None and client.place.gen > 1:
            pid, gen = client.place.pid, client.place.gen - 1
            with refused():
                left = rooms.leave(self.database.house, pid, client.user, gen, LIMITS)
                assert not left, "an older socket left for the newer one"

    def overtake(self, client: Client, instance: Instance, *, resuming: bool) -> None:
        """A device is silent until its lease has run out, and back while it is being put out."""
        if client.place is None:
            return
        if resuming:
            client.cut()
        client.faithful = False
        while self.now + 2 * SECOND < client.renewed_at + LEASE_MS:
            self.pass_time(1)
        self.now += 3 * SECOND
        instance.begin_sweep()
        client.faithful = True
        if resuming:
            client.connect(instance)
            self.resume(client)
        else:
            client.renew()
        self.arrive()
        instance.finish_sweep()

    def kick(self, by: Client, pid: UUID) -> None:
        host = by.user == HOST
        self._again(
            by,
            lambda: self.commit(rooms.kick(self.database.house, pid, by.user, LIMITS, host=host)),
            own=False,
        )

    def move(self, by: Client, pid: UUID, to: UUID) -> None:
        host = by.user == HOST
        self._again(
            by,
            lambda: self.commit(
                rooms.move(self.database.house, pid, by.user, to, LIMITS, host=host)
            ),
            own=False,
        )

    def mute(self, by: Client, pid: UUID, *, muted: bool) -> None:
        before = self.database.house.known(pid)
        host = by.user == HOST
        with refused():
            self.commit(rooms.mute(self.database.house, pid, by.user, host=host, muted=muted))
            assert not self._mute_again(pid, by, muted), "muted twice"
        after = self.database.house.known(pid)
        if before and after and before.user != by.user:
            assert by.user == HOST or before == after, "a member changed another one"
            assert after.muted or not before.muted, "somebody was unmuted by another"

    def _mute_again(self, pid: UUID, by: Client, muted: bool) -> list[Change]:
        return rooms.mute(self.database.house, pid, by.user, host=by.user == HOST, muted=muted)

    def share(self, client: Client, *, screen: bool) -> None:
        if client.place is None:
            return
        pid, gen = client.place.pid, client.place.gen
        with refused():
            self.commit(
                rooms.share(self.database.house, pid, client.user, gen, screen=screen, video=False)
            )

    def _again(self, client: Client, run: Callable[[], None], *, own: bool = True) -> None:
        """Carry out a frame, and remember it: it may come again at any time.

        Whose `own` place is refused asks for nothing under it any more.
        """
        with refused() as said:
            run()
        if not said:
            self.frames.append(Frame(client, run))
        elif own:
            client.gone()

    def repeat(self, frame: Frame) -> None:
        """The same frame again, from a socket that has nothing else: rows and streams stay."""
        before = (self.database.house.living(), {k: len(v) for k, v in self.database.log.items()})
        socket, frame.client.socket = frame.client.socket, None
        with refused():
            frame.run()
        frame.client.socket = socket
        after = (self.database.house.living(), {k: len(v) for k, v in self.database.log.items()})
        assert before == after, "a frame that came again changed something"

    def sign_out(self, client: Client) -> None:
        """The gateway closes the socket; the device may sign in anew."""
        self.database.ended_sessions.add(client.session)
        client.cut()
        client.gone()
        self.pids += 1
        client.session = str(uuid(4, 1000 + self.pids))

    def disturb(self, client: Client, to: Place, gen: int) -> None:
        """A signal that no negotiation asked for."""
        description = protocol.Description("offer", "v=0")
        client.send(protocol.VoiceSignalData(str(to.pid), gen, "noise", description=description))

    # Time, and what arrives.

    def hand_over(self, hub: Hub, frame: bytes) -> None:
        """A signal from another instance; it may be ahead of the event that explains it."""
        if not hub.room.pass_on(frame):
            hub.catch_up()

    def deliver(self, instance: Instance, number: int, *, twice: bool = False) -> None:
        """One of the hints that wait, in whatever order."""
        if instance.inbox:
            room, offset, told = instance.inbox[number % len(instance.inbox)]
            if not twice:
                del instance.inbox[number % len(instance.inbox)]
            if room in instance.hubs:
                instance.hubs[room].hear(offset, told)

    def arrive(self, most: int = 10_000) -> None:
        """What is under way to devices, and between instances, arrives, with what it causes."""
        for _ in range(most):
            arrived = [one.socket.arrive() for one in self.clients if one.socket is not None]
            for instance in self.instances:
                if instance.passed:
                    arrived.append(True)
                    room, frame = instance.passed.pop(0)
                    if room in instance.hubs:
                        self.hand_over(instance.hubs[room], frame)
            if not any(arrived):
                return
        assert most < 10_000, "frames without an end"

    def pass_time(self, seconds: int) -> None:
        """Second by second: devices renew, an instance that is up sweeps."""
        for _ in range(seconds):
            self.now += SECOND
            for client in self.clients:
                if client.faithful and self.now - client.asked_at >= 5 * SECOND:
                    client.renew()
            if self.now % (2 * SECOND) == 0:
                self.sweep()
            self.arrive()

    def sweep(self) -> None:
        up = [one for one in self.instances if one.up]
        if up:
            one = up[(self.now // SECOND // 2) % len(up)]
            one.finish_sweep()
            one.begin_sweep()
            one.finish_sweep()

    # The end.

    def quiet(self) -> None:
        """Everything works again for a while: then all must be well."""
        self.leases.away = False
        for instance in self.instances:
            instance.up = True
        self.pass_time((GONE_MS + GAP_MS) // SECOND)
        for instance in self.instances:
            for hub in instance.hubs.values():
                hub.catch_up()
        self.arrive()
        kept = {
            client.place.pid
            for client in self.clients
            if client.place and client.socket and client.faithful
        }
        living = self.database.house.living()
        members = {(one.user, one.conversation) for one in living.values()}
        assert members <= self.database.members, "somebody is there who is no member"
        assert set(living) == kept, "somebody is there who is gone, or gone who is there"
        assert not set(self.leases.read().leases) - set(living), "a lease of nobody"
        self._all_agree()
        self._all_are_connected()
        self._records_tile()

    def _all_agree(self) -> None:
        for client in self.clients:
            if client.place and client.socket and client.faithful:
                assert client.replica == self.database.shown(client.place.conversation)

    def _all_are_connected(self) -> None:
        present = [one for one in self.clients if one.place and one.socket and one.faithful]
        for _ in range(10):
            for client in present:
                client.overdue()
            self.arrive()
        sides = {str(one.place.pid): one for one in present if one.place}
        for pid, client in sides.items():
            assert client.place is not None
            room = self.database.house.room(client.place.conversation)
            assert set(client.peers) == {str(other) for other in room} - {pid}
            for other, mine in client.peers.items():
                theirs = sides[other].peers[pid]
                assert mine.stable, "an offer without an answer"
                assert mine.settled, "a pair without a connection"
                assert mine.settled == theirs.settled, "two connections for one pair"

    def _records_tile(self) -> None:
        """Somebody is in a room whenever a call is on, and never else."""
        for room in ROOMS:
            spans = sorted(
                (stay.began, stay.ended if stay.ended is not None else self.now + 1)
                for stays in self.database.stays.values()
                for stay in stays
                if stay.conversation == room
            )
            calls = [
                (one.began, one.ended if one.ended is not None else self.now + 1)
                for one in self.database.calls
                if one.conversation == room
            ]
            assert _united(spans) == _united(sorted(calls)), "records that leave a hole"


def _united(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    united: list[tuple[int, int]] = []
    for began, ended in spans:
        if united and began <= united[-1][1]:
            united[-1] = (united[-1][0], max(ended, united[-1][1]))
        else:
            united.append((began, ended))
    return united


@contextmanager
def refused() -> Iterator[list[DomainError]]:
    """A refusal is an answer."""
    said: list[DomainError] = []
    try:
        yield said
    except DomainError as error:
        said.append(error)
