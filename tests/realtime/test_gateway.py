"""The gateway over real sockets: opening, commands, pushes, recovery, limits, revocation."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connection, transaction
from redis import Redis
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from app.accounts.models import Session, User
from app.accounts.services import end_session, set_active
from app.chat.services import remove_member
from app.realtime.hints import STREAM_CHANNEL
from app.realtime.models import StreamEvent
from app.realtime.protocol import Close, Code, VoiceSummoned
from app.realtime.services import emit
from dev.redis_server import RedisServer
from tests.chat.talk import room, say
from tests.realtime.speaker import Refused, bearer, connected, opened, ticket
from tests.server import WebServer


def stream(conversation: object) -> str:
    return f"conversation:{getattr(conversation, 'pk', conversation)}"


def test_two_members_chat_live(server: WebServer, alice: User, bob: User) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, alice) as a, connected(server.base_url, bob) as b:
        a.sub(stream(ward))
        position = b.sub(stream(ward))
        ack = a.send(ward.pk, "Bed 12 moved.")
        push = b.push("message.created")
        assert push["d"] == {
            "id": ack["id"],
            "author": str(alice.pk),
            "body": "Bed 12 moved.",
            "thread": None,
            "at": ack["at"],
            "revision": 1,
            "entry": ack["entry"],
            "attachments": [],
        }
        assert (push["e"], push["o"]) == (position["e"], position["o"] + 1)
        assert a.push("message.created")["o"] == ack["offset"]


def test_every_command_reaches_the_others(server: WebServer, alice: User, bob: User) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, alice) as a, connected(server.base_url, bob) as b:
        b.sub(stream(ward))
        a.sub(stream(ward))
        id_ = a.send(ward.pk, "3.4")["id"]
        assert a.ask("edit", id=id_, body="4.1", revision=1)["revision"] == 2
        assert b.push("message.edited")["d"]["body"] == "4.1"
        b.ask("react", id=id_, emoji="👍", on=True)
        assert a.push("reaction.added")["d"]["user"] == str(bob.pk)
        b.ask("react", id=id_, emoji="👍", on=False)
        assert a.push("reaction.removed")
        b.ask("typing", conversation=str(ward.pk))
        assert a.push("typing")["d"] == {"user": str(bob.pk)}
        offset = a.push("message.created")["o"]
        b.sub(f"user:{bob.pk}")
        assert b.ask("read", conversation=str(ward.pk), offset=offset)["unread"] == 0
        assert b.push("read.moved")["d"]["offset"] == offset
        a.ask("delete", id=id_)
        assert b.push("message.deleted")["d"]["id"] == id_
        assert a.ask("ping") == {}


def test_who_comes_back_gets_exactly_what_was_missed(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, bob) as b:
        seen = b.sub(stream(ward))
    acks = [say(alice, ward, f"missed {number}") for number in range(5)]
    with connected(server.base_url, bob) as b:
        back = b.sub(stream(ward), seen["e"], seen["o"])
        assert back["recovered"] is True
        pushes = [b.push("message.created") for _ in acks]
        assert [push["d"]["body"] for push in pushes] == [f"missed {n}" for n in range(5)]
        assert [push["o"] for push in pushes] == [ack.offset for ack in acks]
        say(alice, ward, "live again")
        assert b.push("message.created")["d"]["body"] == "live again"


def test_who_missed_more_than_a_queue_holds_gets_it_by_one_connection(
    server: WebServer, alice: User
) -> None:
    mine = f"user:{alice.pk}"
    with connected(server.base_url, alice) as a:
        seen = a.sub(mine)
    missed = [VoiceSummoned("x" * 60_000, "", str(number)) for number in range(300)]
    with transaction.atomic():
        emit(mine, *missed)
    with connected(server.base_url, alice) as a:
        assert a.sub(mine, seen["e"], seen["o"])["recovered"] is True
        with transaction.atomic():
            emit(mine, VoiceSummoned("", "", "300"))
        heard = [a.push("voice.summoned") for _ in range(301)]
        assert [push["d"]["by"] for push in heard] == [str(number) for number in range(301)]
        assert [push["o"] - seen["o"] for push in heard] == list(range(1, 302))


@pytest.mark.parametrize("place", ["another epoch", "the future"])
def test_an_impossible_position_is_not_recovered(
    place: str, server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, bob) as b:
        seen = b.sub(stream(ward))
        epoch = "0" * 16 if place == "another epoch" else seen["e"]
        offset = seen["o"] + (100 if place == "the future" else 0)
        assert b.sub(stream(ward), epoch, offset) == {**seen, "recovered": False}


def test_a_stranger_cannot_listen_or_send(
    server: WebServer, alice: User, bob: User, mallory: User, eve: User
) -> None:
    ward = room(alice, bob)
    for stranger in (mallory, eve):
        with connected(server.base_url, stranger) as s:
            for attempt in (
                lambda: s.sub(stream(ward)),
                lambda: s.sub(f"user:{alice.pk}"),
                lambda: s.send(ward.pk, "hello"),
                lambda: s.sub(stream(uuid4())),
            ):
                with pytest.raises(Refused) as refusal:
                    attempt()
                assert refusal.value.code == Code.NOT_FOUND


def test_a_removed_member_hears_that_and_nothing_more(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, bob) as b:
        seen = b.sub(stream(ward))
        remove_member(by=alice, conversation_id=ward.pk, user_id=bob.pk)
        say(alice, ward, "now that he is gone")
        assert b.push("member.left")["d"]["user"] == str(bob.pk)
        with pytest.raises(TimeoutError):
            b.push("message.created", timeout=1)
        with pytest.raises(Refused) as refusal:
            b.sub(stream(ward), seen["e"], seen["o"])
        assert refusal.value.code == Code.NOT_FOUND


def test_a_ticket_opens_one_socket_only(server: WebServer, alice: User) -> None:
    once = ticket(server.base_url, bearer(alice))
    with opened(server.base_url) as first:
        first.ask("connect", ticket=once)
        with opened(server.base_url) as second:
            with pytest.raises(Refused) as refusal:
                second.ask("connect", ticket=once)
            assert refusal.value.code == Code.TICKET_EXPIRED
            assert second.close_code() == Close.UNAUTHENTICATED


def test_a_ticket_of_another_origin_is_refused(server: WebServer, alice: User) -> None:
    stolen = ticket(server.base_url, bearer(alice))  # issued to a program, without an origin
    with opened(server.base_url, origin=server.base_url) as socket, pytest.raises(Refused):
        socket.ask("connect", ticket=stolen)


def test_a_page_of_another_site_cannot_open_a_socket(server: WebServer) -> None:
    with pytest.raises(InvalidStatus), opened(server.base_url, origin="https://evil.example"):
        pass


def test_another_protocol_version_is_told_so(server: WebServer) -> None:
    url = server.base_url.replace("http", "ws") + "/ws"
    with connect(url, compression=None) as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == Close.VERSION


def test_nothing_is_done_before_the_ticket(server: WebServer, alice: User, bob: User) -> None:
    ward = room(alice, bob)
    with opened(server.base_url) as socket:
        socket.post("sub", s=stream(ward))
        assert socket.close_code() == Close.UNAUTHENTICATED


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[]",
        '{"id":1,"op":"zap","d":{}}',
        '{"id":1,"op":"send","d":{"conversation":"x","id":"y","body":"z"}}',
        '{"id":1,"op":"ping","d":{},"extra":1}',
        '{"id":"one","op":"ping","d":{}}',
        '{"id":1,"op":"sub","d":{"s":"conversation:../etc"}}',
        "[" * 10_000,
        b"\xff\xfe",
    ],
)
def test_a_bad_frame_is_refused_and_the_socket_stays(
    frame: str | bytes, server: WebServer, alice: User
) -> None:
    with connected(server.base_url, alice) as a:
        a.socket.send(frame)
        refusal = a.frame()
        assert refusal["err"]["code"] == Code.BAD_REQUEST
        assert a.ask("ping") == {}


def test_a_frame_of_a_megabyte_closes_the_socket_and_no_other(
    server: WebServer, alice: User, bob: User
) -> None:
    with connected(server.base_url, alice) as a, connected(server.base_url, bob) as b:
        a.socket.send(json.dumps({"id": 1, "op": "ping", "d": {"x": "y" * 1_000_000}}))
        assert a.frame()["err"]["code"] == Code.BAD_REQUEST
        assert a.close_code() == Close.BAD_FRAME
        assert b.ask("ping") == {}


def test_a_flood_is_held_back(server: WebServer, alice: User) -> None:
    with connected(server.base_url, alice) as a:
        numbers = [a.post("ping") for _ in range(150)]
        codes = []
        for number in numbers:
            try:
                a.reply(number)
            except Refused as refusal:
                codes.append(refusal.code)
        assert set(codes) == {Code.RATE}
        assert 20 <= len(codes) <= 50


@pytest.mark.parametrize("end", ["sign out", "disable"])
@pytest.mark.parametrize("redis", ["up", "down"])
def test_a_socket_closes_within_five_seconds_of_its_session(
    end: str, redis: str, server: WebServer, alice: User, request: pytest.FixtureRequest
) -> None:
    with connected(server.base_url, alice) as a:
        if redis == "down":
            request.getfixturevalue("redis_server").stop()
        started = time.monotonic()
        if end == "disable":
            ada: User = request.getfixturevalue("ada")
            set_active(by=ada, person_id=alice.pk, active=False)
        else:
            for session in Session.objects.filter(user=alice):
                end_session(user=alice, session_id=session.pk)
        assert a.close_code() == Close.REVOKED
        assert time.monotonic() - started < 5


def test_without_redis_members_go_on_chatting_and_with_it_again_nobody_notices(
    server: WebServer, alice: User, bob: User, request: pytest.FixtureRequest
) -> None:
    redis = request.getfixturevalue("redis_server")
    ward = room(alice, bob)
    with connected(server.base_url, alice) as a, connected(server.base_url, bob) as b:
        b.sub(stream(ward))
        a.send(ward.pk, "one")
        redis.stop()
        a.send(ward.pk, "two")
        say(alice, ward, "three, from another process")
        redis.start()
        a.send(ward.pk, "four")
        say(alice, ward, "five, from another process")
        bodies = [b.push("message.created")["d"]["body"][:5].strip(",") for _ in range(5)]
        assert [body.split()[0] for body in bodies] == ["one", "two", "three", "four", "five"]


def test_a_burst_is_acknowledged_in_order(server: WebServer, alice: User, bob: User) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, alice) as a, connected(server.base_url, bob) as b:
        b.sub(stream(ward))
        numbers = [
            a.post("send", conversation=str(ward.pk), id=str(uuid4()), body=str(number))
            for number in range(50)
        ]
        offsets = [a.reply(number)["offset"] for number in numbers]
        assert offsets == sorted(offsets)
        assert [b.push("message.created")["d"]["body"] for _ in numbers] == [
            str(number) for number in range(50)
        ]


def test_a_row_that_was_tampered_with_does_not_stop_the_stream(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, bob) as b:
        seen = b.sub(stream(ward))
    first, second = say(alice, ward, "one"), say(alice, ward, "two")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chat_messageversion SET body = 'cv1.forged' WHERE message_id = %s", [first.id]
        )
    with connected(server.base_url, bob) as b:
        assert b.sub(stream(ward), seen["e"], seen["o"])["recovered"]
        bodies = [b.push("message.created")["d"]["body"] for _ in range(2)]
        assert bodies == [None, "two"]
        assert b.send(ward.pk, "and on")["offset"] == second.offset + 1


def test_hints_that_are_lost_on_the_way_are_read_from_the_log(
    server: WebServer, alice: User, bob: User, request: pytest.FixtureRequest
) -> None:
    redis = request.getfixturevalue("redis_server")
    ward = room(alice, bob)
    with connected(server.base_url, bob) as b, Redis.from_url(redis.url) as client:
        b.sub(stream(ward))
        for round_ in range(4):
            client.client_kill_filter(_type="pubsub")
            for number in range(3):
                say(alice, ward, f"{round_}.{number}")
        bodies = [b.push("message.created", timeout=30)["d"]["body"] for _ in range(12)]
    assert bodies == [f"{round_}.{number}" for round_ in range(4) for number in range(3)]


def test_with_many_writers_everybody_sees_the_same_order_without_gaps(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)

    def write(writer: int) -> None:
        try:
            for number in range(5):
                say((alice, bob)[writer % 2], ward, f"{writer}.{number}")
        finally:
            connection.close()

    with connected(server.base_url, alice) as a, connected(server.base_url, bob) as b:
        start = a.sub(stream(ward))["o"]
        b.sub(stream(ward))
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(write, range(8)))
        seen = [[each.push("message.created", timeout=30) for _ in range(40)] for each in (a, b)]
    assert [push["o"] for push in seen[0]] == list(range(start + 1, start + 41))
    assert seen[0] == seen[1]
    for writer in range(8):
        own = [push["d"]["body"] for push in seen[0] if push["d"]["body"].startswith(f"{writer}.")]
        assert own == sorted(own)


def test_what_is_no_longer_in_the_log_is_not_recovered_in_part(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, bob) as b:
        seen = b.sub(stream(ward))
    acks = [say(alice, ward, str(number)) for number in range(3)]
    StreamEvent.objects.filter(stream=stream(ward), offset=acks[0].offset).delete()
    with connected(server.base_url, bob) as b:
        assert b.sub(stream(ward), seen["e"], seen["o"])["recovered"] is False
        say(alice, ward, "live")
        assert b.push("message.created")["d"]["body"] == "live"


def test_a_hint_that_skips_an_offset_has_the_log_read_at_once(
    server: WebServer, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, bob) as b:
        b.sub(stream(ward))
        say(alice, ward, "heard")
        assert b.push("message.created")["d"]["body"] == "heard"
        with monkeypatch.context() as deaf:
            deaf.setattr("app.realtime.hints.publish", lambda _: None)
            say(alice, ward, "lost on the way")
        say(alice, ward, "heard again")
        # Well before the next look at positions, which is 15 to 25 seconds away.
        bodies = [b.push("message.created", timeout=8)["d"]["body"] for _ in range(2)]
    assert bodies == ["lost on the way", "heard again"]


@pytest.mark.parametrize("more", [[], [True], [True, ""]], ids=["", "opened", "framed"])
def test_a_text_that_only_redis_knows_is_not_believed(
    more: list[object], server: WebServer, alice: User, bob: User, redis_server: RedisServer
) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, bob) as b, Redis.from_url(redis_server.url) as redis:
        seen = b.sub(stream(ward))
        data: dict[str, object] = {"id": str(uuid4()), "body": "forged", "thread": None}
        data |= {"author": str(alice.pk), "at": "", "revision": 1, "entry": 1, "attachments": []}
        forged = [seen["e"], seen["o"] + 1, "message.created", data, None, *more]
        redis.publish(STREAM_CHANNEL + stream(ward), json.dumps([forged]))
        say(alice, ward, "said")
        assert b.push("message.created")["d"]["body"] in {None, "said"}


def test_nobody_hears_of_what_was_rolled_back(server: WebServer, alice: User, bob: User) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, bob) as b:
        b.sub(stream(ward))
        with transaction.atomic():
            say(alice, ward, "never said")
            transaction.set_rollback(True)
        say(alice, ward, "said")
        assert b.push("message.created")["d"]["body"] == "said"
