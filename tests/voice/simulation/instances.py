"""Gateway processes: what each knows of each room, its clock, its sweeps, its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from app.realtime import rooms as hub_rooms
from app.realtime.rooms import Seat
from app.voice import lifetimes, rooms
from app.voice.leases import Away
from app.voice.lifetimes import Holder, Living, Plan, Turn
from app.voice.rooms import Place
from tests.voice.simulation.database import (
    Told,
)

if TYPE_CHECKING:
    from tests.voice.simulation.clients import Socket
    from tests.voice.simulation.world import World


class Hub:
    """What one instance knows of one room, as `app.realtime.hub` does it."""

    def __init__(self, world: World, room: UUID) -> None:
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

    def __init__(self, world: World, skew: int) -> None:
        self.world, self.skew = world, skew
        self.up = True
        self.hubs: dict[UUID, Hub] = {}
        self.inbox: list[tuple[UUID, int, Told]] = []
        self.passed: list[tuple[UUID, bytes]] = []
        self.plan: Plan | None = None
        self.owed: dict[UUID, Holder] = {}

    def hub(self, room: UUID) -> Hub:
        if room not in self.hubs:
            self.hubs[room] = Hub(self.world, room)
        return self.hubs[room]

    def crash(self) -> None:
        self.up, self.plan = False, None
        self.owed.clear()
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
            done = self._renewed(holder)
        except Away:
            there = world.database.present([holder])
            self.owed.update({one.pid: one for one in there})
            return bool(there)
        assert (
            not done or world.database.present([holder]) or holder.pid in world.dropped_in_vain
        ), "the renewal of somebody who is gone"
        return done

    def _renewed(self, holder: Holder) -> bool:
        world = self.world
        (done,) = world.leases.renew([holder])
        if not done:
            there = world.database.present([holder])
            world.leases.grant(list(there))
            done = bool(there)
        return done

    def say_again(self) -> None:
        """As `services.say_again`."""
        for pid, holder in list(self.owed.items()):
            self._renewed(holder)
            del self.owed[pid]
            self.world.heard_of(pid)

    def begin_sweep(self) -> None:
        """As `services.sweep`, up to what is to be done; much may happen before it is."""
        world = self.world
        try:
            self.say_again()
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
