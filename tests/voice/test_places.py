"""Joining, resuming and leaving, on real tables."""

from uuid import uuid4

import pytest

from app.accounts.models import User
from app.audit.models import Entry
from app.voice import access
from app.voice.models import Call
from tests.chat.talk import room
from tests.voice.room import Device, reasons

pytestmark = pytest.mark.django_db


def actions(prefix: str = "call:") -> list[str]:
    found = Entry.objects.filter(action_name__startswith=prefix).order_by("pk")
    return list(found.values_list("action_name", flat=True))


def test_who_joins_is_in_the_room_that_the_reply_shows(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    first = Device(alice).join(ward)
    second = Device(bob).join(ward)
    assert [one.pid for one in second.participants] == [first.pid, second.pid]
    assert (second.call, second.gen, second.capacity) == (first.call, 1, 8)
    assert (first.host, second.host) == (True, False)
    assert actions() == ["call:started", "call:joined", "call:joined"]
    assert access.rosters([str(ward.pk)]) == {str(ward.pk): {first.pid: 1, second.pid: 1}}


def test_the_same_join_again_changes_nothing(alice: User) -> None:
    ward, pid, phone = room(alice), uuid4(), Device(alice)
    first = phone.join(ward, pid)
    again = phone.join(ward, pid)
    assert (first.o, again.o) == (1, 1)
    assert actions() == ["call:started", "call:joined"]


def test_the_last_to_leave_ends_the_call(alice: User, bob: User) -> None:
    ward, phone, desk = room(alice, bob), Device(alice), Device(bob)
    first, second = phone.join(ward), desk.join(ward)
    phone.leave(first)
    phone.leave(first)
    assert Call.objects.get().ended_at is None
    desk.leave(second)
    assert Call.objects.get().ended_at is not None
    assert reasons(ward) == ["left", "left"]
    assert actions()[-3:] == ["call:left", "call:left", "call:ended"]
    assert Device(bob).join(ward).call != second.call
