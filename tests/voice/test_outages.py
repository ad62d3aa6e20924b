"""Redis is away twice, the second time soon after the first: nobody who is there is put out.

Courses of two outages in half seconds, in the simulation; then one on real rows.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
import redis
from django.conf import settings

from app.accounts.models import User
from app.realtime.protocol import VoicePlace
from app.voice import leases, reaper, services
from app.voice.leases import Away
from app.voice.lifetimes import GAP_MS, LEASE_MS, Holder
from tests.chat.talk import room
from tests.voice.room import Device, row
from tests.voice.simulation.database import ROOMS
from tests.voice.simulation.instances import Instance
from tests.voice.simulation.world import World
from tests.voice.test_leases import earlier

STEP = 500
RENEWED_EVERY = 5_000


class Course:
    """Two people, each at an instance of their own; time in steps of half a second."""

    def __init__(self) -> None:
        self.world = World()
        self.people = self.world.clients[:2]
        self.sweep()
        for instance, client in zip(self.world.instances, self.people, strict=False):
            client.connect(instance)
            self.world.join(client, ROOMS[0])
        self.world.arrive()

    def passes(self, ms: int) -> None:
        for _ in range(ms // STEP):
            self.world.now += STEP
            for client in self.people:
                if self.world.now - client.asked_at >= RENEWED_EVERY:
                    client.renew()
            for instance in self.world.instances:
                with suppress(Away):
                    instance.say_again()
            if self.world.now - self.swept_at >= 2_000:
                self.sweep()
            self.world.arrive()

    def sweep(self) -> None:
        self.world.sweep()
        self.swept_at = self.world.now

    def is_out(self, ms: int) -> None:
        """Just after a sweep, and just as everybody renews."""
        self.sweep()
        self.world.leases.away = True
        for client in self.people:
            client.renew()
        self.passes(ms)
        self.world.leases.away = False
        self.sweep()


def everybody_stays(before: int, first: int, between: int, second: int) -> bool:
    course = Course()
    course.passes(before)
    course.is_out(first)
    course.passes(between)
    course.is_out(second)
    course.passes(LEASE_MS)
    return all(client.place is not None for client in course.people)


LENGTHS = range(4_000, GAP_MS + 2 * STEP, STEP)
COURSES = list(itertools.product((4_000, 4_500, 5_000), LENGTHS, range(0, 3_000, STEP), LENGTHS))


def test_two_outages_in_a_row_put_nobody_out() -> None:
    assert all(everybody_stays(*course) for course in COURSES)


def test_they_would_if_what_was_renewed_meanwhile_were_not_said_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Instance, "say_again", lambda _: None)
    with pytest.raises(AssertionError, match="gave signs of life"):
        [everybody_stays(*course) for course in COURSES]


# On rows, with a Redis that this process does not reach for a while.


@pytest.fixture
def reach(lease_server: object, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    def set_(reached: bool) -> None:
        monkeypatch.setattr(leases, "_closed_until", 0.0 if reached else float("inf"))

    return set_


def pass_time(ms: int) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        earlier(client, ms)


def renewed_while_away(place: VoicePlace, user: User, reach: Callable[[bool], None]) -> Holder:
    holder = Holder(UUID(place.pid), place.gen, user.pk)
    reach(False)
    assert services.renew_many([holder]) == [None]
    with pytest.raises(Away):
        services.say_again()
    assert services.owes()
    reach(True)
    return holder


@pytest.mark.django_db
def test_a_renewal_that_redis_did_not_hear_is_said_again(
    alice: User, reach: Callable[[bool], None]
) -> None:
    place = Device(alice).join(room(alice))
    holder = renewed_while_away(place, alice, reach)
    pass_time(LEASE_MS - 5_000)
    services.say_again()
    assert not services.owes()
    pass_time(LEASE_MS - 5_000)
    assert leases.renew([holder]) == [True], "it runs since it was said again"


@pytest.mark.django_db
def test_who_sweeps_first_says_what_it_owes(alice: User, reach: Callable[[bool], None]) -> None:
    services.sweep()
    place = Device(alice).join(room(alice))
    renewed_while_away(place, alice, reach)
    pass_time(LEASE_MS)
    leases.swept()  # by another process
    services.sweep()
    assert row(place).left_at is None
    assert not services.owes()


@pytest.mark.django_db
def test_what_is_said_again_brings_nobody_back(alice: User, reach: Callable[[bool], None]) -> None:
    phone, ward = Device(alice), room(alice)
    gone, resumed = phone.join(ward), Device(alice).join(ward)
    for place in (gone, resumed):
        renewed_while_away(place, alice, reach)
    phone.leave(gone)
    Device(alice).resume(resumed, 2)
    services.say_again()
    assert not services.owes()
    held = leases.read().leases
    assert {str(pid): lease.gen for pid, lease in held.items()} == {resumed.pid: 2}


def test_each_process_repeats_by_itself_until_redis_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def in_thread(work: Callable[[], Any]) -> None:
        tried.append(work.__name__)
        if len(tried) == 1:
            raise Away
        monkeypatch.setattr(services, "owes", lambda: False)
        await asyncio.sleep(0)

    async def play() -> None:
        repeating = asyncio.create_task(reaper.say_again(in_thread))
        await asyncio.sleep(0.05)
        assert tried == []
        monkeypatch.setattr(services, "owes", lambda: True)
        async with asyncio.timeout(30):
            while services.owes():
                await asyncio.sleep(0.01)
        repeating.cancel()
        await asyncio.wait({repeating})

    monkeypatch.setattr(reaper, "AGAIN_SECONDS", 0.01)
    asyncio.run(play())
    assert tried == ["say_again", "say_again"]
