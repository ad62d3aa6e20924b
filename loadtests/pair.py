"""The connection between two participants of a room, negotiated as docs/protocol.md says.

`Silence` has descriptions and candidates, each numbered and timed, but no media.
`loadtests/media.py` has the other kind, with aiortc.
"""

import asyncio
import re
from typing import TYPE_CHECKING, Protocol

from app.realtime.client import Place, Refused
from app.realtime.client.negotiation import (
    Accept,
    Action,
    Add,
    Answer,
    Negotiation,
    Offer,
    Repeat,
    Reset,
    Seat,
)
from app.realtime.protocol import (
    Candidate,
    Description,
    Participant,
    VoiceSignalData,
    VoiceSignalled,
)
from loadtests.clock import now
from loadtests.errands import Errands
from loadtests.ledger import Ledger
from loadtests.payload import Payload

if TYPE_CHECKING:
    from loadtests.voice import Voice

OVERDUE_SECONDS = 5.0
CANDIDATES = 4
_SESSION = re.compile(r"^s=(.*)$", re.MULTILINE)


class Media(Protocol):
    """One end of a connection. aiortc tells its candidates within the description."""

    trickles: int

    async def renew(self) -> None: ...

    async def offer(self) -> Description: ...

    async def answer(self, offer: Description) -> Description: ...

    async def accept(self, answer: Description) -> None: ...

    async def close(self) -> None: ...


class Kit(Protocol):
    """What a device brings to a call: one certificate, and ends of connections under it."""

    fingerprint: str

    def media(self, place: Place, peer: str, ledger: Ledger) -> Media:
        """The end of a connection to a peer. What is sent or heard is counted in the ledger."""
        ...


class Silence:
    """A device without sound: what the server has to do is the same."""

    fingerprint = ":".join(["AB"] * 32)

    def media(self, place: Place, peer: str, ledger: Ledger) -> Media:
        return _Silent(self.fingerprint)


class _Silent:
    trickles = CANDIDATES

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint

    async def renew(self) -> None: ...

    async def offer(self) -> Description:
        return Description("offer", self._sdp())

    async def answer(self, offer: Description) -> Description:
        return Description("answer", self._sdp())

    async def accept(self, answer: Description) -> None: ...

    async def close(self) -> None: ...

    def _sdp(self) -> str:
        """As long as a browser's for sound alone: about 1,500 bytes."""
        lines = [
            "v=0", "o=- 4611731400430051336 2 IN IP4 127.0.0.1", "s=-", "t=0 0",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126", "c=IN IP4 0.0.0.0",
            f"a=fingerprint:sha-256 {self._fingerprint}",
            *(f"a=rtpmap:{kind} opus/48000/2" for kind in range(96, 132)),
        ]  # fmt: skip
        return "\r\n".join(lines) + "\r\n"


class Pair:
    """The connection to one peer. What is to be done is done in its order."""

    def __init__(self, voice: "Voice", peer: Participant, kit: Kit) -> None:
        self.voice, self.peer = voice, peer
        me, ledger = voice.place, voice.engine.ledger
        self.media = kit.media(me, peer.pid, ledger)
        self.negotiation = Negotiation(Seat(me.pid, me.gen), Seat(peer.pid, peer.gen))
        self._stream = f"signals:{peer.pid}"
        self._ear = ledger.listen(me.pid, f"signals:{me.pid}", 0)
        self._local = Description("rollback")
        self._wanted: float | None = None  # since when a connection is wanted
        errands = Errands(self.negotiation, self._perform, overdue_seconds=OVERDUE_SECONDS)
        self.do = errands.do
        self._worker = voice.engine.attend(errands.run())

    def offer(self, since: float) -> None:
        """Connect; it counts from `since`."""
        self._wanted = since
        place = self.voice.place
        self.voice.engine.ledger.wanted(place.pid, self.peer.pid, place.conversation, now())
        self.voice.engine.log.intended("voice.connect")
        self.do(self.negotiation.needed())

    def hear(self, signal: VoiceSignalled) -> None:
        payload = _payload(signal)
        if payload and payload.run == self.voice.engine.run:
            self._ear.hear(payload.sender, payload.number)
            self.voice.engine.log.done("signal", now() - payload.intended)
        self.do(self.negotiation.received(signal))

    async def close(self) -> None:
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        self.voice.engine.ledger.parted(self.negotiation.me.pid, self.peer.pid, now())
        await self.media.close()

    async def _perform(self, action: Action) -> None:
        match action:
            case Reset():
                await self.media.renew()
            case Offer(neg):
                self._local = await self.media.offer()
                await self._tell(neg)
            case Answer(neg, offer, rollback):
                if rollback:
                    await self.media.renew()
                self._local = await self.media.answer(offer)
                await self._tell(neg)
                self._connected()
            case Accept(answer):
                await self.media.accept(answer)
                self._connected()
            case Add():
                pass  # what it says was counted when it came
            case Repeat(neg):
                await self._tell(neg)

    def _connected(self) -> None:
        if self._wanted is not None:
            with self.voice.engine.timed("voice.connect", self._wanted):
                self._wanted = None
            self.voice.engine.ledger.connected(self.negotiation.me.pid, self.peer.pid)

    async def _tell(self, neg: str) -> None:
        """The description, and then candidates one by one, as a browser trickles them."""
        marked = Description(self._local.type, _SESSION.sub(f"s={self._mark()}", self._local.sdp))
        await self._signal(self.negotiation.described(neg, marked))
        for number in range(self.media.trickles):
            line = f"candidate:{self._mark()} 1 udp 2122260223 192.0.2.{number} 50000 typ host"
            candidate = Candidate(line, sdp_mid="0", sdp_m_line_index=0)
            await self._signal(self.negotiation.gathered(candidate))

    async def _signal(self, signal: VoiceSignalData) -> None:
        self.voice.engine.log.begun("signal")
        try:
            await self.voice.place.signal(signal)
        except Refused as refused:
            self.voice.engine.log.refused("signal", str(refused.code))

    def _mark(self) -> str:
        """Signals are not acknowledged by who gets them: they may be lost, never come twice."""
        engine, me = self.voice.engine, self.voice.place.pid
        return Payload(engine.run, me, engine.ledger.number(self._stream, me), now()).text()


def _payload(signal: VoiceSignalled) -> Payload | None:
    if signal.candidate:
        return Payload.read(signal.candidate.candidate.removeprefix("candidate:"))
    found = _SESSION.search(signal.description.sdp if signal.description else "")
    return Payload.read(found[1].strip()) if found else None
