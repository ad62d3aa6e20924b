"""The media of the fake LiveKit: each participant has one connection to send and one to receive.

RTP packets are handed on as they come, with the receiver's names for source and codec, as an SFU
does; nothing is decoded. Who speaks is told by the levels that senders name (RFC 6464). Not there,
of what LiveKit does: simulcast, congestion control, resumption of a lost connection (who comes back
is asked to begin anew).
"""

import asyncio
import contextlib
import json
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiortc import (
    MediaStreamTrack,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.rtp import RtpPacket
from aiortc.sdp import candidate_from_sdp

from tests.fakes.livekit_messages import Message

_SUBSCRIBER = 1  # of SignalTarget
_ACTIVE, _DISCONNECTED = 2, 3
_PATIENCE = 30.0  # seconds for an answer
_LOUD_DBOV, _PAUSE, _UPDATE = 45, 0.5, 0.4  # below 0 dBov; seconds
SOURCES = {1: "CAMERA", 2: "MICROPHONE", 3: "SCREEN_SHARE"}
KINDS = {0: "audio", 1: "video"}
_CODECS = {"audio": "audio/opus", "video": "video/VP8"}


@dataclass(eq=False)
class Publication:
    """What somebody sends; `info` is its TrackInfo."""

    info: Message
    kind: str
    receiver: RTCRtpReceiver | None = None
    ssrc: int | None = None
    listeners: list[RTCRtpTransceiver] = field(default_factory=list)


class Session:
    """One participant, while they are there. All of it happens in the loop of the Forwarder."""

    def __init__(self, room: "MediaRoom", identity: str, send: Callable[[Message], None]) -> None:
        self.room, self.identity, self.send = room, identity, send
        self.sid = f"PA_{secrets.token_hex(6)}"
        self.publications: dict[str, Publication] = {}
        self.version = 0
        self.speaking, self._loud_until, self._told_at = False, 0.0, 0.0
        self._cids: dict[str, Publication] = {}
        self._publisher = RTCPeerConnection()
        self._publisher.on("track", self._arrived)
        self._subscriber = RTCPeerConnection()
        # So that there is a connection before anybody sends.
        self._subscriber.createDataChannel("_reliable")
        self._turn = asyncio.Lock()
        self._answer: asyncio.Future[Message] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def info(self, state: int = _ACTIVE) -> Message:
        """Its ParticipantInfo."""
        self.version += 1
        may = {"can_subscribe": True, "can_publish": True, "can_publish_data": False}
        return {
            "sid": self.sid,
            "identity": self.identity,
            "state": state,
            "tracks": [one.info for one in self.publications.values()],
            "version": self.version,
            "permission": may,
            "is_publisher": bool(self.publications),
        }

    async def begin(self) -> None:
        """Answer the joining, and send what is there already."""
        others = [one for one in self.room.sessions.values() if one is not self]
        self.send(
            {
                "join": {
                    "room": {"sid": self.room.sid, "name": self.room.name},
                    "participant": self.info(),
                    "other_participants": [one.info() for one in others],
                    "server_version": "1.9.0",
                    "subscriber_primary": True,
                    "ping_timeout": 15,
                    "ping_interval": 5,
                    "server_info": {"version": "1.9.0", "protocol": 16},
                }
            }
        )
        self.room.tell(self)
        for one in others:
            for publication in one.publications.values():
                if publication.receiver is not None:
                    self._receive(one, publication)
        self._later(self._negotiate())

    async def handle(self, request: Message) -> None:
        """One SignalRequest; they are handled one after the other."""
        match request:
            case {"offer": offer}:
                await self._publisher.setRemoteDescription(_description(offer))
                await self._publisher.setLocalDescription(await self._publisher.createAnswer())
                self.send({"answer": _message(self._publisher, offer.get("id", 0))})
                self._forget_ended()
            case {"answer": answer}:
                if self._answer and not self._answer.done():
                    self._answer.set_result(answer)
            case {"trickle": trickle}:
                await self._candidate(trickle)
            case {"add_track": wanted}:
                self._publish(wanted)
            case {"mute": wanted}:
                self.muted(wanted["sid"], bool(wanted.get("muted")), tell=False)
            case {"ping_req": ping}:
                self.send({"pong_resp": {"last_ping_timestamp": ping["timestamp"]}})

    def muted(self, sid: str, muted: bool, tell: bool = True) -> None:
        """A track falls silent, or is heard again; `tell` its owner where it was not they."""
        if sid in self.publications:
            self.publications[sid].info["muted"] = muted
            if tell:
                self.send({"mute": {"sid": sid, "muted": muted}})
            self.room.tell(self)

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(self._publisher.close(), self._subscriber.close())

    def _publish(self, wanted: Message) -> None:
        sid = f"TR_{secrets.token_hex(6)}"
        kind = KINDS[wanted.get("type", 0)]
        given = {name: value for name, value in wanted.items() if name != "cid"}
        info = {"sid": sid, **given, "mime_type": _CODECS[kind]}
        self.publications[sid] = self._cids[wanted["cid"]] = Publication(info, kind)
        self.send({"track_published": {"cid": wanted["cid"], "track": info}})

    def _forget_ended(self) -> None:
        """What is not sent any more; nobody takes it back in so many words."""
        sending = {
            one.receiver
            for one in self._publisher.getTransceivers()
            if one.currentDirection == "recvonly"
        }
        ended = [
            sid
            for sid, one in self.publications.items()
            if one.receiver is not None and one.receiver not in sending
        ]
        for sid in ended:
            del self.publications[sid]
        if ended:
            self.room.tell(self)

    def _arrived(self, track: MediaStreamTrack) -> None:
        """Its `cid` should be its name in the description; else it is the first of its kind that
        is waited for, as browsers do not all name it so.
        """
        awaited = [one for one in self.publications.values() if one.receiver is None]
        same_kind = [one for one in awaited if one.kind == track.kind]
        publication = self._cids.get(track.id) or (same_kind[0] if same_kind else None)
        if publication is None:
            return
        receiver = next(
            one.receiver for one in self._publisher.getTransceivers() if one.receiver.track is track
        )
        publication.receiver = receiver
        _forward(receiver, publication, self._heard)
        self.room.tell(self)
        for other in self.room.sessions.values():
            if other is not self:
                other._receive(self, publication)
                other._later(other._negotiate())

    def _heard(self, packet: RtpPacket) -> None:
        """Tell all that they speak, and when they pause."""
        if packet.extensions.audio_level is None:
            return
        now = asyncio.get_running_loop().time()
        loud = packet.extensions.audio_level[1] < _LOUD_DBOV
        if loud:
            self._loud_until = now + _PAUSE
        changed = self.speaking != (now < self._loud_until)
        # Levels change all the time, so whoever comes later hears of them soon.
        if changed or (loud and now >= self._told_at + _UPDATE):
            self.speaking, self._told_at = loud, now
            speaker = {"sid": self.sid, "level": 0.5 if loud else 0.0, "active": loud}
            for session in self.room.sessions.values():
                session.send({"speakers_changed": {"speakers": [speaker]}})

    def _receive(self, owner: "Session", publication: Publication) -> None:
        listener = self._subscriber.addTransceiver(publication.kind, "sendonly")
        sender: Any = listener.sender
        sender._stream_id = f"{owner.sid}|{publication.info['sid']}"
        sender._track_id = publication.info["sid"]
        sender._send_keyframe = lambda: self._later(_ask_for_picture(publication))
        publication.listeners.append(listener)

    async def _negotiate(self) -> None:
        async with self._turn:
            self._answer = asyncio.get_running_loop().create_future()
            await self._subscriber.setLocalDescription(await self._subscriber.createOffer())
            self.send({"offer": _message(self._subscriber, self.version)})
            answer = await asyncio.wait_for(self._answer, _PATIENCE)
            await self._subscriber.setRemoteDescription(_description(answer))

    async def _candidate(self, trickle: Message) -> None:
        told = json.loads(trickle["candidate"])
        if not told.get("candidate"):
            return
        candidate = candidate_from_sdp(told["candidate"].partition(":")[2])
        candidate.sdpMid, candidate.sdpMLineIndex = told.get("sdpMid"), told.get("sdpMLineIndex")
        of = self._subscriber if trickle.get("target") == _SUBSCRIBER else self._publisher
        with contextlib.suppress(Exception):  # of a description that is not there: others do
            await of.addIceCandidate(candidate)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.room.problems.append(error)


class MediaRoom:
    """The sessions of a room, by identity. `problems` is what went wrong in the fake itself."""

    def __init__(self, name: str, sid: str, problems: list[BaseException]) -> None:
        self.name, self.sid, self.problems = name, sid, problems
        self.sessions: dict[str, Session] = {}

    def tell(self, about: Session, state: int = _ACTIVE) -> None:
        """Tell everybody else how a participant is now."""
        update = {"update": {"participants": [about.info(state)]}}
        for session in self.sessions.values():
            if session is not about:
                session.send(update)

    async def leave(self, session: Session) -> None:
        if self.sessions.get(session.identity) is session:
            del self.sessions[session.identity]
            self.tell(session, _DISCONNECTED)
        await session.end()


class Forwarder:
    """A loop in a thread, with all rooms in it."""

    def __init__(self) -> None:
        self.problems: list[BaseException] = []
        self._rooms: dict[str, MediaRoom] = {}
        self._loop = asyncio.new_event_loop()

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["Forwarder"]:
        self = cls()
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.do(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Have it done in the loop, and wait."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    def call(self, task: Callable[..., None], *given: Any) -> None:
        """The same of something that does not wait itself."""

        async def work() -> None:
            task(*given)

        self.do(work())

    async def join(
        self, room: str, sid: str, identity: str, send: Callable[[Message], None]
    ) -> Session:
        there = self._rooms.setdefault(room, MediaRoom(room, sid, self.problems))
        if identity in there.sessions:
            await there.leave(there.sessions[identity])
        session = there.sessions[identity] = Session(there, identity, send)
        await session.begin()
        return session

    async def _end(self) -> None:
        for room in self._rooms.values():
            for session in list(room.sessions.values()):
                await room.leave(session)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


def _forward(receiver: Any, publication: Publication, heard: Callable[[RtpPacket], None]) -> None:
    """Hand each packet on to whoever receives the publication."""
    wanted = _CODECS[publication.kind]

    async def handed_on(packet: RtpPacket, arrival_time_ms: int) -> None:
        codecs: dict[int, Any] = receiver._RTCRtpReceiver__codecs
        codec = codecs.get(packet.payload_type)
        if codec is None or codec.mimeType != wanted:
            return
        publication.ssrc = packet.ssrc
        heard(packet)
        for listener in publication.listeners:
            await _send(listener, packet, wanted)

    receiver._handle_rtp_packet = handed_on


async def _send(listener: RTCRtpTransceiver, packet: RtpPacket, codec: str) -> None:
    types = [one.payloadType or 0 for one in listener._codecs if one.mimeType == codec]
    if not types or not listener.mid:
        return
    copy = RtpPacket(
        payload_type=types[0],
        marker=packet.marker,
        sequence_number=packet.sequence_number,
        timestamp=packet.timestamp,
        ssrc=listener.sender._ssrc,
        payload=packet.payload,
    )
    copy.extensions.mid = listener.mid
    sender: Any = listener.sender
    data = copy.serialize(sender._RTCRtpSender__rtp_header_extensions_map)
    with contextlib.suppress(ConnectionError):  # not there yet, or not any more
        await sender.transport._send_rtp(data)


async def _ask_for_picture(publication: Publication) -> None:
    if publication.receiver is not None and publication.ssrc is not None:
        await publication.receiver._send_rtcp_pli(publication.ssrc)


def _description(message: Message) -> RTCSessionDescription:
    return RTCSessionDescription(sdp=message["sdp"], type=message["type"])


def _message(connection: RTCPeerConnection, identity: int) -> Message:
    now = connection.localDescription
    return {"type": now.type, "sdp": now.sdp, "id": identity}
