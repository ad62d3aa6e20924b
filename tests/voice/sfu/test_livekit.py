"""LiveKit's client against a server that verifies its tokens and signs webhooks, with faults."""

import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import jwt
import pytest

from app.voice.sfu import TOKEN_SECONDS, Arrival, BadWebhook, SfuAway, SfuFailed
from app.voice.sfu.livekit import LiveKit
from tests.fakes.faults import Fault
from tests.fakes.livekit import LiveKitServer, Refused

CALL, OTHER, PID = UUID(int=1), UUID(int=2), UUID(int=3)  # the same in each process of pytest


@pytest.fixture
def server() -> Iterator[LiveKitServer]:
    with LiveKitServer.running() as running:
        yield running


@pytest.fixture
def livekit(server: LiveKitServer, monkeypatch: pytest.MonkeyPatch) -> LiveKit:
    monkeypatch.setattr("app.outside.PAUSE", 0.0)
    return LiveKit(server.url, server.key, server.secret)


def test_a_token_opens_one_call_for_one_place_for_ten_minutes(
    livekit: LiveKit, server: LiveKitServer
) -> None:
    token = livekit.token(CALL, PID)
    assert server.join(token, microphone=True) == (str(CALL), str(PID))
    claims = jwt.decode(token, server.secret, algorithms=["HS256"])
    assert claims["video"] == {
        "room": str(CALL),
        "roomJoin": True,
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": False,
    }
    assert 0 < claims["exp"] - time.time() <= TOKEN_SECONDS
    assert claims["iss"] == server.key


def test_a_token_of_a_place_administers_nothing(livekit: LiveKit, server: LiveKitServer) -> None:
    token = livekit.token(CALL, PID)
    server.join(token)
    body = {"room": str(CALL), "identity": str(PID)}
    for method, more in [("RemoveParticipant", {}), ("CreateRoom", {"name": str(OTHER)})]:
        with pytest.raises(Refused, match="permission_denied"):
            server.call(method, body | more, token)


def test_a_token_signed_with_another_secret_is_refused(server: LiveKitServer) -> None:
    stranger = LiveKit(server.url, server.key, "x" * 43)
    with pytest.raises(Refused, match="unauthenticated"):
        server.join(stranger.token(CALL, PID))
    with pytest.raises(SfuFailed, match="LIVEKIT_API_KEY"):
        stranger.remove(CALL, str(PID))


def test_a_room_is_prepared_for_as_many_as_it_may_hold(
    livekit: LiveKit, server: LiveKitServer
) -> None:
    livekit.prepare(CALL, 2)
    livekit.prepare(CALL, 2)
    server.join(livekit.token(CALL, PID))
    server.join(livekit.token(CALL, uuid4()))
    with pytest.raises(Refused):
        server.join(livekit.token(CALL, uuid4()))


def test_a_place_is_put_out_and_nobody_else(livekit: LiveKit, server: LiveKitServer) -> None:
    other = uuid4()
    for pid in (PID, other):
        server.join(livekit.token(CALL, pid))
    assert livekit.people(CALL) == {str(PID), str(other)}
    livekit.remove(CALL, str(PID))
    assert livekit.people(CALL) == server.people(str(CALL)) == {str(other)}


def test_what_is_gone_already_is_no_failure(livekit: LiveKit) -> None:
    assert livekit.people(CALL) == set()
    livekit.remove(CALL, str(PID))
    livekit.silence(CALL, str(PID))


def test_only_the_microphone_is_muted_and_only_once(
    livekit: LiveKit, server: LiveKitServer
) -> None:
    server.join(livekit.token(CALL, PID), microphone=True)
    tracks = server.rooms[str(CALL)].participants[str(PID)]
    tracks.append(type(tracks[0])("TR_screen", "SCREEN_SHARE"))
    livekit.silence(CALL, str(PID))
    livekit.silence(CALL, str(PID))
    assert [(track.source, track.muted) for track in tracks] == [
        ("MICROPHONE", True),
        ("SCREEN_SHARE", False),
    ]
    muting = [path for _, path in server.faults.requests if path.endswith("MutePublishedTrack")]
    assert len(muting) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=302),
        Fault(status=404),
        Fault(status=200),
        Fault(cut="before"),
        Fault(cut="midway"),
        Fault(cut="after"),
    ],
    ids=str,
)
def test_a_server_that_fails_is_a_failure_with_nothing_secret_in_it(
    livekit: LiveKit, server: LiveKitServer, fault: Fault
) -> None:
    server.join(livekit.token(CALL, PID))
    server.faults.plan(fault)
    with pytest.raises(SfuFailed) as failed:
        livekit.remove(CALL, str(PID))
    assert server.secret not in str(failed.value)
    assert str(PID) not in str(failed.value)
    livekit.remove(CALL, str(PID))
    assert server.people(str(CALL)) == set()


def test_an_answer_that_there_is_no_such_method_is_not_taken_for_nobody_there(
    livekit: LiveKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = LiveKit._ask_room
    monkeypatch.setattr(LiveKit, "_ask_room", lambda self, _, *rest: ask(self, "Remove", *rest))
    with pytest.raises(SfuFailed, match="404"):
        livekit.remove(CALL, str(PID))


def test_a_server_that_hangs_or_is_not_there_is_given_up(
    livekit: LiveKit, server: LiveKitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.voice.sfu.livekit._TIMEOUT", (0.2, 0.2))
    server.faults.plan(Fault(delay=1.0))
    with pytest.raises(SfuFailed, match="Timeout"):
        livekit.prepare(CALL, 9)
    with pytest.raises(SfuFailed, match="Connect"):
        LiveKit("ws://127.0.0.1:1", livekit.key, livekit.secret).prepare(CALL, 9)


def test_a_webhook_tells_whose_media_arrived(livekit: LiveKit, server: LiveKitServer) -> None:
    body, authorization = server.webhook("participant_joined", str(CALL), str(PID))
    assert livekit.arrival(body, authorization) == Arrival(CALL, str(PID))


@pytest.mark.parametrize(
    ("event", "room", "identity"),
    [
        ("participant_left", str(CALL), str(PID)),
        ("room_started", str(CALL), ""),
        ("participant_joined", "lobby", str(PID)),
    ],
)
def test_other_webhooks_are_nothing_to_us(
    livekit: LiveKit, server: LiveKitServer, event: str, room: str, identity: str
) -> None:
    assert livekit.arrival(*server.webhook(event, room, identity)) is None


@pytest.mark.parametrize("body", [b"[]", b"{}", b'"x"', b"not JSON", b'{"event": [], "room": 1}'])
def test_a_signed_body_of_another_shape_is_nothing_to_us(
    livekit: LiveKit, server: LiveKitServer, body: bytes
) -> None:
    import base64
    import hashlib

    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    now = int(time.time())
    claims = {"iss": server.key, "nbf": now, "exp": now + 300, "sha256": digest}
    assert livekit.arrival(body, server.sign(claims)) is None


def _webhooks_that_are_not_believed(server: LiveKitServer) -> Iterator[tuple[str, bytes, str]]:
    body, good = server.webhook("participant_joined", str(CALL), str(PID))
    claims = jwt.decode(good, options={"verify_signature": False})
    yield "changed body", body.replace(str(PID).encode(), str(OTHER).encode()), good
    yield "no token", body, ""
    yield "no JWT", body, "Bearer x"
    yield "another secret", body, server.sign(claims, "x" * 43)
    yield "another key", body, server.sign(claims | {"iss": "APIother"})
    yield "no hash", body, server.sign({k: v for k, v in claims.items() if k != "sha256"})
    yield "a hash that is no text", body, server.sign(claims | {"sha256": None})
    yield "no end", body, server.sign({k: v for k, v in claims.items() if k != "exp"})
    yield "no issuer", body, server.sign({k: v for k, v in claims.items() if k != "iss"})
    yield (
        "kept for later",
        *server.webhook("participant_joined", str(CALL), str(PID), at=time.time() - 400),
    )
    yield "unsigned", body, jwt.encode(claims, "", algorithm="none")
    yield (
        "a token of a place",
        body,
        LiveKit(server.url, server.key, server.secret).token(CALL, PID),
    )


def test_a_webhook_that_our_server_did_not_sign_is_not_believed(
    livekit: LiveKit, server: LiveKitServer
) -> None:
    told = {
        what: _told(livekit, body, authorization)
        for what, body, authorization in _webhooks_that_are_not_believed(server)
    }
    assert [what for what, reason in told.items() if reason is None] == []
    assert not any(str(PID) in str(reason) for reason in told.values())


def _told(livekit: LiveKit, body: bytes, authorization: str) -> str | None:
    """Why it was not believed; None where it was."""
    try:
        livekit.arrival(body, authorization)
    except BadWebhook as error:
        return str(error)
    return None


def test_a_server_that_was_away_a_moment_ago_is_not_asked_and_that_is_said(
    livekit: LiveKit, server: LiveKitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.outside.PAUSE", 60.0)
    server.faults.plan(Fault(status=503))
    with pytest.raises(SfuAway):
        livekit.prepare(CALL, 9)
    with pytest.raises(SfuAway, match="it answered 503 a moment ago"):
        livekit.prepare(CALL, 9)
    assert len(server.faults.requests) == 1
