"""LiveKit as the SFU: access tokens, room service over Twirp, webhooks.

Tokens: https://docs.livekit.io/home/get-started/authentication/ (JWT, HS256, `video` grant).
Room service: livekit/protocol `protobufs/livekit_room.proto`, as JSON over Twirp v7.
Webhooks: https://docs.livekit.io/home/server/webhooks/ (JWT with the body's SHA-256).
"""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
import requests
from urllib3.exceptions import HTTPError

from app.outside import LeftAlone, Service
from app.voice.sfu import TOKEN_SECONDS, Arrival, BadWebhook, SfuAway, SfuFailed

_TIMEOUT = (2.0, 4.0)  # seconds: to connect, to wait for an answer
_LARGEST = 256 * 1024  # bytes of an answer
_LEEWAY = 30  # seconds that the server's clock may be off
_EMPTY_SECONDS = 60  # that a room waits for somebody
_WHY = {
    "unauthenticated": "it does not know LIVEKIT_API_KEY, or the secret is another",
    "permission_denied": "the API key may not do this",
}


def _away(error: Exception) -> str:
    return str(error) if isinstance(error, SfuAway) else ""


_SERVICE = Service("livekit", away=_away)


@dataclass(frozen=True)
class LiveKit:
    """`url` is what clients connect to (wss://…); the service answers at the same host."""

    url: str
    key: str
    secret: str

    def token(self, call: UUID, pid: UUID) -> str:
        grant = {"room": str(call), "roomJoin": True, "canPublish": True, "canSubscribe": True}
        # What people write belongs in messages, which are sealed and logged.
        return self._signed({"video": grant | {"canPublishData": False}}, identity=str(pid))

    def prepare(self, call: UUID, capacity: int) -> None:
        asked = {"name": str(call), "empty_timeout": _EMPTY_SECONDS, "max_participants": capacity}
        self._ask("CreateRoom", {"roomCreate": True}, asked)

    def people(self, call: UUID) -> set[str]:
        found = self._ask_room("ListParticipants", call, {}) or {}
        return {str(one.get("identity")) for one in found.get("participants", [])}

    def remove(self, call: UUID, identity: str) -> None:
        self._ask_room("RemoveParticipant", call, {"identity": identity})

    def silence(self, call: UUID, identity: str) -> None:
        found = self._ask_room("GetParticipant", call, {"identity": identity}) or {}
        for track in found.get("tracks", []):
            if track.get("source") == "MICROPHONE" and not track.get("muted"):
                told = {"identity": identity, "track_sid": str(track.get("sid")), "muted": True}
                self._ask_room("MutePublishedTrack", call, told)

    def arrival(self, body: bytes, authorization: str) -> Arrival | None:
        try:
            claims = jwt.decode(
                authorization,
                self.secret,
                algorithms=["HS256"],
                issuer=self.key,
                leeway=_LEEWAY,
                options={"require": ["exp", "nbf", "iss"]},
            )
        except jwt.InvalidTokenError as error:
            raise BadWebhook(type(error).__name__) from None
        digest = base64.b64encode(hashlib.sha256(body).digest())
        if not hmac.compare_digest(str(claims.get("sha256")).encode(), digest):
            raise BadWebhook("the body is not the one that was signed")
        return _arrival(body)

    def _ask_room(self, method: str, call: UUID, body: dict[str, Any]) -> dict[str, Any] | None:
        """None where room or participant is not there (any more)."""
        grant = {"roomAdmin": True, "room": str(call)}
        return self._ask(method, grant, {"room": str(call), **body})

    def _ask(
        self, method: str, grant: dict[str, Any], body: dict[str, Any]
    ) -> dict[str, Any] | None:
        try:
            with _SERVICE.asked():
                return _result(*self._post(method, grant, body))
        except LeftAlone as left:
            raise SfuAway(f"{left.told} a moment ago") from None

    def _post(self, method: str, grant: dict[str, Any], body: dict[str, Any]) -> tuple[int, bytes]:
        """Status and content of the answer. Raises SfuAway."""
        host = self.url.replace("ws", "http", 1).rstrip("/")
        try:
            with requests.post(
                f"{host}/twirp/livekit.RoomService/{method}",
                json=body,
                headers={"Authorization": f"Bearer {self._signed({'video': grant})}"},
                timeout=_TIMEOUT,
                allow_redirects=False,
                stream=True,
            ) as answer:
                content = answer.raw.read(_LARGEST + 1, decode_content=True)
                return answer.status_code, content
        except (requests.RequestException, HTTPError, OSError) as error:
            raise SfuAway(type(error).__name__) from None

    def _signed(self, claims: dict[str, Any], *, identity: str = "") -> str:
        now = int(time.time())
        times = {"nbf": now - _LEEWAY, "exp": now + TOKEN_SECONDS}
        who = {"sub": identity} if identity else {}
        return jwt.encode({"iss": self.key, **who, **times, **claims}, self.secret, "HS256")


def _result(status: int, content: bytes) -> dict[str, Any] | None:
    """What an answer says; an error of Twirp is a JSON object with `code`."""
    if status >= 500:
        raise SfuAway(f"it answered {status}")
    try:
        document = json.loads(content) if len(content) <= _LARGEST else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise SfuFailed(f"it answered {status}, and not with an object of JSON")
    if status == 200:
        return document
    code = document.get("code")
    if status == 404 and code == "not_found":
        return None
    raise SfuFailed(f"it answered {status}: {_WHY.get(str(code), 'no reason is known')}")


def _arrival(body: bytes) -> Arrival | None:
    try:
        event = json.loads(body)
        if event["event"] != "participant_joined":
            return None
        return Arrival(UUID(event["room"]["name"]), str(event["participant"]["identity"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # signed, and of a room that is none of ours
