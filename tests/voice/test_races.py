"""Two transactions at once, on real rows and a real Redis."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection, transaction

from app.accounts.models import Session, User
from app.accounts.services import set_active
from app.accounts.services.ending import end
from app.chat.services import remove_member
from app.errors import DomainError, RoomFull, StaleGeneration
from app.voice import access, leases, services
from app.voice.lifetimes import GAP_MS, LEASE_MS, Holder
from app.voice.models import Call, Participant
from app.voice.services.writing import lock
from dev.redis_server import RedisServer
from tests.chat.talk import room
from tests.voice.room import Device, reasons, row

pytestmark = pytest.mark.usefixtures("live_db", "lease_server")


def together(*attempts: Callable[[], Any]) -> list[Any]:
    """Run each in a thread of its own; returns what each returned, or was refused with."""
    outcomes: list[Any] = [None] * len(attempts)
    start = threading.Barrier(len(attempts))

    def run(position: int) -> None:
        start.wait()
        try:
            outcomes[position] = attempts[position]()
        except DomainError as error:
            outcomes[position] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(attempts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def let_the_leases_run_out() -> None:
    """As if nothing had been renewed for a lease's time, while sweeps went on."""
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        held: Any = client.hgetall(leases.LEASES)
        for pid, value in held.items():
            gen, until, rest = value.decode().split("|", 2)
            client.hset(leases.LEASES, pid.decode(), f"{gen}|{int(until) - LEASE_MS}|{rest}")


def sweep() -> None:
    """A sweep at its turn, soon after another one."""
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        client.hdel(leases.SWEEPS, "begun")
    services.sweep()


def held(device: Device, place: Any) -> Holder:
    return Holder(UUID(place.pid), place.gen, device.user.pk, device.session)


def test_two_joins_at_the_last_free_place(alice: User, bob: User, settings: Any) -> None:
    settings.VOICE_MESH_CAPACITY = 2
    ward = room(alice, bob)
    Device(alice).join(ward)
    desks = [Device(bob), Device(bob)]
    outcomes = together(*[partial(desk.join, ward) for desk in desks])
    assert sorted(isinstance(one, RoomFull) for one in outcomes) == [False, True]
    assert Participant.objects.filter(left_at=None).count() == 2


def test_the_same_device_twice_at_once_in_one_room_and_in_two(alice: User) -> None:
    ward, other, phone = room(alice), room(alice, name="other"), Device(alice)
    for where in [(ward, ward), (ward, other), (other, ward)]:
        together(*[partial(phone.join, one) for one in where])
        assert Participant.objects.filter(left_at=None).count() == 1
    assert Call.objects.filter(ended_at=None).count() == 1


def test_one_pid_twice_at_once_is_one_joining(alice: User) -> None:
    ward, phone, pid = room(alice), Device(alice), uuid4()
    first, second = together(*[partial(phone.join, ward, pid)] * 2)
    assert (first.o, second.o) == (1, 1)


def test_of_reaper_resumption_and_leaving_at_once_there_is_one_leaving(alice: User) -> None:
    ward, phone = room(alice), Device(alice)
    sweep()
    for _ in range(3):
        place = phone.join(ward)
        let_the_leases_run_out()
        together(sweep, sweep, partial(phone.resume, place, 2))
        mine = row(place)
        assert (mine.gen, mine.reason) in {(2, ""), (1, "timeout")}
        expected = StaleGeneration if mine.left_at else type(None)
        (outcome,) = services.renew_many([Holder(mine.pid, 2, alice.pk)])
        assert isinstance(outcome, expected)


def test_element_call_3580_a_renewal_after_the_reaper_is_refused(alice: User) -> None:
    ward, phone = room(alice), Device(alice)
    sweep()
    place = phone.join(ward)
    let_the_leases_run_out()
    sweep()
    (refusal,) = services.renew_many([held(phone, place)])
    assert isinstance(refusal, StaleGeneration)
    assert (row(place).reason, reasons(ward)) == ("timeout", ["timeout"])


def test_a_late_renewal_before_the_reaper_is_in_time(alice: User) -> None:
    ward, phone = room(alice), Device(alice)
    sweep()
    place = phone.join(ward)
    let_the_leases_run_out()
    assert services.renew_many([held(phone, place)]) == [None]
    sweep()
    assert row(place).left_at is None


def test_a_renewal_waits_for_who_is_being_put_out(alice: User) -> None:
    """The kick has dropped the lease and not committed: the renewal must not revive it."""
    ward, phone = room(alice), Device(alice)
    place = phone.join(ward)
    outcomes: list[Any] = []

    def renew() -> None:
        outcomes.extend(services.renew_many([held(phone, place)]))
        connection.close()

    thread = threading.Thread(target=renew)
    with transaction.atomic():
        lock([ward.pk])
        services.kick(by=alice, pid=UUID(place.pid))
        thread.start()
        thread.join(0.5)
        assert not outcomes, "answered before the commit"
    thread.join()
    assert isinstance(outcomes[0], StaleGeneration)


def test_who_is_no_member_any_more_is_out_of_the_room(alice: User, bob: User) -> None:
    ward, desk = room(alice, bob), Device(bob)
    place = desk.join(ward)
    remove_member(by=alice, conversation_id=ward.pk, user_id=bob.pk)
    sweep()
    assert row(place).reason == "revoked"
    with pytest.raises(DomainError):
        desk.join(ward)


def test_a_removal_waits_for_a_joining_that_is_under_way(alice: User, bob: User) -> None:
    """Else somebody could be in a room whose membership had ended before."""
    ward = room(alice, bob)
    removed = threading.Event()

    def remove() -> None:
        remove_member(by=alice, conversation_id=ward.pk, user_id=bob.pk)
        removed.set()
        connection.close()

    thread = threading.Thread(target=remove)
    with transaction.atomic():
        access.stays_kept([(bob.pk, ward.pk)])
        thread.start()
        assert not removed.wait(0.5)
    thread.join()
    assert removed.is_set()


def test_who_is_disabled_or_signed_out_is_out_of_every_room(
    alice: User, bob: User, ada: User
) -> None:
    ward = room(alice, bob)
    his = Device(bob).join(ward)
    set_active(by=ada, person_id=bob.pk, active=False)
    sweep()
    assert row(his).reason == "revoked"
    with transaction.atomic():
        session = Session.objects.create(user=alice, kind="api")
    hers = Device(alice, session=str(session.pk)).join(ward)
    sweep()
    assert row(hers).left_at is None
    with transaction.atomic():
        end(Session.objects.filter(pk=session.pk), reason="signed_out", actor=alice.actor)
    sweep()
    assert row(hers).reason == "revoked"


def test_redis_that_lost_everything_ends_nobody(alice: User, lease_server: RedisServer) -> None:
    ward, phone = room(alice), Device(alice)
    sweep()
    place = phone.join(ward)
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        client.delete(leases.LEASES)
    sweep()
    assert row(place).left_at is None
    assert services.renew_many([held(phone, place)]) == [None]
    let_the_leases_run_out()
    sweep()
    assert row(place).reason == "timeout", "granted anew, it runs out like any other"


def test_while_redis_is_away_nobody_is_put_out_and_afterwards_all_begin_anew(
    alice: User, bob: User, lease_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward, phone = room(alice, bob), Device(alice)
    sweep()
    place = phone.join(ward)
    let_the_leases_run_out()
    lease_server.stop()
    services.sweep()
    desk = Device(bob)
    his = desk.join(ward)
    assert services.renew_many([held(phone, place), held(desk, his)]) == [None, None]
    assert (row(place).left_at, row(his).left_at) == (None, None)
    lease_server.start()
    monkeypatch.setattr(leases, "_closed_until", 0.0)
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        done: Any = client.hget(leases.SWEEPS, "done") or 0
        client.hset(leases.SWEEPS, "done", str(max(0, int(done) - GAP_MS)))
    sweep()
    assert (row(place).left_at, row(his).left_at) == (None, None)
    desk.leave(his)
    let_the_leases_run_out()
    sweep()
    assert row(place).reason == "timeout"


def test_channels_293_what_nobody_renews_is_out_after_one_sweep_however_many_sweep(
    alice: User,
) -> None:
    """The process that held the socket is gone, any other puts its people out."""
    ward, phone = room(alice), Device(alice)
    sweep()
    place = phone.join(ward)
    let_the_leases_run_out()
    together(sweep, sweep, sweep)
    assert row(place).reason == "timeout"
    assert Call.objects.get().ended_at is not None
