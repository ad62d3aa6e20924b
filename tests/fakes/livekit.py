"""A LiveKit server on loopback, as far as Parley speaks to it: room service, webhooks, and calls.

Kept from livekit/protocol (`livekit_room.proto`, `livekit_webhook.proto`, `auth/`) and Twirp v7:
JSON with the names of the .proto files, every field there; an error is an object with `code` and
the status that Twirp gives it; each method wants its own grant of the `video` claim, for its own
room; a webhook is protobuf's JSON in camelCase, its token bears the body's SHA-256 and is good
for five minutes. It verifies tokens with code of its own. With `media=True` livekit-client
connects to it, and sound and pictures go through it (`livekit_signals.py`; `livekit_media.py`
says what it lacks). Not there: TLS, regions.

    with LiveKitServer.running() as livekit:
        settings.LIVEKIT_URL = livekit.url        # ws://127.0.0.1:…
        settings.LIVEKIT_API_KEY, settings.LIVEKIT_API_SECRET = livekit.key, livekit.secret
        livekit.join(token, microphone=True)       # as a client would: raises Refused
        livekit.faults.plan(Fault(status=500), Fault(delay=5), Fault(cut="before"))
        livekit.webhook("participant_joined", room, identity)   # (body, Authorization), signed
    livekit.cut()                              # every client's line, as when it is restarted
"""

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.faults import Fault, Faults
from tests.fakes.livekit_media import SOURCES, Forwarder, Session
from tests.fakes.livekit_signals import REMOVED, RESTART, Line, attend

_TWIRP = {"unauthenticated": 401, "permission_denied": 403, "not_found": 404, "bad_route": 404,
          "invalid_argument": 400, "malformed": 400, "internal": 500}  # fmt: skip
_METHODS = {"ListParticipants", "RemoveParticipant", "GetParticipant", "MutePublishedTrack"}


class Refused(Exception):
    """An error of Twirp, by its code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Track:
    sid: str
    source: str
    muted: bool = False


@dataclass
class Room:
    sid: str
    max_participants: int = 0
    participants: dict[str, list[Track]] = field(default_factory=dict)


class LiveKitServer:
    """Its rooms are in `rooms`, by name; participants in them by identity."""

    def __init__(self) -> None:
        self.key = f"API{secrets.token_hex(6)}"
        self.secret = secrets.token_urlsafe(32)
        self.rooms: dict[str, Room] = {}
        self.faults = Faults()
        self.media: Forwarder | None = None
        self._lines: dict[tuple[str, str], tuple[Line, Session]] = {}
        self._lock = threading.RLock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"ws://127.0.0.1:{self._http.server_port}"

    @classmethod
    @contextmanager
    def running(cls, *, media: bool = False) -> Iterator["LiveKitServer"]:
        server = cls()
        server._http.daemon_threads = not media  # else its end waits for theirs
        with ExitStack() as stack:
            if media:
                server.media = stack.enter_context(Forwarder.running())
            thread = threading.Thread(target=server._http.serve_forever, args=[0.05], daemon=True)
            thread.start()
            try:
                yield server
            finally:
                server._http.shutdown()
                server.cut()
                server._http.server_close()
                thread.join()

    def people(self, room: str) -> set[str]:
        """Who is in the room now."""
        with self._lock:
            return set(self.rooms[room].participants) if room in self.rooms else set()

    def join(self, token: str, *, microphone: bool = False) -> tuple[str, str]:
        """What a client's connection does; returns room and identity. Raises Refused."""
        claims = self.verified(token)
        grant = claims.get("video", {})
        if not grant.get("roomJoin") or not grant.get("room") or not claims.get("sub"):
            raise Refused("permission_denied")
        with self._lock:
            room = self.rooms.setdefault(grant["room"], Room(f"RM_{secrets.token_hex(6)}"))
            if 0 < room.max_participants <= len(room.participants):
                raise Refused("permission_denied")
            tracks = [Track(f"TR_{secrets.token_hex(6)}", "MICROPHONE")] if microphone else []
            if tracks and not grant.get("canPublish", True):
                raise Refused("permission_denied")
            room.participants[claims["sub"]] = tracks
        return grant["room"], claims["sub"]

    def attend(self, line: Line, room: str, identity: str) -> None:
        """A client's stay, from its joining on."""
        assert self.media, "running(media=True)"
        session = self.media.do(self.media.join(room, self.rooms[room].sid, identity, line.send))
        with self._lock:
            self._lines[room, identity] = (line, session)
        try:
            attend(line, self.media, session)
        finally:
            with self._lock:
                if self._lines.get((room, identity), (None, None))[1] is session:
                    del self._lines[room, identity]
                    self.rooms[room].participants.pop(identity, None)

    def cut(self) -> None:
        """End every client's line without a word."""
        with self._lock:
            for line, _ in self._lines.values():
                line.cut()

    def webhook(
        self, event: str, room: str, identity: str = "", *, valid: float = 300.0, at: float = 0.0
    ) -> tuple[bytes, str]:
        """The body and the Authorization of a webhook, made `at` (Unix seconds; 0: now)."""
        now = at or time.time()
        told: dict[str, Any] = {
            "event": event,
            "room": {
                "sid": "RM_x",
                "name": room,
                "emptyTimeout": 300,
                "creationTime": str(int(now)),
            },
            "id": f"EV_{secrets.token_hex(8)}",
            "createdAt": str(int(now)),
        }
        if identity:
            told["participant"] = {"sid": "PA_x", "identity": identity, "state": "ACTIVE"}
        body = json.dumps(told).encode()
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        claims = {"iss": self.key, "nbf": int(now), "exp": int(now + valid), "sha256": digest}
        return body, self.sign(claims)

    def sign(self, claims: dict[str, Any], secret: str | None = None) -> str:
        """A JWT (RFC 7519) with HS256."""
        parts = [_encode(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims)]
        return ".".join([*parts, _mac(".".join(parts), secret or self.secret)])

    def call(self, method: str, body: dict[str, Any], token: str) -> dict[str, Any]:
        """One method of livekit.RoomService. Raises Refused."""
        claims = self.verified(token)
        if claims["exp"] - time.time() > 660:
            raise Refused("unauthenticated")  # ours alone: nobody needs it for longer
        grant = claims.get("video", {})
        with self._lock:
            if method == "CreateRoom":
                if not grant.get("roomCreate"):
                    raise Refused("permission_denied")
                return self._create(body)
            if method not in _METHODS:
                raise Refused("bad_route")
            if not grant.get("roomAdmin") or grant.get("room") != body.get("room"):
                raise Refused("permission_denied")
            return self._about_participant(method, body)

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        room = self.rooms.setdefault(body["name"], Room(f"RM_{secrets.token_hex(6)}"))
        room.max_participants = body.get("max_participants", 0)
        return {"sid": room.sid, "name": body["name"], "num_participants": len(room.participants),
                "max_participants": room.max_participants}  # fmt: skip

    def _about_participant(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        room = self.rooms.get(body["room"])
        if method == "ListParticipants":
            there = room.participants if room else {}
            return {"participants": [{"sid": "PA_x", "identity": one} for one in there]}
        identity = body["identity"]
        if room is None or identity not in room.participants:
            raise Refused("not_found")
        match method:
            case "RemoveParticipant":
                del room.participants[identity]
                if line := self._lines.get((body["room"], identity)):
                    line[0].send({"leave": {"reason": REMOVED}})
                    line[0].cut()
                return {}
            case "GetParticipant":
                tracks = [_shown(track) for track in self.sent(body["room"], identity)]
                return {"sid": "PA_x", "identity": identity, "state": "ACTIVE", "tracks": tracks}
            case "MutePublishedTrack":
                for track in self.sent(body["room"], identity):
                    if track.sid == body["track_sid"]:
                        self._mute(body["room"], identity, track, muted=body["muted"])
                        return {"track": _shown(track)}
        raise Refused("not_found")

    def sent(self, room: str, identity: str) -> list[Track]:
        """What somebody publishes."""
        _, session = self._lines.get((room, identity), (None, None))
        if session is None:
            return self.rooms[room].participants[identity]
        sent = [one.info for one in list(session.publications.values())]
        return [Track(one["sid"], SOURCES[one["source"]], bool(one.get("muted"))) for one in sent]

    def _mute(self, room: str, identity: str, track: Track, *, muted: bool) -> None:
        track.muted = muted
        _, session = self._lines.get((room, identity), (None, None))
        if session is not None and self.media is not None:
            self.media.call(session.muted, track.sid, muted)

    def verified(self, token: str) -> dict[str, Any]:
        """The claims of a token that we have signed. Raises Refused."""
        try:
            head, payload, mac = token.split(".")
            if json.loads(_decode(head)) | {"typ": "JWT"} != {"alg": "HS256", "typ": "JWT"}:
                raise Refused("unauthenticated")
            claims: dict[str, Any] = json.loads(_decode(payload))
        except ValueError:
            raise Refused("unauthenticated") from None
        same = hmac.compare_digest(mac, _mac(f"{head}.{payload}", self.secret))
        now = time.time()
        if not same or claims["iss"] != self.key or not claims["nbf"] <= now < claims["exp"]:
            raise Refused("unauthenticated")
        return claims


def _shown(track: Track) -> dict[str, Any]:
    return {"sid": track.sid, "type": "AUDIO", "source": track.source, "muted": track.muted}


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _mac(signed: str, secret: str) -> str:
    return _encode(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))


def _handler(server: LiveKitServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            """`/rtc`: the line of a client. `/rtc/validate`: why it was refused."""
            url = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            self.close_connection = True
            fault = server.faults.strike("GET", url.path) or Fault()
            if not fault.cut:
                self._meet(url.path, asked, fault.status)

        def _meet(self, path: str, asked: dict[str, str], status: int | None) -> None:
            token = asked.get("access_token", "")
            try:
                if path != "/rtc":
                    server.verified(token)
                    self._say(200)
                elif status:
                    self._say(status)
                else:
                    self._serve(*server.join(token), again=asked.get("reconnect") == "1")
            except (Refused, ValueError):
                self._say(401)

        def _serve(self, room: str, identity: str, *, again: bool) -> None:
            line = Line(self)
            if again:  # nothing is kept that it could go on from
                line.send({"leave": {"reason": 0, "action": RESTART}})
            else:
                server.attend(line, room, identity)

        def _say(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fault = server.faults.strike("POST", self.path) or Fault()
            if fault.cut == "before":
                self.close_connection = True
            elif fault.status:
                self._answer(fault.status, b"upstream is not there")
            else:
                status, document = self._carry_out(body)
                self._answer(status, json.dumps(document).encode(), fault)

        def _carry_out(self, body: bytes) -> tuple[int, dict[str, Any]]:
            service, _, method = self.path.removeprefix("/twirp/").partition("/")
            try:
                if service != "livekit.RoomService":
                    raise Refused("bad_route")
                kind, _, token = self.headers.get("Authorization", "").partition(" ")
                if kind != "Bearer":
                    raise Refused("unauthenticated")
                return 200, server.call(method, json.loads(body), token)
            except (ValueError, KeyError):
                return 400, {"code": "malformed", "msg": "the json request could not be decoded"}
            except Refused as refused:
                return _TWIRP[refused.code], {"code": refused.code, "msg": "refused"}

        def _answer(self, status: int, content: bytes, fault: Fault | None = None) -> None:
            if fault and fault.cut == "after":
                self.close_connection = True
                return
            half = bool(fault and fault.cut == "midway")
            self.close_connection = self.close_connection or half
            with contextlib.suppress(OSError):  # whoever asked has given up
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if half else content)

    return Handler
