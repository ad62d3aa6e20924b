"""The rooms, and what the simulated database holds: transactions happen at a moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from app.realtime import protocol
from app.voice import rooms
from app.voice.lifetimes import LEASE_MS, Holder, Living
from app.voice.rooms import Change, House, Limits

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
                where = rooms.conversation_of(change)
                self.log[where].append((protocol.tag(event), protocol.event_data(event)))
        self.house = self.house.after(changes)
        for room in {rooms.conversation_of(change) for change in changes}:
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
