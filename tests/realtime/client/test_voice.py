"""A place in a room through lost replies and sockets: in virtual time, and on a real server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.accounts.models import User
from app.realtime.client import Client, Device, Place, Roster
from app.realtime.client.identity import decoded, is_announced
from app.realtime.protocol import (
    Code,
    Description,
    VoiceChanged,
    VoiceJoined,
    VoiceLeft,
    VoiceResumed,
    VoiceSignalData,
    VoiceSignalled,
    identity_statement,
)
from app.voice.access import rosters
from loadtests.device import new_device
from tests.chat.talk import room
from tests.realtime.client.member import client_of
from tests.realtime.client.virtual import Gateway, Wire, run
from tests.server import WebServer

ROOM = "00000000-0000-4000-8000-00000000000a"
ME = "00000000-0000-4000-8000-00000000000b"
PRINT = ":".join(["AB"] * 32)
TIMEOUT = 60.0


class Voice:
    """The server's side of one place, in memory; `fates` befall the next `joins and resumes`."""

    def __init__(self, *fates: str) -> None:
        self.fates = list(fates)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.offset = 0
        self.gen = 0
        self.refuse_renewals = False
        self.gateway = Gateway(rule=self.rule)
        self.signed = 0

    def sign(self, statement: bytes) -> bytes:
        """Another signature each time, as ECDSA gives."""
        self.signed += 1
        return self.signed.to_bytes(64, "big")

    def rule(self, wire: Wire, command: dict[str, Any]) -> bool:
        op, d, number = command["op"], command["d"], command["id"]
        if not op.startswith("voice."):
            return False
        self.asked.append((op, d))
        if op == "voice.renew" and self.refuse_renewals:
            refuse(wire, number, Code.STALE_GENERATION)
        elif op in {"voice.join", "voice.resume"}:
            self.place(wire, number, d)
        else:
            wire.push({"id": number, "ok": {}})
        return True

    def place(self, wire: Wire, number: int, d: dict[str, Any]) -> None:
        match self.fates.pop(0) if self.fates else "ok":
            case "cut before":
                wire.cut()
            case "cut after":
                self.gen = d.get("gen", 1)
                wire.cut()
            case "busy":
                refuse(wire, number, Code.INTERNAL)
            case "gone":
                refuse(wire, number, Code.STALE_GENERATION)
            case "ok":
                self.gen = d.get("gen", 1)
                wire.push({"id": number, "ok": self.state(d)})

    def state(self, d: dict[str, Any]) -> dict[str, Any]:
        self.offset += 1
        me = participant(d["pid"], gen=self.gen)
        return {
            "conversation": ROOM, "call": ROOM, "pid": d["pid"], "gen": self.gen,
            "s": f"voice:{ROOM}", "e": "e1", "o": self.offset, "participants": [me],
            "ice": {"servers": [], "ttl": 600}, "capacity": 8, "host": False, "notice": [],
        }  # fmt: skip

    def tell(self, kind: str, **data: Any) -> None:
        self.offset += 1
        event = {"s": f"voice:{ROOM}", "e": "e1", "o": self.offset, "t": kind, "d": data}
        for wire in self.gateway.live:
            wire.push(event)

    def ops(self, op: str) -> list[dict[str, Any]]:
        return [d for asked, d in self.asked if asked == op]


def refuse(wire: Wire, number: int, code: Code) -> None:
    failure = {"code": code, "name": "", "retry": code == Code.INTERNAL, "message": ""}
    wire.push({"id": number, "err": failure})


def participant(pid: str, gen: int = 1) -> dict[str, Any]:
    return {
        "pid": pid, "gen": gen, "user": ME, "device": ME, "at": "", "muted": False,
        "muted_by": None, "screen": False, "video": False, "key": "A" * 87,
        "fingerprint": PRINT, "signature": "A" * 86,
    }  # fmt: skip


def joined(voice: Voice, work: Callable[[Client, Place], Awaitable[None]]) -> None:
    async def both() -> None:
        gateway = voice.gateway
        async with Client("", gateway.ticket, open_=gateway.open) as client:
            device = Device(ME, b"\4" + bytes(64), voice.sign)
            await work(client, await client.join(ROOM, device, PRINT))
        assert not gateway.live

    run(both())


def test_a_join_without_a_reply_is_repeated_as_it_was() -> None:
    voice = Voice("cut before", "cut after", "busy", "ok")

    async def work(client: Client, place: Place) -> None:
        asked = voice.ops("voice.join")
        assert len(asked) == 4
        assert all(one == asked[0] for one in asked), "another pid or signature is another join"
        assert await anext(place) == Roster(place.place)

    joined(voice, work)


def test_the_place_is_resumed_on_each_new_socket_in_the_next_generation() -> None:
    voice = Voice()

    async def work(client: Client, place: Place) -> None:
        for gen in (2, 3):
            voice.gateway.live[0].cut()
            await asyncio.sleep(1)
            assert place.gen == gen
        client.renew()
        await asyncio.sleep(5)
        assert place.gen == 4
        assert [d["gen"] for d in voice.ops("voice.resume")] == [2, 3, 4]
        assert len({d["signature"] for d in voice.ops("voice.resume")}) == 3

    joined(voice, work)


def test_a_resumption_without_a_reply_is_repeated_with_the_same_signature() -> None:
    voice = Voice("ok", "cut after", "busy", "ok")

    async def work(client: Client, place: Place) -> None:
        voice.gateway.live[0].cut()
        await asyncio.sleep(3)
        first, *others = voice.ops("voice.resume")
        assert first["gen"] == 2
        assert others == [first, first]
        assert place.gen == 2

    joined(voice, work)


@pytest.mark.parametrize("by", ["resumption", "renewal", "event"])
def test_who_learns_that_the_place_is_gone_has_left_and_asks_no_more(by: str) -> None:
    voice = Voice("ok", "gone")

    async def work(client: Client, place: Place) -> None:
        await anext(place)
        match by:
            case "resumption":
                voice.gateway.live[0].cut()
            case "renewal":
                voice.refuse_renewals = True
            case "event":
                voice.tell("voice.left", pid=place.pid, user=ME, reason="kicked", by=None, at="")
                left = await anext(place)
                assert isinstance(left, VoiceLeft)
        async with asyncio.timeout(10):
            with pytest.raises(StopAsyncIteration):
                await anext(place)
        assert place.reason == ("kicked" if by == "event" else "timeout")
        asked = len(voice.asked)
        voice.gateway.live[0].cut()
        await asyncio.sleep(30)
        assert len(voice.asked) == asked

    joined(voice, work)


def test_who_leaves_while_the_socket_goes_has_left_whatever_the_server_knew_of_the_resumption() -> (
    None
):
    voice = Voice("ok", "cut after")
    left: list[int] = []

    def rule(wire: Wire, command: dict[str, Any]) -> bool:
        if command["op"] != "voice.leave":
            return voice.rule(wire, command)
        left.append(command["d"]["gen"])
        if command["d"]["gen"] == voice.gen:
            wire.push({"id": command["id"], "ok": {}})
        else:
            refuse(wire, command["id"], Code.STALE_GENERATION)
        return True

    voice.gateway.rule = rule

    async def work(client: Client, place: Place) -> None:
        voice.gateway.live[0].cut()
        while not voice.ops("voice.resume"):
            await asyncio.sleep(0.01)
        await place.leave()
        assert (left, place.reason) == ([1, 2], "left")
        assert len(voice.ops("voice.resume")) == 1

    joined(voice, work)


def test_the_lease_is_renewed_every_five_seconds_in_the_present_generation() -> None:
    voice = Voice()

    async def work(client: Client, place: Place) -> None:
        await asyncio.sleep(21)
        assert len(voice.ops("voice.renew")) == 4
        voice.gateway.live[0].cut()
        await asyncio.sleep(6)
        assert voice.ops("voice.renew")[-1] == {"pid": place.pid, "gen": 2}

    joined(voice, work)


def test_the_room_is_replayed_from_its_events() -> None:
    voice = Voice()
    other = "00000000-0000-4000-8000-00000000000c"

    async def work(client: Client, place: Place) -> None:
        await anext(place)
        voice.tell("voice.joined", call=ROOM, participant=participant(other))
        assert isinstance(await anext(place), VoiceJoined)
        fresh = {"fingerprint": PRINT.replace("A", "C"), "signature": "B" * 86}
        voice.tell("voice.resumed", pid=other, gen=2, **fresh)
        assert isinstance(await anext(place), VoiceResumed)
        changed = {"muted": True, "muted_by": None, "screen": True, "video": False}
        voice.tell("voice.changed", pid=other, **changed)
        assert isinstance(await anext(place), VoiceChanged)
        there = place.participants[other]
        assert (there.gen, there.fingerprint) == (2, fresh["fingerprint"])
        assert (there.muted, there.screen) == (True, True)
        voice.tell("voice.left", pid=other, user=ME, reason="left", by=None, at="")
        assert isinstance(await anext(place), VoiceLeft)
        assert set(place.participants) == {place.pid}

    joined(voice, work)


def test_a_room_that_cannot_be_continued_is_had_as_a_whole_again() -> None:
    voice = Voice()

    async def work(client: Client, place: Place) -> None:
        await anext(place)
        voice.gateway.live[0].push({"op": "resync", "d": {"s": f"voice:{ROOM}"}})
        assert isinstance(await anext(place), Roster)
        assert place.gen == 2

    joined(voice, work)


@pytest.mark.parametrize(
    ("sdp", "good"),
    [
        (f"v=0\r\na=fingerprint:sha-256 {PRINT}\r\n", True),
        (f"a=fingerprint:SHA-256 {PRINT.lower()}\na=fingerprint:sha-256 {PRINT}\n", True),
        (
            f"a=fingerprint:sha-256 {PRINT}\na=fingerprint:sha-256 {PRINT.replace('A', 'C')}\n",
            False,
        ),
        (f"a=fingerprint:sha-1 {PRINT}\n", False),
        (f"a=fingerprint:sha-256 {PRINT}\na=fingerprint:sha-1 AB:CD\n", False),
        ("v=0\n", False),
    ],
)
def test_a_description_names_the_announced_certificate_and_no_other(sdp: str, good: bool) -> None:
    assert is_announced(sdp, PRINT) is good


def test_two_in_a_real_room_see_each_other_signal_resume_and_leave(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    a, b = client_of(alice, server.base_url), client_of(bob, server.base_url)
    conversation = str(ward.pk)

    async def call() -> None:
        async with a, b, asyncio.timeout(TIMEOUT):
            one = await a.join(conversation, new_device(), PRINT)
            other = await b.join(conversation, new_device(), PRINT)
            await until(one, VoiceJoined)
            assert one.participants == other.participants
            assert set(one.participants) == {one.pid, other.pid}
            await other.signal(said(one.pid, one.gen))
            heard = await until(one, VoiceSignalled)
            assert (heard.sender, heard.sender_gen, heard.neg) == (other.pid, 1, "1.1p")
            wire: Any = a.link and a.link.transport
            wire.socket.transport.abort()
            back = await until(other, VoiceResumed)
            assert (back.pid, back.gen) == (one.pid, 2)
            while one.gen < 2:
                await asyncio.sleep(0.05)
            assert one.participants == other.participants
            await other.signal(said(one.pid, 1))  # of before: it goes nowhere
            await other.signal(said(one.pid, 2))
            assert (await until(one, VoiceSignalled)).gen == 2
            await one.leave()
            left = await until(other, VoiceLeft)
            assert (left.pid, left.reason) == (one.pid, "left")
            assert set(other.participants) == {other.pid}
            async for _ in one:
                pass
            assert one.reason == "left"
            await other.leave()

    asyncio.run(call())
    assert rosters([conversation])[conversation] == {}


def said(pid: str, gen: int) -> VoiceSignalData:
    return VoiceSignalData(pid, gen, "1.1p", description=Description("offer", "v=0"))


async def until(place: Place, kind: type[Any]) -> Any:
    async for happening in place:
        if isinstance(happening, kind):
            return happening
    raise AssertionError("the place has ended")


def test_a_signature_is_of_the_identity_statement() -> None:
    device = Device(ME, b"", lambda statement: b"signed " + statement)
    signature = decoded(device.signature(ROOM, ME, 3, PRINT))
    assert signature == b"signed " + identity_statement(ROOM, ME, 3, PRINT)
