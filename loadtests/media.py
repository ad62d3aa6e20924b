"""Real media for `loadtests.voice`: ICE, DTLS-SRTP and RTP of silence, with aiortc.

Twenty ends of connections (five voices, each with four peers) use half a core: for a few rooms.
"""

import re
from typing import Any

from aiortc import RTCCertificate, RTCConfiguration, RTCIceServer, RTCPeerConnection
from aiortc import RTCSessionDescription as Session
from aiortc.contrib.media import MediaBlackhole
from aiortc.mediastreams import AudioStreamTrack

from app.realtime.client import Place
from app.realtime.protocol import Description


class Sound:
    """A device with a certificate of its own."""

    def __init__(self) -> None:
        self.certificate = RTCCertificate.generateCertificate()
        self.fingerprint = str(self.certificate.getFingerprints()[0].value).upper()

    def media(self, place: Place) -> "_Connection":
        return _Connection(self.certificate, place)


class _Connection:
    trickles = 0  # aiortc gathers all candidates before it tells a description

    def __init__(self, certificate: RTCCertificate, place: Place) -> None:
        self._certificate, self._servers = certificate, place.place.ice.servers
        self._sinks: list[MediaBlackhole] = []
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
        for sink in self._sinks:
            await sink.stop()
        self._sinks = []
        for sender in self._peer.getSenders():
            if sender.track:
                sender.track.stop()
        await self._peer.close()

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
        peer.addTrack(AudioStreamTrack())

        @peer.on("track")
        async def on_track(track: Any) -> None:
            sink = MediaBlackhole()
            sink.addTrack(track)
            self._sinks.append(sink)
            await sink.start()

        return peer
