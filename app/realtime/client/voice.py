"""A place in a voice room: taken, kept through reconnections, given up.

Who is in the room is replayed from the events; the same as the server's snapshot at each
position. What is sent between two sockets may be lost: signals are sent once, and
`Negotiation` repeats what matters.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.realtime.client.errors import ConnectionLost, Refused
from app.realtime.client.identity import Device, encoded
from app.realtime.client.link import Link
from app.realtime.client.streams import (
    Happening,
    Phase,
    Placed,
    Position,
    Stream,
    Streams,
)
from app.realtime.protocol import (
    Code,
    Durable,
    Ephemeral,
    Ice,
    Participant,
    VoiceChanged,
    VoiceHandover,
    VoiceJoined,
    VoiceLeft,
    VoiceNotice,
    VoicePlace,
    VoiceResumed,
    VoiceSignalData,
    VoiceSignalled,
)

if TYPE_CHECKING:
    from app.realtime.client.client import Client

RETRY_SECONDS = 0.5
LOST = "timeout"
_GONE = frozenset({Code.STALE_GENERATION, Code.NOT_FOUND, Code.DENIED})

VoiceEvent = (
    VoiceJoined
    | VoiceResumed
    | VoiceLeft
    | VoiceChanged
    | VoiceHandover
    | VoiceNotice
    | VoiceSignalled
)


@dataclass(frozen=True, slots=True)
class Roster:
    """All who are there: after the joining, and after each resumption, in a new generation."""

    place: VoicePlace


class _RoomStream(Stream):
    """Each event is applied to the room when it comes, not when it is read."""

    placed_by_others = True

    def __init__(self, place: "Place", name: str, streams: Streams) -> None:
        super().__init__(name, None, streams.ask)
        self._place = place

    def _put(self, happening: Happening) -> None:
        if isinstance(happening, Durable):
            self._place.apply(happening)
        super()._put(happening)

    def lost(self) -> None:
        """A resumption brings the whole room again."""
        self._place.refresh()


class Place(AsyncIterator[VoiceEvent | Roster]):
    """Made by `Client.join`. Iterate over it for what happens; it ends when one has left.

    `participants` is the room of now, by pid, oneself included; `reason` why one has left.
    """

    def __init__(
        self,
        client: "Client",
        streams: Streams,
        conversation: str,
        device: Device,
        fingerprint: str,
    ) -> None:
        self.conversation = conversation
        self.pid = str(uuid4())
        self.gen = 0
        self.reason: str | None = None
        self.participants: dict[str, Participant] = {}
        self.place: VoicePlace
        self._client, self._streams = client, streams
        self._device, self._fingerprint = device, fingerprint
        self._signatures: dict[int, str] = {}
        self._link: Link | None = None  # where our seat is
        self._stream = _RoomStream(self, f"voice:{conversation}", streams)
        self._resuming = asyncio.Lock()
        self._going = False

    @property
    def is_current(self) -> bool:
        """Whether `participants` is the room of now. Between a loss and the resumption it is that
        of before, and where an event is missing, that of until then."""
        return (
            self.reason is None
            and self._link is not None
            and self._link is self._client.link
            and self._stream.phase is Phase.LIVE
        )

    async def join(self, *, muted: bool) -> None:
        """Take the place; asked again after a loss, it is the same place."""
        self._streams.adopt(self._stream)
        key, signature = encoded(self._device.key), self._signature(1)
        d = {
            "conversation": self.conversation,
            "pid": self.pid,
            "device": self._device.id,
            "key": key,
            "fingerprint": self._fingerprint,
            "signature": signature,
            "muted": muted,
        }
        try:
            await self._client.insist("voice.join", d, answered=self._placed)
        except BaseException:
            self._streams.forget(self._stream)
            raise
        self._client.background(self._renew())
        if (link := self._client.link) and link is not self._link:
            self._client.background(self._resume(link))

    async def leave(self) -> None:
        """Give the place up."""
        self._going = True
        async with self._resuming:
            # A resumption whose reply was lost may have made it the next one.
            for gen in (self.gen, self.gen + 1):
                if self.reason is None and await self._leave(gen):
                    break
        self._left("left")
        await self._streams.leave(self._stream)

    async def _leave(self, gen: int) -> bool:
        try:
            await self._client.insist("voice.leave", {"pid": self.pid, "gen": gen})
        except Refused as refused:
            if refused.code not in _GONE:
                raise
            return False
        return True

    async def signal(self, signal: VoiceSignalData) -> None:
        """Send once what a negotiation says; it may be lost, as the peer may be gone."""
        link = self._client.link
        if link is None:
            return
        d: dict[str, Any] = msgspec.to_builtins(signal)
        try:
            await link.request("voice.signal", {k: v for k, v in d.items() if v is not None})
        except ConnectionLost:
            pass
        except Refused as refused:
            if refused.code not in _GONE:
                raise

    async def mute(self, *, muted: bool, pid: str | None = None) -> None:
        """Mute or unmute oneself; a host mutes others by their pid."""
        await self._client.insist("voice.mute", {"pid": pid or self.pid, "muted": muted})

    async def share(self, *, screen: bool, video: bool) -> None:
        """Tell what one sends beside sound."""
        place = {"pid": self.pid, "gen": self.gen}
        await self._client.request("voice.share", **place, screen=screen, video=video)

    async def ice(self) -> Ice:
        """Fresh credentials for TURN; `sfu` is the media server and a token of ten minutes, once
        a VoiceHandover has told of it. Media itself is the caller's.
        """
        answer = await self._client.request("voice.ice", pid=self.pid, gen=self.gen)
        return msgspec.convert(answer, Ice)

    async def __anext__(self) -> VoiceEvent | Roster:
        while True:
            match await self._stream.__anext__():
                case Placed(state=place):
                    return Roster(place)
                case Durable(t=kind, d=data) | Ephemeral(t=kind, d=data):
                    return _event(kind, data)

    # What the connection brings.

    def connected(self, link: Link) -> None:
        """There is another socket: take the place up from there."""
        if self.gen and self.reason is None:
            self._client.background(self._resume(link))

    def refresh(self) -> None:
        """The room cannot be continued from its events: have all of it."""
        if self._link is not None:
            self._client.background(self._resume(self._link))

    def apply(self, event: Durable) -> None:
        """Replay one event."""
        match _event(event.t, event.d):
            case VoiceJoined(participant=participant):
                self.participants[participant.pid] = participant
            case VoiceLeft(pid=pid, reason=reason):
                self.participants.pop(pid, None)
                if pid == self.pid:
                    self._left(reason)
            case VoiceResumed(pid=pid) | VoiceChanged(pid=pid) as change:
                if there := self.participants.get(pid):
                    self.participants[pid] = replace(there, **_fields(change))

    async def _resume(self, link: Link) -> None:
        async with self._resuming:
            gen = self.gen + 1
            d = {
                "pid": self.pid,
                "gen": gen,
                "fingerprint": self._fingerprint,
                # The same again, should the reply be lost: each signing gives another one.
                "signature": self._signature(gen),
            }
            while self._client.link is link and self.reason is None and not self._going:
                try:
                    await link.request("voice.resume", d, answered=partial(self._placed, link))
                except ConnectionLost:
                    return  # the next socket takes it up
                except Refused as refused:
                    if not refused.retry:
                        self._left(LOST)
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    return

    def _placed(self, link: Link, answer: Any) -> None:
        place = msgspec.convert(answer, VoicePlace)
        self.place, self.gen, self._link = place, place.gen, link
        self.participants = {one.pid: one for one in place.participants}
        self._stream.placed(Position(place.e, place.o), place)

    async def _renew(self) -> None:
        while self.reason is None:
            await asyncio.sleep(self.place.renew)
            link, gen = self._link, self.gen
            if link is None or link is not self._client.link:
                continue  # it will be resumed, which renews it
            try:
                await link.request("voice.renew", {"pid": self.pid, "gen": gen})
            except ConnectionLost:
                continue
            except Refused as refused:
                if refused.code in _GONE and gen == self.gen:
                    self._left(LOST)

    def _left(self, reason: str) -> None:
        self.reason = self.reason or reason
        self._stream.ended(StopAsyncIteration())

    def _signature(self, gen: int) -> str:
        if gen not in self._signatures:
            self._signatures = {
                gen: self._device.signature(self.conversation, self.pid, gen, self._fingerprint)
            }
        return self._signatures[gen]


def _event(kind: str, data: dict[str, Any]) -> VoiceEvent:
    return msgspec.convert({"t": kind, **data}, VoiceEvent)  # type: ignore[no-any-return]


def _fields(event: Struct) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}
