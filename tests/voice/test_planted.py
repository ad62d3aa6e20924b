"""Bugs of the kinds that rooms have had elsewhere, planted one by one: the machine finds each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from app.realtime import rooms as hub_rooms
from app.realtime.client.negotiation import Negotiation, Seat
from app.voice import lifetimes, rooms
from app.voice.lifetimes import Holder, Reading
from app.voice.rooms import Change, House, Limits, Place
from tests.voice.lease_table import LeaseTable
from tests.voice.simulation.database import Database
from tests.voice.simulation.instances import Instance
from tests.voice.test_machine import Rooms

EXAMPLES = 400


def a_device_keeps_its_older_place(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(House, "held_by", lambda *_: None)


def a_room_holds_one_too_many(patch: pytest.MonkeyPatch) -> None:
    right = rooms.join
    patch.setattr(
        rooms, "join", lambda house, wanted, limits: right(house, wanted, _larger(limits))
    )


def _larger(limits: Limits) -> Limits:
    return replace(limits, capacity=limits.capacity + 1)


def who_was_put_out_joins_again_under_the_old_pid(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rooms, "_joined_before", _again)


def _again(known: Place, wanted: Place) -> list[Change]:
    return [rooms.Opened(wanted.conversation), rooms.Joined(wanted)] if known.reason else []


def the_lease_of_an_older_socket_ends_the_newer_one(patch: pytest.MonkeyPatch) -> None:
    """The reaper does not compare generations, nor ask again."""
    patch.setattr(rooms, "expire", _regardless(rooms.expire))
    patch.setattr(Instance, "asks_again", False)


def _regardless(right: Any) -> Any:
    def expire(house: House, pid: UUID, gen: int, limits: Limits) -> list[Change]:
        place = house.known(pid)
        return list(right(house, pid, place.gen if place else gen, limits))

    return expire


def the_reaper_does_not_ask_again_under_the_lock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Instance, "asks_again", False)


def a_lost_lease_counts_as_one_that_ran_out(patch: pytest.MonkeyPatch) -> None:
    right = Reading.ended
    patch.setattr(
        Reading, "ended", lambda self, pid, gen: self.lost(pid, gen) or right(self, pid, gen)
    )
    patch.setattr(LeaseTable, "grant", _only_with_a_session(LeaseTable.grant))


def _only_with_a_session(right: Any) -> Any:
    """The sweep grants nothing anew, only who joins and renews has a lease."""
    return lambda self, holders: right(self, [one for one in holders if one.session])


def nobody_is_forgiven_after_a_gap(patch: pytest.MonkeyPatch) -> None:
    right = lifetimes.plan
    patch.setattr(
        lifetimes, "plan", lambda *given, **more: right(*given, **more | {"after_a_gap": False})
    )


def a_turn_that_was_only_begun_counts_as_a_sweep(patch: pytest.MonkeyPatch) -> None:
    """An instance dies while it forgives everybody; the next one does not know of it."""
    right = LeaseTable.turn

    def turn(self: LeaseTable) -> lifetimes.Turn:
        found = right(self)
        self.swept()
        return found

    patch.setattr(LeaseTable, "turn", turn)
    # What is said again saves most people from it; without that alone the machine finds nothing.
    patch.setattr(Instance, "say_again", lambda _: None)


def leases_go_by_the_clock_of_each_instance(patch: pytest.MonkeyPatch) -> None:
    right = Instance.begin_sweep

    def begin_sweep(self: Instance) -> None:
        read = self.world.leases.read
        skewed = lambda: replace(read(), now=read().now + self.skew)  # noqa: E731
        with pytest.MonkeyPatch.context() as here:
            here.setattr(self.world.leases, "read", skewed)
            right(self)

    patch.setattr(Instance, "begin_sweep", begin_sweep)
    patch.setattr(Instance, "asks_again", False)


def a_renewal_revives_a_lease_that_ran_out(patch: pytest.MonkeyPatch) -> None:
    """element-call 3580: in the table alone, whatever the rows say; and leaving drops nothing."""

    def renew(self: LeaseTable, holders: Sequence[Holder]) -> list[bool]:
        self._answer()
        known = [one.pid in self._held for one in holders]
        self.grant([one for one, ok in zip(holders, known, strict=True) if ok])
        return known

    patch.setattr(LeaseTable, "renew", renew)
    patch.setattr(LeaseTable, "drop", lambda *_: None)


def an_old_socket_leaves_for_the_new_one(patch: pytest.MonkeyPatch) -> None:
    right = rooms.leave

    def leave(house: House, pid: UUID, user: UUID, gen: int, limits: Limits) -> list[Change]:
        place = house.known(pid)
        return right(house, pid, user, place.gen if place else gen, limits)

    patch.setattr(rooms, "leave", leave)


def resuming_counts_up_each_time(patch: pytest.MonkeyPatch) -> None:
    right = rooms.resume

    def resume(house: House, pid: UUID, user: UUID, gen: int, identity: Any) -> list[Change]:
        place = house.known(pid)
        return right(house, pid, user, place.gen + 1 if place else gen, identity)

    patch.setattr(rooms, "resume", resume)


def nobody_hears_of_who_was_moved(patch: pytest.MonkeyPatch) -> None:
    right = rooms.event

    def event(change: Change, **more: Any) -> Any:
        moved = isinstance(change, rooms.Left) and change.reason == "moved"
        return None if moved else right(change, **more)

    patch.setattr(rooms, "event", event)


def who_muted_is_not_told(patch: pytest.MonkeyPatch) -> None:
    right = rooms.event

    def event(change: Change, **more: Any) -> Any:
        told: Any = right(change, **more)
        if isinstance(change, rooms.Changed):
            told.muted_by = None
        return told

    patch.setattr(rooms, "event", event)


def a_member_unmutes_another(patch: pytest.MonkeyPatch) -> None:
    def mute(house: House, pid: UUID, by: UUID, *, host: bool, muted: bool) -> list[Change]:
        place = house.known(pid)
        if place is None or place.reason or place.muted == muted:
            return []
        return [rooms.Changed(place, replace(place, muted=muted), by)]

    patch.setattr(rooms, "mute", mute)


def a_call_goes_on_without_anybody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rooms, "_emptied", lambda *_: [])


def a_hub_keeps_who_was_kicked(patch: pytest.MonkeyPatch) -> None:
    right = hub_rooms.Room.follow

    def follow(self: hub_rooms.Room, kind: str, data: Mapping[str, Any]) -> None:
        if kind != "voice.left" or data["reason"] != "kicked":
            right(self, kind, data)

    patch.setattr(hub_rooms.Room, "follow", follow)


def a_signal_passes_whatever_its_generation(patch: pytest.MonkeyPatch) -> None:
    def find(self: hub_rooms.Room, to: str, gen: int) -> Any:
        return self._seats.get(to)

    def deliver(self: hub_rooms.Room, route: Any, frame: bytes) -> bool:
        if route.to in self._seats:
            self._seats[route.to].offer(frame)
        return True

    patch.setattr(hub_rooms.Room, "find", find)
    patch.setattr(hub_rooms.Room, "_deliver", deliver)


def both_sides_of_a_pair_think_that_they_win(patch: pytest.MonkeyPatch) -> None:
    right = Negotiation.__init__

    def init(self: Negotiation, me: Seat, peer: Seat) -> None:
        right(self, me, peer)
        self.polite = False

    patch.setattr(Negotiation, "__init__", init)


def who_left_the_conversation_stays_in_its_room(patch: pytest.MonkeyPatch) -> None:
    right = Database.living
    patch.setattr(
        Database, "living", lambda self: [replace(one, may_stay=True) for one in right(self)]
    )


PLANTED = [
    a_device_keeps_its_older_place,
    a_room_holds_one_too_many,
    who_was_put_out_joins_again_under_the_old_pid,
    the_lease_of_an_older_socket_ends_the_newer_one,
    the_reaper_does_not_ask_again_under_the_lock,
    a_lost_lease_counts_as_one_that_ran_out,
    nobody_is_forgiven_after_a_gap,
    a_turn_that_was_only_begun_counts_as_a_sweep,
    leases_go_by_the_clock_of_each_instance,
    a_renewal_revives_a_lease_that_ran_out,
    an_old_socket_leaves_for_the_new_one,
    resuming_counts_up_each_time,
    nobody_hears_of_who_was_moved,
    who_muted_is_not_told,
    a_member_unmutes_another,
    a_call_goes_on_without_anybody,
    a_hub_keeps_who_was_kicked,
    a_signal_passes_whatever_its_generation,
    both_sides_of_a_pair_think_that_they_win,
    who_left_the_conversation_stays_in_its_room,
]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_the_machine_finds(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    quick = settings(
        max_examples=EXAMPLES,
        stateful_step_count=40,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(BaseException):  # noqa: B017, PT011 - any of the promises
        run_state_machine_as_test(Rooms, settings=quick)
