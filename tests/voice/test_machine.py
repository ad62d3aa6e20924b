"""Any order of events, in simulation: what the design promises of rooms always holds.

The ordinary suite tries some hundred histories; `VOICE_EXAMPLES=10000` as many as one has
patience for (docs/voice.md). What is promised is asserted in `simulation`.
"""

import os
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.voice.simulation.clients import Client
from tests.voice.simulation.database import HOST, ROOMS, USERS
from tests.voice.simulation.instances import Instance
from tests.voice.simulation.world import World

EXAMPLES = int(os.environ.get("VOICE_EXAMPLES", "200"))

device = st.integers(0, 5)
room = st.sampled_from(ROOMS)
number = st.integers(0, 50)
instance = st.integers(0, 2)
often = st.sampled_from([True, True, True, False])
seldom = st.sampled_from([False, False, False, False, False, True])


class Rooms(RuleBasedStateMachine):
    """Six devices of four people, two rooms for three, three instances."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def _client(self, which: int) -> Client:
        return self.world.clients[which]

    def _up(self, which: int) -> Instance:
        """An instance that works; the load balancer finds one."""
        up = [one for one in self.world.instances if one.up]
        if not up:
            self.world.instances[which].up = True
            return self.world.instances[which]
        return up[which % len(up)]

    def _answer(self, heard: bool) -> None:
        if heard:
            self.world.arrive()

    def _somebody(self, which: int) -> UUID | None:
        """Somebody who is in a room; now and then somebody who was."""
        living = sorted(self.world.database.house.living())
        known = living if living and which % 4 else sorted(self.world.database.stays)
        return known[which % len(known)] if known else None

    @initialize(crowd=st.lists(st.tuples(device, room), max_size=6))
    def begin(self, crowd: list[tuple[int, UUID]]) -> None:
        for which, where in crowd:
            self.join(which, where, to=which, crash=False, heard=True)

    # What people do.

    @rule(which=device, where=room, to=instance, crash=seldom, heard=often)
    def join(self, which: int, where: UUID, to: int, crash: bool, heard: bool) -> None:
        client = self._client(which)
        client.faithful = True
        client.connect(self._up(to))
        self.world.join(client, where, crash=crash)
        self._answer(heard)

    @rule(which=device, where=room)
    def join_on_the_same_socket(self, which: int, where: UUID) -> None:
        client = self._client(which)
        if client.socket is not None:
            client.faithful = True
            self.world.join(client, where)
            self._answer(True)

    @rule(which=device, to=instance, crash=seldom, heard=often)
    def resume(self, which: int, to: int, crash: bool, heard: bool) -> None:
        client = self._client(which)
        if client.place is not None and client.faithful:
            client.connect(self._up(to))
            asked = len(self.world.frames)
            self.world.resume(client, crash=crash)
            for frame in self.world.frames[asked:]:
                self.world.repeat(frame)  # a reply that was lost is asked for again
            self._answer(heard)

    @rule(which=device)
    def leave(self, which: int) -> None:
        self.world.leave(self._client(which))

    @rule(which=device)
    def an_older_socket_leaves(self, which: int) -> None:
        self.world.leave_late(self._client(which))

    @rule(which=device, to=instance, resuming=st.booleans())
    def a_device_is_back_at_the_last_moment(self, which: int, to: int, resuming: bool) -> None:
        self.world.overtake(self._client(which), self._up(to), resuming=resuming)

    @rule()
    def tracks_change_on_all_sides_at_once(self) -> None:
        for client in self.world.clients:
            client.change_tracks()

    @rule(which=device, whom=number, muted=st.booleans())
    def mute(self, which: int, whom: int, muted: bool) -> None:
        if (pid := self._somebody(whom)) is not None:
            self.world.mute(self._client(which), pid, muted=muted)

    @rule(which=device, screen=st.booleans())
    def share(self, which: int, screen: bool) -> None:
        self.world.share(self._client(which), screen=screen)

    @rule(by=st.sampled_from([0, 0, 0, 1]), whom=number)
    def kick(self, by: int, whom: int) -> None:
        if (pid := self._somebody(whom)) is not None:
            self.world.kick(self._client(by), pid)

    @rule(whom=number, to=room)
    def move(self, whom: int, to: UUID) -> None:
        if (pid := self._somebody(whom)) is not None:
            self.world.move(self._client(0), pid, to)

    @rule(user=st.sampled_from(USERS), where=room, belongs=often)
    def change_members(self, user: UUID, where: UUID, belongs: bool) -> None:
        if belongs or user == HOST:
            self.world.database.members.add((user, where))
        else:
            self.world.database.members.discard((user, where))

    @rule(whom=number)
    def somebody_is_removed(self, whom: int) -> None:
        place = self.world.database.house.living().get(self._somebody(whom) or UUID(int=0))
        if place is not None and place.user != HOST:
            self.world.database.members.discard((place.user, place.conversation))

    @rule(which=device)
    def sign_out(self, which: int) -> None:
        self.world.sign_out(self._client(which))

    @rule(which=device)
    def lose_the_socket(self, which: int) -> None:
        self._client(which).cut()

    @rule(which=device)
    def die(self, which: int) -> None:
        self._client(which).cut()
        self._client(which).faithful = False

    @rule(which=device)
    def freeze(self, which: int) -> None:
        self._client(which).faithful = False

    @rule(which=device)
    def renew(self, which: int) -> None:
        self._client(which).renew()

    # What machines do.

    @precondition(lambda self: self.world.frames)
    @rule(which=number)
    def a_frame_comes_again(self, which: int) -> None:
        self.world.repeat(self.world.frames[which % len(self.world.frames)])

    @rule(seconds=st.integers(1, 12))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    @rule(seconds=st.integers(1, 30))
    def time_stands_still_for_everybody(self, seconds: int) -> None:
        """No sweep, no renewal: as when all processes are stopped."""
        self.world.now += seconds * 1000

    @rule(which=instance)
    def begin_a_sweep(self, which: int) -> None:
        self._up(which).begin_sweep()

    @rule(which=instance)
    def end_a_sweep(self, which: int) -> None:
        self._up(which).finish_sweep()

    @rule(which=instance)
    def an_instance_dies(self, which: int) -> None:
        self.world.instances[which].crash()

    @rule(which=instance)
    def an_instance_starts(self, which: int) -> None:
        self.world.instances[which].up = True

    @rule(away=st.booleans())
    def redis_goes_or_comes(self, away: bool) -> None:
        self.world.leases.away = away

    @rule(seconds=st.integers(1, 40), first=instance, dies=st.booleans())
    def redis_is_away_for_a_while(self, seconds: int, first: int, dies: bool) -> None:
        """And whoever sweeps first when it is back may die over it."""
        self.world.leases.away = True
        self.world.pass_time(seconds)
        self.world.leases.away = False
        sweeper = self._up(first)
        sweeper.begin_sweep()
        if dies:
            sweeper.crash()
        sweeper.finish_sweep()
        self.world.now += 2000
        self.world.sweep()

    @rule()
    def redis_loses_everything(self) -> None:
        self.world.leases.forget_all()

    @rule(which=instance, hint=number, twice=st.booleans())
    def a_hint_arrives(self, which: int, hint: int, twice: bool) -> None:
        self.world.deliver(self.world.instances[which], hint, twice=twice)

    @rule(which=instance)
    def hints_are_lost(self, which: int) -> None:
        self.world.instances[which].inbox.clear()

    @rule(which=instance, where=room)
    def a_position_is_checked(self, which: int, where: UUID) -> None:
        if where in self.world.instances[which].hubs:
            self.world.instances[which].hubs[where].catch_up()

    @rule(which=instance)
    def signals_between_instances_are_lost(self, which: int) -> None:
        self.world.instances[which].passed.clear()

    @rule(which=device, whom=number, older=st.integers(0, 1))
    def signal(self, which: int, whom: int, older: int) -> None:
        """Also to people who are elsewhere, have left, or have another generation now."""
        if (pid := self._somebody(whom)) is not None:
            place = self.world.database.house.known(pid)
            if place is not None:
                self.world.disturb(self._client(which), place, max(1, place.gen - older))

    @rule(most=st.integers(1, 20))
    def frames_arrive(self, most: int) -> None:
        self.world.arrive(most)

    def teardown(self) -> None:
        self.world.quiet()


Rooms.TestCase.settings = settings(
    max_examples=EXAMPLES,
    # The ordinary suite tries the same ones each time: a run that fails is a change's fault.
    derandomize="VOICE_EXAMPLES" not in os.environ,
    database=None,
    stateful_step_count=40,
    deadline=None,
    # Shrinking takes minutes, and a seed is enough to look for the cause at one's desk.
    phases=[Phase.explicit, Phase.reuse, Phase.generate]
    + ([Phase.shrink] if "VOICE_SHRINK" in os.environ else []),
    suppress_health_check=list(HealthCheck),
)
TestRooms = pytest.mark.timeout(0)(Rooms.TestCase)
