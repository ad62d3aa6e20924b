"""Real media for `loadtests.voice`: ICE, DTLS-SRTP and RTP of silence, with aiortc.

A frame of 20 ms is a packet. Each is counted when the connection takes it to send it, and when the
other end has it decoded; the time that it carries tells which were missed in between.
Twenty ends of connections (five voices, each with four peers) use half a core: for a few rooms.
"""

import asyncio
import re
from typing import Any

from aiortc import RTCCertificate, RTCConfiguration, RTCIceServer, RTCPeerConnection
from aiortc import RTCSessionDescription as Session
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack

from app.realtime.client import Place
from app.realtime.protocol import Description
from loadtests.clock import now
from loadtests.ledger import Ledger, Way

FRAME_SECONDS = 0.02


class Sound:
    """A device with a certificate of its own."""

    def __init__(self) -> None:
        self.certificate = RTCCertificate.generateCertificate()
        self.fingerprint = str(self.certificate.getFingerprints()[0].value).upper()

    def media(self, place: Place, peer: str, ledger: Ledger) -> "_Connection":
        sent, heard = ledger.way(place.pid, peer), ledger.way(peer, place.pid)
        return _Connection(self.certificate, place, sent, heard)


class _Voice(AudioStreamTrack):
    """What is said; the connection asks for frames once it stands."""

    def __init__(self, way: Way) -> None:
        super().__init__()
        self._way = way

    async def recv(self) -> Any:
        frame = await super().recv()
        self._way.since = self._way.since or now()
        self._way.sent += 1
        return frame


async def hear(track: MediaStreamTrack, way: Way) -> None:
    """Count what is heard until the track ends."""
    due: float | None = None
    while True:
        try:
            frame: Any = await track.recv()
        except MediaStreamError:
            return
        at = float(frame.time)
        if due is not None:
            way.missed += max(0, round((at - due) / FRAME_SECONDS))
        way.heard, due = way.heard + 1, at + FRAME_SECONDS


class _Connection:
    trickles = 0  # aiortc gathers all candidates before it tells a description

    def __init__(self, certificate: RTCCertificate, place: Place, sent: Way, heard: Way) -> None:
        self._certificate, self._servers = certificate, place.place.ice.servers
        self._sent, self._heard = sent, heard
        self._hearing: list[asyncio.Task[None]] = []
        self._peer = self._made()

    async def renew(self) -> None:
        """aiortc cannot take an offer back: begin anew."""
        await self.close()
        self._peer = self._made()

    async def offer(self) -> Description:
        await self._peer.setLocalDescription(await self._peer.createOffer())
        return self._described()

    async def answer(self, offer: Description) -> Description:
        await self._peer.setRemoteDescription(Session(offer.sdp, offer.type))
        await self._peer.setLocalDescription(await self._peer.createAnswer())
        return self._described()

    async def accept(self, answer: Description) -> None:
        await self._peer.setRemoteDescription(Session(answer.sdp, answer.type))

    async def close(self) -> None:
        for sender in self._peer.getSenders():
            if sender.track:
                sender.track.stop()
        await self._peer.close()  # which ends the tracks that are heard
        for hearing in self._hearing:
            hearing.cancel()
        await asyncio.gather(*self._hearing, return_exceptions=True)
        self._hearing = []

    def _described(self) -> Description:
        local = self._peer.localDescription
        # aiortc names the certificate's hashes of three lengths: the announced one alone.
        sdp = re.sub(r"a=fingerprint:sha-(384|512) .*\r\n", "", local.sdp)
        return Description(local.type, sdp)

    def _made(self) -> Any:
        servers = [
            RTCIceServer(one.urls, one.username or None, one.credential or None)
            for one in self._servers
        ]
        peer = RTCPeerConnection(RTCConfiguration(servers))
        # One certificate a device: the API of aiortc makes one for each connection.
        vars(peer)["_RTCPeerConnection__certificates"] = [self._certificate]
        peer.addTrack(_Voice(self._sent))

        @peer.on("track")
        def on_track(track: MediaStreamTrack) -> None:
            self._hearing.append(asyncio.create_task(hear(track, self._heard)))

        return peer
