"""Joining, resuming, leaving and what hosts may, on real tables."""

from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.utils import DatabaseError, IntegrityError

from app.accounts.models import User
from app.audit.context import Origin
from app.audit.models import Entry
from app.chat.models import Conversation
from app.errors import Conflict, Denied, DomainError, Invalid, NotFound, RoomFull, StaleGeneration
from app.realtime import protocol
from app.realtime.models import StreamEvent
from app.realtime.protocol import VoicePlace, VoiceReportData
from app.voice import access, services
from app.voice.consumers import execute
from app.voice.models import Call, Connection, Participant
from tests.chat.talk import room
from tests.voice.room import Device, reasons, row

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("lease_server")]


def actions() -> list[str]:
    found = Entry.objects.filter(action_name__startswith="call:").order_by("pk")
    return list(found.values_list("action_name", flat=True))


def events(conversation: Conversation) -> list[str]:
    found = StreamEvent.objects.filter(stream=f"voice:{conversation.pk}").order_by("offset")
    return list(found.values_list("type", flat=True))


def pid(place: VoicePlace) -> UUID:
    return UUID(place.pid)


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
    ward, mine, phone = room(alice), uuid4(), Device(alice)
    assert (phone.join(ward, mine).o, phone.join(ward, mine).o) == (1, 1)
    assert actions() == ["call:started", "call:joined"]


def test_the_same_resumption_again_changes_nothing(alice: User) -> None:
    ward, phone = room(alice), Device(alice)
    place = phone.join(ward)
    assert (phone.resume(place, 2).o, phone.resume(place, 2).o) == (2, 2)
    assert actions() == ["call:started", "call:joined", "call:resumed"]


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


def test_element_call_60_a_rejoin_has_a_new_pid_and_the_mesh_reforms(
    alice: User, bob: User
) -> None:
    """A device that comes back without its place is another participant, whom all must meet."""
    ward, phone = room(alice, bob), Device(alice)
    Device(bob).join(ward)
    before = phone.join(ward)
    after = phone.join(ward)
    assert after.pid != before.pid
    assert [one.pid for one in after.participants][-1] == after.pid
    assert events(ward)[-2:] == ["voice.left", "voice.joined"]
    with pytest.raises(StaleGeneration):
        phone.join(ward, pid(before))


def test_livekit_1022_the_same_device_twice_is_one_participant(alice: User) -> None:
    ward, other, phone = room(alice), room(alice, name="other"), Device(alice)
    first = phone.join(ward)
    second = phone.join(ward)
    third = phone.join(other)
    assert [row(one).reason for one in (first, second, third)] == ["replaced", "moved", ""]
    assert len(third.participants) == 1
    Device(alice).join(other)
    assert Participant.objects.filter(left_at=None).count() == 2, "another device of hers"


def test_a_full_room_takes_nobody_until_somebody_leaves(
    alice: User, bob: User, settings: Any
) -> None:
    settings.VOICE_MESH_CAPACITY = 1
    ward, phone = room(alice, bob), Device(alice)
    place = phone.join(ward)
    with pytest.raises(RoomFull):
        Device(bob).join(ward)
    assert phone.join(ward).capacity == 1, "its own older place makes room"
    phone.leave(phone.join(ward))
    assert Device(bob).join(ward).call != place.call


def test_nobody_elses_room_and_nobody_elses_place(alice: User, mallory: User, eve: User) -> None:
    ward = room(alice)
    hers = Device(alice).join(ward)
    for stranger in (mallory, eve):
        theirs = Device(stranger)
        for attempt in (
            partial(theirs.join, ward),
            partial(theirs.resume, hers, 2),
            partial(theirs.leave, hers),
            partial(services.mute, by=stranger, pid=pid(hers), muted=True),
            partial(services.kick, by=stranger, pid=pid(hers)),
            partial(services.ice, user=stranger, pid=pid(hers), gen=1),
            partial(access.room, stranger, ward.pk),
            partial(access.calls, stranger, ward.pk),
        ):
            with pytest.raises(NotFound):
                attempt()
    assert events(ward) == ["voice.joined"]


def test_a_pid_of_somebody_else_is_taken(alice: User, bob: User) -> None:
    ward = room(alice, bob)
    hers = Device(alice).join(ward)
    with pytest.raises(Conflict):
        Device(bob).join(ward, pid(hers))


def test_an_older_socket_neither_leaves_nor_shares_for_the_newer_one(alice: User) -> None:
    ward, phone = room(alice), Device(alice)
    old = phone.join(ward)
    phone.resume(old, 2)
    with pytest.raises(StaleGeneration):
        phone.leave(old)
    with pytest.raises(StaleGeneration):
        services.share(user=alice, pid=pid(old), gen=1, screen=True, video=False)
    with pytest.raises(StaleGeneration):
        services.ice(user=alice, pid=pid(old), gen=1)
    with pytest.raises(StaleGeneration):
        phone.resume(old, 4)


def test_a_host_mutes_puts_out_and_moves_and_never_unmutes(alice: User, bob: User) -> None:
    ward, other = room(alice, bob), room(alice, bob, name="other")
    his = Device(bob).join(ward)
    services.mute(by=alice, pid=pid(his), muted=True)
    assert (row(his).muted, row(his).muted_by_id) == (True, alice.pk)
    with pytest.raises(Denied):
        services.mute(by=alice, pid=pid(his), muted=False)
    services.mute(by=bob, pid=pid(his), muted=False)
    assert (row(his).muted, row(his).muted_by_id) == (False, None)
    services.move(by=alice, pid=pid(his), conversation_id=other.pk)
    assert (row(his).reason, row(his).by_id) == ("moved", alice.pk)
    summons = StreamEvent.objects.get(stream=f"user:{bob.pk}", type="voice.summoned")
    assert summons.data["conversation"] == str(other.pk)
    again = Device(bob).join(ward)
    services.kick(by=alice, pid=pid(again))
    services.kick(by=alice, pid=pid(again))
    assert (row(again).reason, row(again).by_id) == ("kicked", alice.pk)
    assert Device(bob).join(ward).gen == 1, "put out is not locked out"
    assert [name for name in actions() if name in {"call:kicked", "call:moved"}] == [
        "call:moved",
        "call:kicked",
    ]


def test_a_member_is_no_host_nor_is_anybody_in_a_direct_conversation(
    alice: User, bob: User
) -> None:
    ward, direct = room(alice, bob), room(alice, bob, kind="direct")
    other = room(alice, bob, name="other")
    for where, by, whom in [(ward, bob, alice), (direct, alice, bob), (direct, bob, alice)]:
        place = Device(whom).join(where)
        for attempt in (
            partial(services.kick, by=by, pid=pid(place)),
            partial(services.mute, by=by, pid=pid(place), muted=True),
            partial(services.move, by=by, pid=pid(place), conversation_id=other.pk),
        ):
            with pytest.raises(Denied):
                attempt()
        assert row(place).left_at is None


def test_nobody_is_sent_to_a_conversation_that_is_not_theirs(alice: User, bob: User) -> None:
    ward, private = room(alice, bob), room(alice, name="private")
    his = Device(bob).join(ward)
    with pytest.raises(DomainError):
        services.move(by=alice, pid=pid(his), conversation_id=private.pk)
    assert row(his).left_at is None


def told(place: VoicePlace, peer: VoicePlace, loss: float = 0.5) -> VoiceReportData:
    return VoiceReportData(place.pid, place.gen, peer.pid, "relay", loss, 10.0, 100.5)


def test_reports_are_added_up_and_fixed_by_the_leaving(alice: User, bob: User) -> None:
    ward, phone = room(alice, bob), Device(alice)
    mine, his = phone.join(ward), Device(bob).join(ward)
    services.report(user=alice, told=told(mine, his, 0.5))
    services.report(user=alice, told=told(mine, his, 0.1))
    with pytest.raises(NotFound):
        services.report(user=bob, told=told(mine, his))
    with pytest.raises(NotFound):
        services.report(user=alice, told=told(mine, mine))
    phone.leave(mine)
    left = Entry.objects.get(action_name="call:left").document["parameters"]
    assert left["connections"] == [
        {
            "peer": his.pid,
            "candidate": "relay",
            "reports": 2,
            "loss_ppm": {"last": 100_000, "worst": 500_000, "mean": 300_000},
            "jitter_us": {"last": 10_000, "worst": 10_000, "mean": 10_000},
            "rtt_us": {"last": 100_500, "worst": 100_500, "mean": 100_500},
        }
    ]
    with pytest.raises(StaleGeneration):
        services.report(user=alice, told=told(mine, his))
    assert Connection.objects.get().reports == 2


def test_the_trail_has_one_joining_and_one_leaving_and_a_hash_of_what_was_announced(
    alice: User,
) -> None:
    ward, phone = room(alice), Device(alice)
    phone.leave(phone.join(ward))
    joined = Entry.objects.get(action_name="call:joined").document
    left = Entry.objects.get(action_name="call:left").document
    assert len(joined["after"]["identity"]) == 64
    assert joined["target"] == left["target"]
    assert (left["parameters"]["reason"], joined["scope"]) == ("left", str(ward.pk))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM voice_participant",
        "DELETE FROM voice_call",
        "TRUNCATE voice_connection",
        "UPDATE voice_participant SET reason = 'kicked'",
        "UPDATE voice_participant SET left_at = NULL, reason = ''",
        "UPDATE voice_call SET started_at = started_at - interval '1 hour'",
        "UPDATE voice_connection SET loss_worst = 0",
    ],
)
def test_what_is_over_stays_as_it_was(alice: User, bob: User, statement: str) -> None:
    ward, phone = room(alice, bob), Device(alice)
    mine, his = phone.join(ward), Device(bob).join(ward)
    services.report(user=alice, told=told(mine, his))
    phone.leave(mine)
    Device(bob).leave(his)
    with (
        pytest.raises(DatabaseError, match=r"is kept|permission denied"),
        connection.cursor() as at,
    ):
        at.execute(statement)


def test_nothing_is_written_without_an_entry_of_its_transaction(alice: User) -> None:
    place = Device(alice).join(room(alice))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    # In this one transaction the joining's entry would do for it: so it is another participant's.
    columns = [str(one.column) for one in Participant._meta.fields if one.name != "pid"]
    values = ", ".join("gen_random_uuid()" if name == "device" else name for name in columns)
    statement = (
        f"INSERT INTO voice_participant (pid, {', '.join(columns)}) "
        f"SELECT gen_random_uuid(), {values} FROM voice_participant WHERE pid = %s; "
        "SET CONSTRAINTS ALL IMMEDIATE"
    )
    with connection.cursor() as cursor, pytest.raises(IntegrityError, match="no entry"):
        cursor.execute(statement, [place.pid])


def test_the_consumer_refuses_what_is_not_its_own(alice: User) -> None:
    with pytest.raises(Invalid):
        execute(alice, Origin(), protocol.Ping(1))


def test_rooms_and_calls_over_http(alice: User, bob: User, api: Any) -> None:
    ward, phone = room(alice, bob), Device(alice)
    place = phone.join(ward)
    shown = api(bob).get(f"/api/conversations/{ward.pk}/voice").json()
    assert [one["pid"] for one in shown["participants"]] == [place.pid]
    assert (shown["call"], shown["position"]["offset"], shown["host"]) == (place.call, 1, False)
    phone.leave(place)
    (call,) = api(bob).get(f"/api/conversations/{ward.pk}/calls").json()["calls"]
    assert (call["id"], call["participants"][0]["reason"]) == (place.call, "left")
    assert api(bob).get(f"/api/conversations/{ward.pk}/voice").json()["call"] is None
