"""Calls with real media between real peers, through a real server and, relayed, a real coturn."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiortc.mediastreams import VideoStreamTrack

from app.accounts.models import User
from app.chat.models import Conversation
from app.realtime.client import Refused
from app.realtime.protocol import Code, VoiceLeft, VoiceSignalData
from app.voice.models import Participant
from tests.chat.talk import room
from tests.live import LiveDatabase
from tests.server import WebServer
from tests.shared_server import live_db, shared
from tests.stack import Stack
from tests.turn import TurnServer, turn
from tests.voice.caller import Caller, eventually, until

__all__ = ["live_db", "shared", "turn"]
pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("aiortc")]

Scenario = Callable[..., Coroutine[Any, Any, None]]


class CallServer(WebServer):
    """One that knows of a relay."""

    turn: TurnServer

    def environment(self) -> dict[str, str]:
        relay = {"TURN_URLS": self.turn.url, "TURN_SECRET": self.turn.secret}
        return super().environment() | relay


@pytest.fixture(scope="module")
def server(live_db: LiveDatabase, stack: Stack, turn: TurnServer) -> Iterator[WebServer]:
    CallServer.turn = turn
    with CallServer.running(live_db, stack.redis, stack) as running:
        yield running


@pytest.fixture(autouse=True)
def _this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates of the loopback, which aioice leaves out otherwise: no test uses a network."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda *_, **__: ["127.0.0.1"])


@pytest.fixture
def ward(alice: User, bob: User, mallory: User) -> Conversation:
    """Alice is the host."""
    return room(alice, bob, mallory)


def call(server: WebServer, scenario: Scenario, *people: User, **options: bool) -> None:
    """Run a scenario with a caller for each of the people."""

    async def run() -> None:
        await scenario(*callers)

    callers = [Caller(person, server.base_url, **options) for person in people]
    asyncio.run(run())


def stays(ward: Conversation) -> list[tuple[str, int, str]]:
    """Who was there, in which last generation, and why they left."""
    rows = Participant.objects.filter(conversation=ward).order_by("joined_at")
    return [(row.user.display_name, row.gen, row.reason) for row in rows]


def test_two_hear_each_other(server: WebServer, ward: Conversation, alice: User, bob: User) -> None:
    async def scenario(one: Caller, two: Caller) -> None:
        async with one.calling(str(ward.pk)), two.calling(str(ward.pk)):
            await one.hears(two)
            await two.hears(one)

    call(server, scenario, alice, bob)
    assert stays(ward) == [("Alice", 1, "left"), ("Bob", 1, "left")]


def test_a_third_joins_and_everybody_hears_everybody(
    server: WebServer, ward: Conversation, alice: User, bob: User, mallory: User
) -> None:
    async def scenario(one: Caller, two: Caller, three: Caller) -> None:
        async with one.calling(str(ward.pk)), two.calling(str(ward.pk)):
            await one.hears(two)
            async with three.calling(str(ward.pk)):
                await all_hear_each_other(one, two, three)
            await eventually(lambda: three.place.pid not in one.pairs)
            await one.hears(two)

    call(server, scenario, alice, bob, mallory)


async def all_hear_each_other(*callers: Caller) -> None:
    for one in callers:
        await one.hears(*(other for other in callers if other is not one))


def test_who_is_put_out_is_heard_no_more_and_can_signal_nobody(
    server: WebServer, ward: Conversation, alice: User, bob: User
) -> None:
    async def scenario(host: Caller, guest: Caller) -> None:
        async with host.calling(str(ward.pk)), guest.calling(str(ward.pk)):
            await host.hears(guest)
            with pytest.raises(Refused) as refused:
                await guest.client.request("voice.kick", pid=host.place.pid)
            assert refused.value.code == Code.DENIED
            await host.client.request("voice.kick", pid=guest.place.pid)
            await eventually(lambda: guest.place.reason == "kicked")
            await eventually(lambda: not host.pairs)
            assert host.left == [
                VoiceLeft(guest.place.pid, str(bob.pk), "kicked", str(alice.pk), host.left[0].at)
            ]
            signal = VoiceSignalData(host.place.pid, host.place.gen, "1.1p")
            with pytest.raises(Refused) as refused:
                await guest.client.request("voice.signal", to=signal.to, gen=1, neg=signal.neg)
            assert refused.value.code in {Code.STALE_GENERATION, Code.NOT_FOUND}
            again = await guest.client.join(str(ward.pk), guest.device, guest.fingerprint)
            assert again.pid != guest.place.pid
            await again.leave()

    call(server, scenario, alice, bob)
    assert stays(ward) == [("Alice", 1, "left"), ("Bob", 1, "kicked"), ("Bob", 1, "left")]


def test_who_crashes_is_gone_when_the_lease_has_ended(
    server: WebServer, ward: Conversation, alice: User, bob: User
) -> None:
    async def scenario(one: Caller, two: Caller) -> None:
        async with AsyncExitStack() as crashing, one.calling(str(ward.pk)):
            await crashing.enter_async_context(two.calling(str(ward.pk)))
            await one.hears(two)
            await two.lose_the_socket()
            for pair in two.pairs.values():
                await pair.close()
            await eventually(lambda: not one.pairs)
            assert [(left.pid, left.reason, left.by) for left in one.left] == [
                (two.place.pid, "timeout", None)
            ]
            two.may_connect.set()
            await eventually(lambda: two.place.reason is not None)

    call(server, scenario, alice, bob)
    assert stays(ward) == [("Alice", 1, "left"), ("Bob", 1, "timeout")]


def test_who_loses_the_socket_is_heard_meanwhile_and_comes_back_to_the_same_place(
    server: WebServer, ward: Conversation, alice: User, bob: User, mallory: User
) -> None:
    async def scenario(one: Caller, two: Caller, three: Caller) -> None:
        async with one.calling(str(ward.pk)), two.calling(str(ward.pk)):
            await one.hears(two)
            await two.lose_the_socket()
            await one.hears(two, more=150)  # three seconds of sound
            two.may_connect.set()
            await eventually(lambda: one.place.participants[two.place.pid].gen == 2)
            assert one.left == []
            async with three.calling(str(ward.pk)):
                await all_hear_each_other(one, two, three)

    call(server, scenario, alice, bob, mallory)
    assert stays(ward) == [("Alice", 1, "left"), ("Bob", 2, "left"), ("Mallory", 1, "left")]


def test_two_hear_each_other_through_the_relay_alone(
    server: WebServer, turn: TurnServer, ward: Conversation, alice: User, bob: User
) -> None:
    places: list[str] = []

    async def scenario(one: Caller, two: Caller) -> None:
        async with one.calling(str(ward.pk)), two.calling(str(ward.pk)):
            await one.hears(two)
            await two.hears(one)
            for caller in (one, two):
                places.append(caller.place.pid)
                (pair,) = caller.pairs.values()
                candidates = pair.pc.localDescription.sdp.count("a=candidate")
                assert 0 < candidates == pair.pc.localDescription.sdp.count("typ relay")

    call(server, scenario, alice, bob, relayed=True)
    said = turn.log_text()
    for pid in places:
        assert f":{pid}>" in said, "the relay was used by somebody else, or by nobody"


def test_who_turns_a_camera_on_is_seen_over_the_same_connection(
    server: WebServer, ward: Conversation, alice: User, bob: User
) -> None:
    async def scenario(one: Caller, two: Caller) -> None:
        async with one.calling(str(ward.pk)), two.calling(str(ward.pk)):
            await one.hears(two)
            await two.place.share(screen=False, video=True)
            pair = two.pairs[one.place.pid]
            pair.pc.addTrack(VideoStreamTrack())
            pair.do(pair.negotiation.needed())
            await until(lambda: sees(one, two))
            await one.hears(two)
            await eventually(lambda: one.place.participants[two.place.pid].video)

    async def sees(one: Caller, two: Caller) -> bool:
        return await one.pairs[two.place.pid].packets("video") > 20

    call(server, scenario, alice, bob)


def test_who_announces_another_certificate_is_not_connected(
    server: WebServer, ward: Conversation, alice: User, bob: User
) -> None:
    async def scenario(one: Caller, two: Caller) -> None:
        two.fingerprint = ":".join(["AB"] * 32)
        async with one.calling(str(ward.pk)), two.calling(str(ward.pk)):
            await eventually(lambda: one.distrusted == [two.place.pid])
            assert await one.pairs[two.place.pid].packets() == 0

    call(server, scenario, alice, bob)


def test_who_cannot_sign_for_the_certificate_is_not_connected(
    server: WebServer, ward: Conversation, alice: User, bob: User
) -> None:
    async def scenario(one: Caller, two: Caller) -> None:
        key, sign = two.device.key, one.device.sign
        two.device = type(two.device)(two.device.id, key, sign)
        async with one.calling(str(ward.pk)), two.calling(str(ward.pk)):
            await eventually(lambda: one.distrusted == [two.place.pid])
            assert one.pairs == {}

    call(server, scenario, alice, bob)
