"""Everything together: commands, chance, time, and what must hold when it is quiet."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from app.errors import DomainError, NotFound
from app.realtime import protocol
from app.voice import rooms
from app.voice.leases import Away
from app.voice.lifetimes import GAP_MS, LEASE_MS, Holder, Living
from app.voice.rooms import Change, Identity, Place
from tests.voice.lease_table import LeaseTable
from tests.voice.simulation.clients import Client
from tests.voice.simulation.database import (
    GONE_MS,
    HOST,
    LIMITS,
    ROOMS,
    SECOND,
    Database,
    uuid,
)
from tests.voice.simulation.instances import Hub, Instance


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

    def heard_of(self, pid: UUID) -> None:
        """What was renewed while Redis was away is known there now."""
        for client in self.clients:
            if client.place is not None and client.place.pid == pid:
                client.missed.clear()

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
            for instance in self.instances:
                with suppress(Away):
                    instance.say_again()
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
