"""Everybody in a call is told that it is recorded, monitored or on hold, and when that changes."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from app.accounts.models import User
from app.audit.models import Entry
from app.chat.services import add_member
from app.compliance.services import ask_release, place_hold, release_hold
from app.errors import Denied
from app.realtime.models import StreamEvent
from app.voice import access, services
from app.voice.models import Call
from tests.chat.talk import room
from tests.voice.room import Device

pytestmark = pytest.mark.django_db


def told(action: str = "call:told") -> list[tuple[Any, Any]]:
    found = Entry.objects.filter(action_name=action).order_by("pk")
    return [
        (entry.document["before"]["notice"], entry.document["after"]["notice"]) for entry in found
    ]


def events() -> list[Any]:
    found = StreamEvent.objects.filter(type="voice.notice").order_by("offset")
    return [event.data["notice"] for event in found]


def test_nothing_is_told_where_there_is_nothing(alice: User) -> None:
    ward = room(alice)
    place = Device(alice).join(ward)
    assert place.notice == []
    assert events() == []
    started = Entry.objects.get(action_name="call:started")
    assert started.document["parameters"] == {"notice": []}


def test_who_joins_is_told_of_the_policy_and_of_a_hold(
    alice: User, bob: User, ada: User, olga: User
) -> None:
    ward, other = room(alice, bob), room(alice, bob, name="pharmacy")
    services.set_policy(by=ada, recording=True, monitoring=False)
    place_hold(olga, conversations=[ward.pk], matter="7", reason="A dispute.")
    assert access.room(bob, ward.pk).notice == ["recording", "hold"]
    assert access.room(bob, other.pk).notice == ["recording"]
    assert Device(alice).join(ward).notice == ["recording", "hold"]
    assert Device(bob).join(other).notice == ["recording"]
    assert events() == []
    started = Entry.objects.filter(action_name="call:started").order_by("pk")
    assert [entry.document["parameters"]["notice"] for entry in started] == [
        ["recording", "hold"],
        ["recording"],
    ]


def test_who_is_in_a_call_is_told_when_the_policy_changes(
    alice: User, ada: User, eve: User
) -> None:
    ward, elsewhere = room(alice), room(eve)
    place = Device(alice).join(ward)
    Device(eve).join(elsewhere)
    services.set_policy(by=ada, recording=False, monitoring=True)
    services.set_policy(by=ada, recording=False, monitoring=True)
    services.set_policy(by=ada, recording=False, monitoring=False)
    assert events() == [["monitoring"], []]
    assert told() == [([], ["monitoring"]), (["monitoring"], [])]
    assert {entry.actor_id for entry in Entry.objects.filter(action_name="call:told")} == {ada.pk}
    changes = Entry.objects.filter(action_name="organization:call_policy_changed").order_by("pk")
    assert [entry.document["after"]["monitoring"] for entry in changes] == [True, False]
    streams = StreamEvent.objects.filter(type="voice.notice").values_list("stream__name", flat=True)
    assert set(streams) == {place.s}


def test_who_is_in_a_call_is_told_when_a_hold_begins_and_ends(
    alice: User, olga: User, oscar: User
) -> None:
    ward = room(alice)
    Device(alice).join(ward)
    hold = place_hold(olga, conversations=[ward.pk], matter="7", reason="A dispute.")
    ask_release(olga, hold.pk, reason="Settled.")
    assert events() == [["hold"]]
    release_hold(oscar, hold.pk)
    assert events() == [["hold"], []]
    assert Call.objects.get().notice == []


def test_a_held_person_who_joins_brings_their_hold_and_all_are_told(
    alice: User, bob: User, olga: User
) -> None:
    ward = room(alice)
    Device(alice).join(ward)
    place_hold(olga, people=[bob.pk], matter="7", reason="A dispute.")
    assert events() == []
    add_member(by=alice, conversation_id=ward.pk, user_id=bob.pk)
    assert Device(bob).join(ward).notice == ["hold"]
    assert events() == [["hold"]]


def test_only_an_administrator_sets_the_policy_and_everybody_may_see_it(
    alice: User, olga: User, ada: User, api: Callable[[User], Client]
) -> None:
    for person in (alice, olga):
        with pytest.raises(Denied):
            services.set_policy(by=person, recording=True, monitoring=True)
        body = {"recording": True, "monitoring": True}
        answer = api(person).put("/api/calls/policy", body, content_type="application/json")
        assert answer.status_code == 403
    assert not Entry.objects.filter(action_name="organization:call_policy_changed").exists()
    body = {"recording": True, "monitoring": False}
    answer = api(ada).put("/api/calls/policy", body, content_type="application/json")
    assert (answer.status_code, answer.json()) == (200, body)
    assert api(alice).get("/api/calls/policy").json() == body
    for wrong in ({}, {"recording": True}, body | {"listening": True}, {"recording": "perhaps"}):
        answer = api(ada).put("/api/calls/policy", wrong, content_type="application/json")
        assert answer.status_code == 400


def test_the_snapshot_over_rest_tells_it_before_one_joins(
    alice: User, ada: User, api: Callable[[User], Client]
) -> None:
    ward = room(alice)
    services.set_policy(by=ada, recording=True, monitoring=True)
    shown = api(alice).get(f"/api/conversations/{ward.pk}/voice").json()
    assert shown["notice"] == ["recording", "monitoring"]
