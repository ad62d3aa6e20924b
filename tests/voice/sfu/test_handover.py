"""A call grows beyond a mesh: offered, forced, and back; who may be at the server, and who not."""

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.conf import settings as configured
from django.test import Client
from pytest_django import Settings

from app import outside
from app.accounts.models import Organization, User
from app.audit.models import Entry
from app.celery import application
from app.chat.models import Conversation
from app.errors import RoomFull
from app.realtime.models import StreamEvent
from app.realtime.protocol import VoicePlace
from app.voice import services, tasks
from app.voice.models import Call
from app.voice.services import following, handover
from app.voice.sfu import SfuFailed
from tests.cast import join
from tests.chat.talk import room
from tests.fakes.faults import Fault
from tests.fakes.livekit import LiveKitServer, Refused
from tests.voice.room import Device

pytestmark = pytest.mark.django_db
WEBHOOK = "/api/voice/sfu/webhook"


@pytest.fixture
def livekit(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveKitServer]:
    """It is set up; a mesh holds four here: offered at 3, forced at 5."""
    with LiveKitServer.running() as server:
        settings.LIVEKIT_URL = server.url
        settings.LIVEKIT_API_KEY, settings.LIVEKIT_API_SECRET = server.key, server.secret
        settings.VOICE_MESH_CAPACITY, settings.VOICE_SFU_CAPACITY = 4, 6
        yield server


@pytest.fixture
def jobs(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> Callable[[], Any]:
    """What is to be done after the commit is done, here, when the block ends."""

    def run(job: str, identity: UUID) -> None:
        application.tasks[job].apply(args=(str(identity),), throw=True)

    application.loader.import_default_modules()
    monkeypatch.setattr(following, "_send", run)
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def ward(alice: User, organization: Organization) -> Conversation:
    return room(alice, *(join(organization, f"member-{number}") for number in range(6)))


def devices(ward: Conversation) -> list[Device]:
    stays = ward.memberships.select_related("user").order_by("joined_at", "user__pk")
    return [Device(stay.user) for stay in stays]


def handovers() -> list[tuple[str, bool]]:
    found = StreamEvent.objects.filter(type="voice.handover").order_by("offset")
    return [(event.data["to"], event.data["force"]) for event in found]


def media() -> list[tuple[str, str]]:
    found = Entry.objects.filter(action_name="call:handed_over").order_by("pk")
    return [
        (entry.document["before"]["media"], entry.document["after"]["media"]) for entry in found
    ]


def token_of(device: Device, place: VoicePlace) -> str | None:
    found = services.ice(user=device.user, pid=UUID(place.pid), gen=place.gen).sfu
    return found.token if found else None


def test_a_call_is_offered_the_server_then_forced_to_it_and_goes_back(
    livekit: LiveKitServer, ward: Conversation
) -> None:
    people = devices(ward)
    places = [device.join(ward) for device in people[:2]]
    assert places[-1].capacity == 6
    assert token_of(people[0], places[0]) is None
    places.append(people[2].join(ward))
    assert handovers() == [("sfu", False)]
    assert places[-1].sfu is None, "media goes from each to each still"
    assert token_of(people[0], places[0]) is not None, "who gets ready needs a token"
    places += [device.join(ward) for device in people[3:5]]
    assert handovers() == [("sfu", False), ("sfu", True)]
    assert places[-1].sfu is not None
    assert places[-1].sfu.url == livekit.url
    assert livekit.join(places[-1].sfu.token) == (places[-1].call, places[-1].pid)
    for device, place in zip(people[:4], places[:4], strict=True):
        livekit.join(token_of(device, place) or "")
    assert livekit.people(places[0].call) == {place.pid for place in places}
    for device, place in list(zip(people, places, strict=False))[:3]:
        device.leave(place)
    assert handovers()[2:] == [("mesh", False)]
    assert media() == [("mesh", "offered"), ("offered", "sfu"), ("sfu", "mesh")]
    assert people[0].join(ward).sfu is None


def test_what_went_to_the_server_stays_there_until_the_room_is_small(
    livekit: LiveKitServer, ward: Conversation
) -> None:
    people = devices(ward)
    places = [device.join(ward) for device in people[:5]]
    people[4].leave(places[4])
    people[3].leave(places[3])
    back = people[4].join(ward)
    assert back.sfu is not None
    people[3].join(ward)
    assert handovers() == [("sfu", False), ("sfu", True)]


def test_without_a_server_a_room_ends_where_a_mesh_does(
    settings: Settings, ward: Conversation
) -> None:
    settings.VOICE_MESH_CAPACITY = 3
    people = devices(ward)
    places = [device.join(ward) for device in people[:3]]
    assert (places[-1].sfu, places[-1].capacity) == (None, 3)
    assert token_of(people[0], places[0]) is None
    with pytest.raises(RoomFull):
        people[3].join(ward)
    assert handovers() == []


@pytest.mark.parametrize("fault", [Fault(status=500, times=99), Fault(cut="before", times=99)])
def test_a_call_does_not_move_to_a_server_that_does_not_answer(
    livekit: LiveKitServer, ward: Conversation, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    livekit.faults.plan(fault)
    people = devices(ward)
    for device in people[:4]:
        assert device.join(ward).sfu is None
    with pytest.raises(RoomFull):
        people[4].join(ward)
    assert handovers() == []
    asked = len(livekit.faults.requests)
    assert asked == 1, "who waits does not ask a server that failed a moment ago"
    livekit.faults.clear()
    outside.forget()  # the pause is over
    assert people[4].join(ward).sfu is not None


def test_nobody_joins_beyond_what_the_server_s_room_holds(
    livekit: LiveKitServer, ward: Conversation
) -> None:
    people = devices(ward)
    for device in people[:6]:
        device.join(ward)
    with pytest.raises(RoomFull):
        people[6].join(ward)


def test_who_is_put_out_is_put_out_of_the_server_s_room_and_cannot_come_back_with_the_token(
    livekit: LiveKitServer, ward: Conversation, alice: User, jobs: Any
) -> None:
    people = devices(ward)
    places = [device.join(ward) for device in people[:5]]
    tokens = [token_of(*pair) or "" for pair in zip(people[:5], places, strict=True)]
    for token in tokens:
        livekit.join(token)
    guest = next(n for n, device in enumerate(people[:5]) if device.user != alice)
    with jobs():
        services.kick(by=alice, pid=UUID(places[guest].pid))
    assert livekit.people(places[0].call) == {
        place.pid for number, place in enumerate(places) if number != guest
    }
    livekit.join(tokens[guest])
    body, authorization = livekit.webhook("participant_joined", places[0].call, places[guest].pid)
    for _ in range(2):  # the same again does no harm
        answer = post(body, authorization)
        assert answer.status_code == 200
        assert places[guest].pid not in livekit.people(places[0].call)
    for number, place in enumerate(places):
        if number != guest:
            post(*livekit.webhook("participant_joined", place.call, place.pid))
    assert len(livekit.people(places[0].call)) == 4


def post(body: bytes, authorization: str) -> Any:
    return Client().post(
        WEBHOOK, body, "application/webhook+json", headers={"Authorization": authorization}
    )


def test_a_webhook_of_somebody_else_does_nothing(
    livekit: LiveKitServer, settings: Settings, ward: Conversation
) -> None:
    livekit.rooms.clear()
    call = str(uuid4())
    body, good = livekit.webhook("participant_joined", call, "stranger")
    livekit.call("CreateRoom", {"name": call}, livekit.sign(_grant(livekit)))
    assert post(body, "").status_code == 401
    assert post(body + b" ", good).status_code == 401
    assert livekit.faults.requests == []
    assert post(body, good).status_code == 200
    assert Client().get(WEBHOOK).status_code == 405
    livekit.faults.plan(Fault(status=500))
    assert post(body, good).status_code == 503, "it is sent again"
    settings.LIVEKIT_URL = ""
    assert post(body, good).status_code == 404


def _grant(livekit: LiveKitServer) -> dict[str, Any]:
    now = int(time.time())
    grant = {"iss": livekit.key, "nbf": now - 1, "exp": now + 60}
    return grant | {"video": {"roomCreate": True}}


def test_a_lost_job_is_made_up_for_also_after_the_call(
    livekit: LiveKitServer, ward: Conversation
) -> None:
    people = devices(ward)
    places = [device.join(ward) for device in people[:3]]
    for pair in zip(people[:3], places, strict=True):
        livekit.join(token_of(*pair) or "")
    for device, place in zip(people[:3], places, strict=True):
        device.leave(place)
    assert Call.objects.get().ended_at is not None
    assert len(livekit.people(places[0].call)) == 3
    livekit.faults.plan(Fault(status=500))
    handover.tidy_all()
    handover.tidy_all()
    assert len(livekit.people(places[0].call)) == 3, "it was away a moment ago"
    outside.forget()
    handover.tidy_all()
    assert livekit.people(places[0].call) == set()


def test_whom_a_host_mutes_is_muted_at_the_server(
    livekit: LiveKitServer, ward: Conversation, alice: User, jobs: Any
) -> None:
    people = devices(ward)
    places = [device.join(ward) for device in people[:5]]
    guest = next(n for n, device in enumerate(people[:5]) if device.user != alice)
    livekit.join(token_of(people[guest], places[guest]) or "", microphone=True)
    with jobs():
        services.mute(by=alice, pid=UUID(places[guest].pid), muted=True)
    (track,) = livekit.rooms[places[0].call].participants[places[guest].pid]
    assert track.muted


def test_jobs_are_asked_for_by_ids_alone_and_tried_again(
    livekit: LiveKitServer, ward: Conversation, redis_server: Any
) -> None:
    call = uuid4()
    following._send(following.TIDY, call)
    with redis.Redis.from_url(configured.REDIS_URL) as client:
        (queued,) = client.lrange("celery", 0, -1)
    assert str(call).encode() in queued
    livekit.faults.plan(Fault(status=500))
    with pytest.raises(SfuFailed):
        tasks.tidy_sfu.run(str(call))


def test_a_token_of_one_call_opens_no_other(livekit: LiveKitServer, ward: Conversation) -> None:
    people = devices(ward)
    places = [device.join(ward) for device in people[:3]]
    token = token_of(people[0], places[0]) or ""
    head, payload, mac = token.split(".")
    with pytest.raises(Refused):
        livekit.join(f"{head}.{payload[:-2]}AA.{mac}")
    assert livekit.join(token)[0] == places[0].call
