"""Rooms over real sockets: what a member says and hears."""

import json
from typing import Any

import msgspec
import pytest
import redis
from django.conf import settings
from django.db import connection

from app.accounts.models import User
from app.chat.models import Conversation
from app.voice.models import Participant
from tests.attacks.canary import traces
from tests.chat.talk import room
from tests.live import LiveDatabase
from tests.realtime.speaker import Refused, Speaker, connected
from tests.server import WebServer
from tests.voice.room import SIGNATURE, Device, fingerprint


def join(speaker: Speaker, device: Device, conversation: Conversation) -> dict[str, Any]:
    return speaker.ask("voice.join", **msgspec.to_builtins(device.joining(conversation)))


def test_two_members_meet_signal_and_one_leaves(server: WebServer, alice: User, bob: User) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, alice) as hers, connected(server.base_url, bob) as his:
        first = join(hers, Device(alice), ward)
        second = join(his, Device(bob), ward)
        assert hers.push("voice.joined")["d"]["participant"]["pid"] == second["pid"]
        assert [one["pid"] for one in second["participants"]] == [first["pid"], second["pid"]]
        offer = {"type": "offer", "sdp": "v=0"}
        to = {"to": first["pid"], "gen": 1, "neg": "1.1p"}
        his.ask("voice.signal", **to, description=offer)
        heard = hers.push("voice.signalled")["d"]
        assert (heard["sender"], heard["description"]) == (second["pid"], offer)
        his.ask("voice.renew", pid=second["pid"], gen=1)
        his.ask("voice.leave", pid=second["pid"], gen=1)
        assert hers.push("voice.left")["d"]["reason"] == "left"
        with pytest.raises(Refused, match="no longer"):
            his.ask("voice.renew", pid=second["pid"], gen=1)
    assert Participant.objects.filter(left_at=None).count() == 1


def test_client_sdk_js_561_who_was_away_replays_to_the_snapshot(
    server: WebServer, alice: User, bob: User
) -> None:
    ward, desk = room(alice, bob), Device(bob)
    with connected(server.base_url, alice) as speaker:
        place = join(speaker, Device(alice), ward)
    there = {one["pid"] for one in place["participants"]}
    desk.leave(desk.join(ward))
    his = desk.join(ward)
    with connected(server.base_url, alice) as speaker:
        assert speaker.sub(place["s"], place["e"], place["o"])["recovered"]
        for kind in ("voice.joined", "voice.left", "voice.joined"):
            told = speaker.push(kind)["d"]
            if kind == "voice.joined":
                there.add(told["participant"]["pid"])
            else:
                there.discard(told["pid"])
        given = {"fingerprint": fingerprint(2), "signature": SIGNATURE}
        again = speaker.ask("voice.resume", pid=place["pid"], gen=2, **given)
    assert there == {one["pid"] for one in again["participants"]} == {place["pid"], his.pid}


CANARY = "4611731400430051336"


def test_what_is_signalled_is_kept_nowhere(
    server: WebServer, live_db: LiveDatabase, alice: User, bob: User
) -> None:
    """Neither the description nor the candidate: not in a table, not in Redis."""
    ward = room(alice, bob)
    with connected(server.base_url, alice) as hers, connected(server.base_url, bob) as his:
        first, second = join(hers, Device(alice), ward), join(his, Device(bob), ward)
        to = {"to": first["pid"], "gen": 1, "neg": "1.1p"}
        his.ask("voice.signal", **to, description={"type": "offer", "sdp": f"v=0 {CANARY}"})
        his.ask("voice.signal", **to, candidate={"candidate": f"candidate:{CANARY}"})
        assert CANARY in json.dumps([hers.push("voice.signalled"), hers.push("voice.signalled")])
        his.ask("voice.leave", pid=second["pid"], gen=1)
    with live_db.acting_as("superuser"), connection.cursor() as cursor:
        cursor.execute("SELECT database_to_xml(true, false, '')")
        (rows,) = cursor.fetchone()
    assert first["pid"] in rows, "looked at something else"
    assert not traces(rows.encode(), CANARY)
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        dumps = [bytes(client.dump(key) or b"") for key in client.scan_iter()]
    assert not any(traces(dump, CANARY) for dump in dumps)


def test_a_place_waits_for_another_socket_until_its_lease_ends(
    server: WebServer, alice: User
) -> None:
    ward = room(alice)
    with connected(server.base_url, alice) as speaker:
        place = join(speaker, Device(alice), ward)
    with connected(server.base_url, alice) as speaker:
        given = {"fingerprint": fingerprint(2), "signature": SIGNATURE}
        again = speaker.ask("voice.resume", pid=place["pid"], gen=2, **given)
        assert (again["gen"], len(again["participants"])) == (2, 1)
        speaker.ask("voice.renew", pid=place["pid"], gen=2)
    # Nobody takes the place up again: without a word they are put out.
    with connected(server.base_url, alice) as speaker:
        speaker.sub(place["s"], again["e"], again["o"])
        assert speaker.push("voice.left", timeout=60)["d"]["reason"] == "timeout"
