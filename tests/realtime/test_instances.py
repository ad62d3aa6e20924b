"""Two gateway processes: signals and presence cross, renewal doubles nothing."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from app.accounts.models import User
from app.chat.services import remove_member
from app.realtime import protocol
from app.realtime.protocol import Code
from tests.chat.talk import room, say
from tests.live import LiveDatabase
from tests.realtime.speaker import Refused, Speaker, bearer, connected, ticket
from tests.server import GatewayServer, WebServer
from tests.stack import Stack
from tests.voice.room import SIGNATURE, Device, fingerprint


@pytest.fixture(scope="module")
def pair(live_db: LiveDatabase, stack: Stack) -> Iterator[tuple[WebServer, WebServer]]:
    with (
        GatewayServer.running(live_db, stack.redis, stack) as one,
        GatewayServer.running(live_db, stack.redis, stack) as two,
    ):
        yield one, two


@pytest.fixture
def one(pair: tuple[WebServer, WebServer]) -> str:
    return pair[0].base_url


@pytest.fixture(params=["the same instance", "another instance"])
def other(request: pytest.FixtureRequest, pair: tuple[WebServer, WebServer]) -> str:
    return pair[request.param != "the same instance"].base_url


def join(speaker: Speaker, user: User, conversation: Any) -> dict[str, Any]:
    return speaker.ask("voice.join", **msgspec.to_builtins(Device(user).joining(conversation)))


def signal(speaker: Speaker, to: dict[str, Any], sdp: str, **more: Any) -> Any:
    given = {"to": to["pid"], "gen": to["gen"], "neg": "n"} | more
    return speaker.ask("voice.signal", **given, description={"type": "offer", "sdp": sdp})


def refusal(speaker: Speaker, to: dict[str, Any], **more: Any) -> int:
    with pytest.raises(Refused) as refused:
        signal(speaker, to, "v=0", **more)
    return int(refused.value.code)


def test_a_signal_reaches_one_socket_and_bears_the_servers_word_on_its_sender(
    one: str, other: str, alice: User, bob: User, mallory: User
) -> None:
    ward = room(alice, bob, mallory)
    with (
        connected(one, alice) as a,
        connected(other, bob) as b,
        connected(other, mallory) as m,
    ):
        m.sub(f"voice:{ward.pk}")
        hers, his = join(a, alice, ward), join(b, bob, ward)
        # Bob joined last: he may signal at once, before anybody heard of him.
        sdp = "v=0\r\n" + "x" * 30_000
        signal(b, hers, sdp)
        heard = a.push("voice.signalled")["d"]
        assert (heard["sender"], heard["sender_gen"]) == (his["pid"], his["gen"])
        assert heard["description"] == {"type": "offer", "sdp": sdp}
        signal(a, his, "back")
        assert b.push("voice.signalled")["d"]["description"]["sdp"] == "back"
        m.ask("ping")
        assert not [push for push in m.pushes if push.get("t") == "voice.signalled"]


def test_a_signal_numbered_zero_is_not_answered_but_refused(
    one: str, other: str, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    with connected(one, alice) as a, connected(other, bob) as b:
        hers = join(a, alice, ward)
        join(b, bob, ward)
        frame = {"to": hers["pid"], "gen": 1, "neg": "n", "candidate": {"candidate": ""}}
        b.socket.send(msgspec.json.encode({"id": 0, "op": "voice.signal", "d": frame}).decode())
        assert a.push("voice.signalled")["d"]["candidate"]["candidate"] == ""
        frame["gen"] = 7
        b.socket.send(msgspec.json.encode({"id": 0, "op": "voice.signal", "d": frame}).decode())
        assert b.frame()["err"]["code"] == Code.STALE_GENERATION


def test_nobody_signals_without_a_seat_to_another_room_or_an_old_generation(
    one: str, other: str, alice: User, bob: User
) -> None:
    ward, elsewhere = room(alice, bob), room(alice, bob, name="elsewhere")
    with (
        connected(one, alice) as a,
        connected(other, bob) as b,
        connected(other, bob) as b2,
    ):
        hers = join(a, alice, ward)
        assert refusal(b, hers) == Code.STALE_GENERATION
        his = join(b, bob, ward)
        join(b2, bob, elsewhere)
        assert refusal(b2, hers) == Code.NOT_FOUND
        assert refusal(b, hers, gen=2) == Code.STALE_GENERATION
        b.ask("voice.leave", pid=his["pid"], gen=1)
        b.push("voice.left")
        assert refusal(b, hers) == Code.STALE_GENERATION
        assert a.push("voice.left")["d"]["pid"] == his["pid"]
        assert refusal(a, his) == Code.NOT_FOUND


def test_who_is_kicked_signals_nobody_any_more(
    one: str, other: str, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    with connected(one, alice) as a, connected(other, bob) as b:
        hers, his = join(a, alice, ward), join(b, bob, ward)
        a.ask("voice.kick", pid=his["pid"])
        assert b.push("voice.left")["d"]["reason"] == "kicked"
        assert refusal(b, hers) == Code.STALE_GENERATION


def test_a_place_is_resumed_on_another_instance_and_its_old_socket_has_no_seat(
    one: str, other: str, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    with connected(one, alice) as a, connected(one, bob) as b, connected(other, bob) as again:
        hers, his = join(a, alice, ward), join(b, bob, ward)
        given = {"fingerprint": fingerprint(2), "signature": SIGNATURE}
        place = again.ask("voice.resume", pid=his["pid"], gen=2, **given)
        b.push("voice.resumed")
        assert refusal(b, hers) == Code.STALE_GENERATION
        signal(again, hers, "I am back")
        assert a.push("voice.signalled")["d"]["sender_gen"] == 2
        signal(a, place, "welcome")
        assert again.push("voice.signalled")["d"]["description"]["sdp"] == "welcome"


def test_who_was_removed_hears_no_more_of_the_room(
    one: str, other: str, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    with connected(one, alice) as a, connected(other, bob) as b:
        b.sub(f"voice:{ward.pk}")  # to the room alone, not to the conversation
        remove_member(by=alice, conversation_id=ward.pk, user_id=bob.pk)
        deadline = time.monotonic() + 30
        while True:
            heard = join(a, alice, ward)
            a.ask("voice.leave", pid=heard["pid"], gen=1)
            try:
                b.push("voice.left", timeout=2)
            except TimeoutError:
                break
            assert time.monotonic() < deadline, "still listening"
        with pytest.raises(Refused):
            b.sub(f"voice:{ward.pk}")


def test_a_signal_may_be_longer_than_any_other_frame(one: str, alice: User) -> None:
    with connected(one, alice) as a:
        to = {"pid": "11111111-1111-4111-8111-111111111111", "gen": 1}
        with pytest.raises(Refused):
            signal(a, to, "x" * 60_000)
        assert a.ask("ping") == {}
        a.post("send", conversation=to["pid"], id=to["pid"], body="x" * 15_000, thread="y" * 5_000)
        assert a.close_code() == protocol.Close.BAD_FRAME


def test_signals_have_a_bucket_of_their_own(one: str, alice: User) -> None:
    with connected(one, alice) as a:
        to = {"to": "11111111-1111-4111-8111-111111111111", "gen": 1, "neg": "n"}
        numbers = [a.post("voice.signal", **to) for _ in range(protocol.SIGNAL_BURST + 300)]
        codes = []
        for number in numbers:
            with pytest.raises(Refused) as refused:
                a.reply(number)
            codes.append(refused.value.code)
        assert set(codes) == {Code.STALE_GENERATION, Code.RATE}
        assert codes[: protocol.SIGNAL_BURST] == [Code.STALE_GENERATION] * protocol.SIGNAL_BURST
        assert a.ask("ping") == {}


def presence(speaker: Speaker, user: User, state: str, timeout: float = 30) -> None:
    """Wait until `user` is shown so."""
    deadline = time.monotonic() + timeout
    while (
        speaker.push("presence", timeout=deadline - time.monotonic())["d"]["users"].get(
            str(user.pk)
        )
        != state
    ):
        pass


def test_presence_is_everybodys_until_their_last_socket_ends(
    one: str, other: str, alice: User, bob: User, eve: User
) -> None:
    organization = f"presence:{alice.organization_id}"
    with connected(one, alice) as a:
        a.sub(organization)
        assert a.push("presence")["d"]["whole"] is True
        with connected(one, bob) as first:
            first.ask("presence", state="away")
            presence(a, bob, "away")
            with connected(other, bob) as second:
                second.ask("presence", state="active")
                presence(a, bob, "active")
                with connected(other, alice) as late:
                    late.sub(organization)
                    whole = late.push("presence")["d"]
                    assert (whole["whole"], whole["users"].get(str(bob.pk))) == (True, "active")
            presence(a, bob, "away")
        presence(a, bob, "offline")
    with connected(one, eve) as stranger, pytest.raises(Refused) as refused:
        stranger.sub(organization)
    assert refused.value.code == Code.NOT_FOUND


def test_whose_instance_is_killed_is_offline_soon(
    pair: tuple[WebServer, WebServer], alice: User, bob: User
) -> None:
    with connected(pair[0].base_url, alice) as a:
        a.sub(f"presence:{alice.organization_id}")
        with connected(pair[1].base_url, bob) as b:
            b.ask("presence", state="active")
            presence(a, bob, "active")
            pair[1].kill()
            try:
                presence(a, bob, "offline", timeout=60)
            finally:
                pair[1].start()


def test_a_socket_goes_on_under_another_session_of_the_same_person(
    one: str, alice: User, bob: User
) -> None:
    with connected(one, alice) as a:
        renewed = a.ask("auth.refresh", ticket=ticket(one, bearer(alice)))
        assert renewed["user"] == str(alice.pk)
        for bad in (ticket(one, bearer(bob)), "x" * 43):
            with pytest.raises(Refused) as refused:
                a.ask("auth.refresh", ticket=bad)
            assert refused.value.code == Code.UNAUTHENTICATED
        assert a.ask("ping") == {}


def test_reactivetradercloud_1954_a_new_socket_before_the_old_one_goes_doubles_nothing(
    one: str, other: str, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    stream = f"conversation:{ward.pk}"
    with connected(one, bob) as old:
        place = old.sub(stream)
        say(alice, ward, "one")
        heard = [old.push("message.created")]
        with connected(other, bob) as new:
            say(alice, ward, "two")
            new.sub(stream, place["e"], heard[-1]["o"])
            say(alice, ward, "three")
            heard += [new.push("message.created") for _ in range(2)]
            assert [push["o"] - place["o"] for push in heard] == [1, 2, 3]
            # The old one heard the same, at the same offsets: a client drops what it has.
            assert [old.push("message.created")["o"] for _ in range(2)] == [
                push["o"] for push in heard[1:]
            ]
        assert new.pushes == []
