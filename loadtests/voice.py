"""Somebody in a voice room: joins, connects to everybody, mutes, goes, crashes and comes back.

Who is in the room according to each one goes into the ledger every second, so that a ghost is
found: somebody who is still there 25 s after going, or as whom nobody came.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress

from app.realtime.client import Client, ConnectionLost, Place, Refused, Roster
from app.realtime.protocol import (
    Participant,
    VoiceJoined,
    VoiceLeft,
    VoiceResumed,
    VoiceSignalled,
)
from loadtests.actor import Actor, cut
from loadtests.clock import now
from loadtests.device import new_device
from loadtests.pair import Kit, Pair
from loadtests.people import Person

ACTIONS = {"voice.mute": 60, "voice.drop": 15, "voice.leave": 15, "voice.crash": 10}
LOOK_SECONDS = 1.0
CROWDED = 7  # of 8 that a mesh holds: two may come at once
ATTEMPTS, AGAIN_SECONDS = 6, 5.0


class Voice(Actor):
    """`live` until cancelled. `place` is the one of now."""

    def __init__(self, person: Person, kit: Kit) -> None:
        super().__init__(person, ACTIONS)
        self.place: Place
        self._kit = kit
        self._room, self._device = person.account.rooms[0], new_device()
        self._pairs: dict[str, Pair] = {}
        self._client: Client
        self._muted = False
        self._socket = AsyncExitStack()
        self._watch: list[asyncio.Task[None]] = []

    async def live(self) -> None:
        try:
            await self._enter(now())
            await self.take_turns()
        finally:
            await self._end()
            self.person.close()

    async def do(self, action: str, at: float) -> None:
        if self.place.reason:  # put out meanwhile: the lease could not be renewed
            await self._end()
            await self._enter(at)
        match action:
            case "voice.mute":
                with self.engine.timed("voice.mute", at), self._changing():
                    self._muted = not self._muted
                    await self.place.mute(muted=self._muted)
            case "voice.drop":
                with self.engine.timed("voice.drop", at):
                    await self._lose_the_socket()
            case "voice.leave":
                with self.engine.timed("voice.leave", at), self._changing():
                    await self.place.leave()
                await self._end()
                await self._enter(now())
            case "voice.crash":
                crowded = len(self.place.participants) >= CROWDED
                with self.engine.timed("voice.crash", at):
                    await self._crash()
                # Half of those who crash come back as another device: nothing replaces the old,
                # whose place is taken for as long as its lease. A full room would refuse them.
                if not crowded and self.engine.chance.random() < 0.5:
                    self._device = new_device()
                await self._enter(now())

    # Coming and going.

    async def _enter(self, since: float) -> None:
        """Open a socket and join; everything in the room counts from `since`."""
        self._client = await self._socket.enter_async_context(self.connected())
        for attempt in range(ATTEMPTS):
            await self._join(since if attempt == 0 else now())
            if self._watch:
                return
            # The places of those who crashed are taken for as long as their leases last.
            await asyncio.sleep(AGAIN_SECONDS)
        raise RuntimeError(f"{self.person.name} was not let into the room {self._room}")

    async def _join(self, since: float) -> None:
        self.engine.log.intended("voice.join")
        with self.engine.timed("voice.join", since):
            with self._changing():
                self.place = await self._client.join(
                    self._room, self._device, self._kit.fingerprint
                )
            self.engine.ledger.came(self.place.pid, self._room, now())
            self._watch = [
                self.engine.attend(self._listen(since)),
                self.engine.attend(self._look()),
            ]
            self.engine.log.begun("voice.stay")

    async def _end(self) -> None:
        for task in self._watch:
            task.cancel()
        await asyncio.gather(*self._watch, return_exceptions=True)
        if self._watch:
            self.engine.ledger.gone(self.place.pid, now())
        self._watch = []
        await self._socket.aclose()
        await self._keep_only([])

    async def _crash(self) -> None:
        """As a browser that is killed: nobody says a word."""
        cut(self._client)
        await self._end()

    async def _lose_the_socket(self) -> None:
        """And take the place up again on the next one."""
        gen = self.place.gen
        cut(self._client)
        async with asyncio.timeout(20):
            while self.place.gen == gen and self.place.reason is None:
                await asyncio.sleep(0.01)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Note how long a change of the room took, without the time in which it waited for us."""
        began = now()
        yield
        self.engine.ledger.changed(now(), now() - began)

    # What happens in the room.

    async def _listen(self, since: float) -> None:
        async for event in self.place:
            match event:
                case Roster():
                    await self._meet(self.place.participants.values(), since)
                case VoiceJoined(participant=participant):
                    self._pair(participant)
                case VoiceLeft(pid=pid):
                    if pair := self._pairs.pop(pid, None):
                        await pair.close()
                case VoiceResumed(pid=pid, gen=gen) if pid in self._pairs:
                    pair = self._pairs[pid]
                    pair.do(pair.negotiation.renewed(peer=gen))
                case VoiceSignalled(sender=sender) if sender in self._pairs:
                    self._pairs[sender].hear(event)
        if self.place.reason != "left":
            await self._put_out()

    async def _put_out(self) -> None:
        """The server has ended the stay: the lease ran out, or was not renewed in time."""
        self.engine.log.failed("voice.stay", self.place.reason or "ended")
        self.engine.ledger.gone(self.place.pid, now())
        await self._keep_only([])

    async def _meet(self, everybody: Iterable[Participant], since: float) -> None:
        """Offer to those whom we find; tell those whom we know in which generation we are."""
        there = {one.pid: one for one in everybody if one.pid != self.place.pid}
        await self._keep_only(there)
        for pid, participant in there.items():
            if pid in self._pairs:
                pair = self._pairs[pid]
                pair.do(pair.negotiation.renewed(me=self.place.gen, peer=participant.gen))
            elif new := self._pair(participant):
                new.offer(since)

    def _pair(self, participant: Participant) -> Pair | None:
        if participant.pid in {self.place.pid, *self._pairs}:
            return None
        self._pairs[participant.pid] = Pair(self, participant, self._kit)
        return self._pairs[participant.pid]

    async def _keep_only(self, pids: Iterable[str]) -> None:
        for pid in set(self._pairs) - set(pids):
            await self._pairs.pop(pid).close()

    async def _look(self) -> None:
        """Note who is there as long as we are there ourselves, and hear of who comes and goes.

        What the server had sent before its pong is here by then, however late we are.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            at = now()
            with suppress(ConnectionLost, Refused):
                await self._client.request("ping")
                self._note_everybody(at)

    def _note_everybody(self, at: float) -> None:
        if self.place.is_current:
            for pid in self.place.participants:
                if pid != self.place.pid:
                    self.engine.ledger.seen(pid, self._room, at)
