"""A member in a call with aiortc for media: real ICE, DTLS-SRTP and RTP, without a browser.

A mesh peer as docs/protocol.md describes one, upon the client library: `Place` for the room,
`Negotiation` for each pair, identities checked before anything is connected. aiortc gathers all
candidates before it tells a description, and cannot take an offer back: then it begins anew.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from aiortc import (
    RTCCertificate,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.contrib.media import MediaBlackhole
from aiortc.mediastreams import AudioStreamTrack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from app.accounts.models import User
from app.realtime.client import Client, Place, Roster, ticket_from
from app.realtime.client.identity import is_announced, is_signed
from app.realtime.client.negotiation import (
    Accept,
    Action,
    Answer,
    Negotiation,
    Offer,
    Repeat,
    Reset,
    Seat,
)
from app.realtime.client.transport import Transport, WebSocket
from app.realtime.protocol import (
    Description,
    Participant,
    VoiceJoined,
    VoiceLeft,
    VoiceResumed,
    VoiceSignalled,
)
from loadtests.device import new_device
from loadtests.errands import Errands
from tests.realtime.speaker import bearer

PATIENCE = 60.0
"""Seconds that a test waits for what must come."""
OVERDUE_SECONDS = 2.0


def verify(point: bytes, statement: bytes, signature: bytes) -> bool:
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    try:
        key.verify(utils.encode_dss_signature(r, s), statement, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


async def eventually(true: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
    """Wait until it is; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(0.05)


class Pair:
    """The connection to one peer. What is to be done is done in its order."""

    def __init__(self, caller: "Caller", peer: Participant) -> None:
        self.caller, self.peer = caller, peer
        me = caller.place
        self.negotiation = Negotiation(Seat(me.pid, me.gen), Seat(peer.pid, peer.gen))
        self.pc = self._connection()
        self._sinks: list[MediaBlackhole] = []
        errands = Errands(self.negotiation, self._perform, overdue_seconds=OVERDUE_SECONDS)
        self.do = errands.do
        self._worker = asyncio.create_task(errands.run())

    async def close(self) -> None:
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        await self._close_media()

    async def packets(self, kind: str = "audio") -> int:
        """RTP packets that came from the peer."""
        stats = await self.pc.getStats()
        found = (one for one in stats.values() if one.type == "inbound-rtp" and one.kind == kind)
        return sum(one.packetsReceived for one in found)

    async def _perform(self, action: Action) -> None:
        match action:
            case Reset():
                await self._renew()
            case Offer(neg):
                await self.pc.setLocalDescription(await self.pc.createOffer())
                await self._tell(neg)
            case Answer(neg, offer, rollback):
                if rollback:
                    await self._renew()
                await self._hear(offer)
                await self.pc.setLocalDescription(await self.pc.createAnswer())
                await self._tell(neg)
            case Accept(answer):
                await self._hear(answer)
            case Repeat(neg):
                await self._tell(neg)

    async def _hear(self, description: Description) -> None:
        participant = self.caller.place.participants[self.peer.pid]
        if not is_announced(description.sdp, participant.fingerprint):
            self.caller.distrusted.append(self.peer.pid)
            raise asyncio.CancelledError
        said = RTCSessionDescription(description.sdp, description.type)
        await self.pc.setRemoteDescription(said)

    async def _tell(self, neg: str) -> None:
        local = self.pc.localDescription
        # aiortc names the certificate's hashes of three lengths: the announced one alone.
        sdp = re.sub(r"a=fingerprint:sha-(384|512) .*\r\n", "", local.sdp)
        await self.caller.place.signal(
            self.negotiation.described(neg, Description(local.type, sdp))
        )

    def _connection(self) -> Any:
        servers = [
            RTCIceServer(one.urls, one.username or None, one.credential or None)
            for one in self.caller.place.place.ice.servers
        ]
        policy = RTCIceTransportPolicy.RELAY if self.caller.relayed else RTCIceTransportPolicy.ALL
        pc = RTCPeerConnection(RTCConfiguration(servers, policy))
        # One certificate a place: the API of aiortc makes one for each connection.
        vars(pc)["_RTCPeerConnection__certificates"] = [self.caller.certificate]
        pc.addTrack(AudioStreamTrack())

        @pc.on("track")
        async def on_track(track: Any) -> None:
            sink = MediaBlackhole()
            sink.addTrack(track)
            self._sinks.append(sink)
            await sink.start()

        return pc

    async def _renew(self) -> None:
        await self._close_media()
        self.pc = self._connection()

    async def _close_media(self) -> None:
        for sink in self._sinks:
            await sink.stop()
        self._sinks = []
        for sender in self.pc.getSenders():
            if sender.track:
                sender.track.stop()
        await self.pc.close()


class Caller:
    """One member's device in one room. `pairs` are the connections, by the peer's pid."""

    def __init__(self, user: User, base_url: str, *, relayed: bool = False) -> None:
        self.user, self.relayed = user, relayed
        self.device = new_device()
        self.certificate = RTCCertificate.generateCertificate()
        self.fingerprint = str(self.certificate.getFingerprints()[0].value).upper()
        self.pairs: dict[str, Pair] = {}
        self.left: list[VoiceLeft] = []
        self.distrusted: list[str] = []
        self.may_connect = asyncio.Event()
        self.may_connect.set()
        self.place: Place
        self._url = base_url.replace("http", "ws") + "/ws"
        self._transport: Transport | None = None
        token = bearer(user)  # asks the database: outside of a running loop
        self.client = Client(self._url, ticket_from(base_url, lambda: token), open_=self._open)

    @asynccontextmanager
    async def calling(self, conversation: str) -> AsyncIterator["Caller"]:
        """Join, keep a connection to everybody there, and leave."""
        async with self.client:
            self.place = await self.client.join(conversation, self.device, self.fingerprint)
            listening = asyncio.create_task(self._listen())
            try:
                yield self
                if not listening.done():
                    await self.place.leave()
            finally:
                listening.cancel()
                (ended,) = await asyncio.gather(listening, return_exceptions=True)
                await asyncio.gather(*(pair.close() for pair in self.pairs.values()))
        if isinstance(ended, Exception):
            raise ended

    async def hears(self, *others: "Caller", more: int = 25) -> None:
        """Wait until so many more packets came from each of the others."""
        await eventually(lambda: {one.place.pid for one in others} <= set(self.pairs))
        for other in others:
            heard = await self._packets(other)
            await until(partial(self._is_above, other, heard + more))

    async def lose_the_socket(self) -> None:
        """As a network that is gone: the next one is opened once `may_connect` is set."""
        self.may_connect.clear()
        assert self._transport
        await self._transport.close()

    async def _packets(self, other: "Caller") -> int:
        pair = self.pairs.get(other.place.pid)
        return await pair.packets() if pair else 0

    async def _is_above(self, other: "Caller", number: int) -> bool:
        return await self._packets(other) > number

    async def _open(self) -> Transport:
        await self.may_connect.wait()
        self._transport = await WebSocket.open(self._url)
        return self._transport

    async def _listen(self) -> None:
        async for event in self.place:
            match event:
                case Roster():
                    await self._meet(self.place.participants.values())
                case VoiceJoined(participant=participant):
                    self._pair(participant)
                case VoiceLeft(pid=pid):
                    self.left.append(event)
                    if pair := self.pairs.pop(pid, None):
                        await pair.close()
                case VoiceResumed(pid=pid, gen=gen) if pid in self.pairs:
                    pair = self.pairs[pid]
                    pair.do(pair.negotiation.renewed(peer=gen))
                case VoiceSignalled(sender=sender) if sender in self.pairs:
                    pair = self.pairs[sender]
                    pair.do(pair.negotiation.received(event))

    async def _meet(self, everybody: Any) -> None:
        """Offer to those whom we find; tell those whom we know in which generation we are."""
        there = {one.pid: one for one in everybody if one.pid != self.place.pid}
        for pid in set(self.pairs) - set(there):
            await self.pairs.pop(pid).close()
        for pid, participant in there.items():
            if pid in self.pairs:
                pair = self.pairs[pid]
                pair.do(pair.negotiation.renewed(me=self.place.gen, peer=participant.gen))
            elif new := self._pair(participant):
                new.do(new.negotiation.needed())

    def _pair(self, participant: Participant) -> Pair | None:
        """A connection to somebody who is who they say; None where they are not, or are we."""
        if participant.pid in {self.place.pid, *self.pairs}:
            return None
        if not is_signed(self.place.conversation, participant, verify):
            self.distrusted.append(participant.pid)
            return None
        self.pairs[participant.pid] = Pair(self, participant)
        return self.pairs[participant.pid]


async def until(true: Callable[[], Awaitable[bool]], *, seconds: float = PATIENCE) -> None:
    """As `eventually`, for what has to be awaited."""
    deadline = time.monotonic() + seconds
    while not await true():
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(0.05)
