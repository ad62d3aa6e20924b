"""One hub a process: hears hints, reads what is missing, and hands events to sockets.

Guarantees: a subscriber gets every durable event after its position, once, in order,
or is told to load the state again. A hint only makes that sooner. All deliveries pass
through one pump, a round at a time, so that an event, a recovery and a new
subscription cannot overtake each other.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from random import SystemRandom
from time import perf_counter
from typing import Any

import msgspec
from msgspec import Struct

from app import metrics
from app.errors import StaleGeneration, Unavailable
from app.realtime import hints, protocol, rooms, signals
from app.realtime.channel import Channel, Subscriber, covers, joined, runs
from app.realtime.follower import GATEWAY_CHANNEL, Follower
from app.realtime.frames import text_frame
from app.realtime.laggards import Laggards
from app.realtime.log import Event, Wanted, ensure_streams, read_log, read_portion, snapshot
from app.realtime.rooms import Room, Seat
from app.realtime.services import Principal, conversation_stream
from app.realtime.signals import SignalPost

logger = logging.getLogger(__name__)

CHECK_SECONDS = (15.0, 25.0)
CHECK_SECONDS_WITHOUT_REDIS = (0.7, 1.0)

AT_ONCE = 32
"""Texts that are opened on the loop, at 10 to 20 µs each; for more a thread is worth its waking."""

InThread = Callable[..., Coroutine[Any, Any, Any]]
OpenBodies = Callable[[Sequence[Event]], None]
OpenAtOnce = Callable[[Sequence[Event]], bool]
"""The same on the loop, where it takes no query; False if it was not done."""
Authorize = Callable[[Sequence[tuple[Principal, str]]], Sequence[Exception | None]]
Rosters = Callable[[Collection[str]], Mapping[str, Mapping[str, int]]]
Found = dict[str, tuple[str, int, list[Event]]]
"""For each stream: epoch, top and events."""


@dataclass(slots=True)
class Attachment:
    """A socket's wish to listen; `position` is what it already has, None for nothing."""

    socket: Subscriber
    stream: str
    position: tuple[str, int] | None
    done: asyncio.Future[None]
    confirm: Callable[[protocol.Subscribed], None]
    seat: Seat | None


class Hub:
    """`run` until cancelled; everything else from the same event loop."""

    def __init__(
        self,
        *,
        redis_url: str,
        in_thread: InThread,
        open_bodies: OpenBodies,
        open_at_once: OpenAtOnce,
        authorize: Authorize,
        rosters: Rosters,
    ) -> None:
        self._in_thread = in_thread
        self._open_bodies = open_bodies
        self._open_at_once = open_at_once
        self._authorize = authorize
        self._rosters = rosters
        self._channels: dict[str, Channel] = {}
        self._hinted: dict[str, list[Event]] = {}
        self._hinted_at = 0.0
        self._suspect: set[str] = set()
        self._attachments: list[Attachment] = []
        self._wake = asyncio.Event()
        self._follower = Follower(
            redis_url,
            streams=lambda: self._channels,
            heard=lambda name, payload: self._hear([hints.Hint(name, payload)]),
            caught_up_from=lambda stream: self._check([stream]),
        )
        self._laggards = Laggards(self._channels, self._read_on, lost=self._lose)
        self._signals = SignalPost(
            self._follower, self._room, missed=lambda stream: self._check([stream])
        )
        self.loop = asyncio.get_running_loop()
        self.on_control: Callable[[dict[str, Any]], None] = lambda _: None
        self.on_listener: Callable[[Subscriber, str], None] = lambda *_: None

    async def run(self) -> None:
        """Pump events, follow Redis and check positions until cancelled."""
        hints.local_listeners.append(self._heard_locally)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump())
                tasks.create_task(self._laggards.run())
                tasks.create_task(self._follower.run())
                tasks.create_task(self._check_positions())
        finally:
            hints.local_listeners.remove(self._heard_locally)

    # What sockets ask for.

    async def attach(
        self,
        socket: Subscriber,
        stream: str,
        position: tuple[str, int] | None,
        confirm: Callable[[protocol.Subscribed], None],
        seat: Seat | None = None,
    ) -> None:
        """Let `socket` listen to `stream`: calls `confirm`, then offers what it missed.

        With a `seat` it takes that place in the stream's voice room. All of it happens in one
        step of the loop, so that no later event comes in between.
        Raises what the authorization raises, which is asked after the log was read: a
        member who is removed later hears of it in the stream, and then nothing more.
        """
        if seat is not None and stream not in self._channels:
            # First: else what is signalled to whoever just joined could pass unheard.
            await self._follower.listening(stream)
        done = self.loop.create_future()
        self._attachments.append(Attachment(socket, stream, position, done, confirm, seat))
        self._wake.set()
        try:
            await done
        finally:
            if stream not in self._channels:
                self._follower.unsubscribe(stream)

    def streams(self) -> Collection[str]:
        """What somebody here listens to."""
        return self._channels.keys()

    def standing(self) -> dict[str, float]:
        """How much is listened to, for the metrics; asked in their thread."""
        channels = list(self._channels.values())
        subscriptions = sum(len(each.sockets) + len(each.behind) for each in channels)
        return {
            metrics.GATEWAY_STREAMS.name: len(channels),
            metrics.GATEWAY_SUBSCRIPTIONS.name: subscriptions,
            metrics.REDIS_LINK.name: self._follower.connected,
        }

    def detach(self, socket: Subscriber, stream: str) -> None:
        """Stop handing events of `stream` to `socket`."""
        channel = self._channels.get(stream)
        if channel is None:
            return
        channel.drop(socket)
        if not channel.sockets and not channel.behind:
            self._forget(stream)

    def signal(self, seat: Seat | None, signal: protocol.VoiceSignalData) -> None:
        """Hand a signal from the participant at `seat` to one other in the room, in this step.

        Raises StaleGeneration if the sender has no seat (any more), what `Room.find` raises,
        and Unavailable if the other sits at another process and Redis is away.
        """
        channel = self._channels.get(seat.stream) if seat else None
        if seat is None or channel is None or channel.room is None:
            raise StaleGeneration
        receiver = channel.room.find(signal.to, signal.gen)
        message = protocol.signalled(seat.stream, seat.pid, seat.gen, signal)
        if receiver is not None:
            receiver.offer(message)
        elif not self._signals.send(channel.room.address_of(signal.to), seat.stream, message):
            raise Unavailable

    def whisper(self, stream: str, event: Struct) -> None:
        """Tell who listens to `stream`, anywhere, something ephemeral; it may be lost."""
        message = protocol.ephemeral(stream, event)
        if not self._follower.publish(stream, message):
            self.hand_out(stream, message)

    def hand_out(self, stream: str, message: bytes) -> set[Subscriber]:
        """Give something ephemeral to who listens here; returns for whom it was too much."""
        channel = self._channels.get(stream)
        if channel is None:
            return set()
        frame = text_frame(message)
        return {socket for socket in channel.sockets if not socket.hint(frame)}

    def _room(self, stream: str) -> Room | None:
        channel = self._channels.get(stream)
        return channel.room if channel else None

    def _forget(self, stream: str) -> Channel:
        self._follower.unsubscribe(stream)
        return self._channels.pop(stream)

    # What arrives.

    def _heard_locally(self, batch: Sequence[hints.Hint]) -> bool:
        """Called in the thread that committed."""
        tells = self._follower.connected
        self.loop.call_soon_threadsafe(self._tell if tells else self._hear, batch)
        return tells

    def _tell(self, batch: Sequence[hints.Hint]) -> None:
        self._follower.tell(batch)
        self._hear(batch)

    def _hear(self, batch: Sequence[hints.Hint]) -> None:
        for name, payload, events in batch:
            try:
                if events:
                    for event in events:
                        self._hear_event(event)
                elif signals.is_bundle(payload):
                    self._signals.hear(payload, sent_here=name.startswith(GATEWAY_CHANNEL))
                else:
                    self._hear_one(name, msgspec.json.decode(payload))
            except (ValueError, TypeError, KeyError, IndexError) as error:
                # A malformed hint is one that was lost: the position check will find it.
                logger.warning("hint_refused", extra={"error": type(error).__name__})

    def _hear_one(self, name: str, message: Any) -> None:
        if name == hints.CONTROL_CHANNEL:
            self._check(message.get("check", []))
            self.on_control(message)
        elif name == hints.LOG_CHANNEL:
            self._tell_sealed(message)
        else:
            stream = name.removeprefix(hints.STREAM_CHANNEL)
            if stream not in self._channels:
                return
            if isinstance(message, dict):
                if stream.startswith(rooms.PREFIX):
                    raise ValueError("what is said in a room is for one")
                push = protocol.Ephemeral(stream, message["t"], message["d"])
                self.hand_out(stream, protocol.encode(push))
            else:
                for epoch, offset, kind, data, sealed in message:
                    # No more than these: what was opened is not for Redis to say.
                    self._hear_event(Event(stream, epoch, offset, kind, data, sealed))

    def _hear_event(self, event: Event) -> None:
        channel = self._channels.get(event.stream)
        # Nobody listens, or a reading of the log was quicker.
        if channel is None or (event.offset <= channel.offset and event.epoch == channel.epoch):
            return
        if not self._hinted:
            self._hinted_at = perf_counter()
        self._hinted.setdefault(event.stream, []).append(event)
        self._wake.set()

    def _tell_sealed(self, message: dict[str, Any]) -> None:
        """The sealer signed a checkpoint: each conversation hears of its own messages."""
        by_stream: dict[str, list[tuple[str, int]]] = {}
        for scope, kind, target, index in message["entries"]:
            stream = conversation_stream(scope)
            if kind == "message" and stream in self._channels:
                by_stream.setdefault(stream, []).append((target, index))
        for stream, entries in by_stream.items():
            event = protocol.LogSealed(entries, message["size"])
            self.hand_out(stream, protocol.ephemeral(stream, event))

    # The pump.

    async def _pump(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            attachments, self._attachments = self._attachments, []
            hinted, self._hinted = self._hinted, {}
            since = self._hinted_at
            suspect, self._suspect = self._suspect, set()
            try:
                await self._round(attachments, hinted, suspect)
            except Exception as error:
                # Whatever the reason (PostgreSQL is away, a key is not to be had): the round is
                # tried again, from the log. What it handed out before has moved the offsets.
                metrics.HUB_FAILURES.add()
                logger.warning("hub_waits", extra={"error": type(error).__name__})
                self._attachments = attachments + self._attachments
                self._suspect |= suspect | set(hinted)
                await asyncio.sleep(_jitter(0.2, 0.5))
                self._wake.set()
            else:
                if hinted:
                    metrics.DELIVERY.observe(perf_counter() - since)

    async def _round(
        self, attachments: list[Attachment], hinted: dict[str, list[Event]], suspect: set[str]
    ) -> None:
        joined = {attachment.stream for attachment in attachments}
        found, wanted = self._sort_hints(hinted, suspect | joined)
        wanted += [self._wanted_by(attachment) for attachment in attachments]
        if not found and not wanted:
            return
        unopened = _unopened(found)
        refusals: Sequence[Exception | None] = []
        gens: Mapping[str, Mapping[str, int]] = {}
        if wanted or len(unopened) > AT_ONCE or not self._open_at_once(unopened):
            found, refusals, gens = await self._in_thread(self._read, found, wanted, attachments)
        for stream, (epoch, top, new) in found.items():
            self._hand_out(stream, epoch, top, new)
        for attachment, refusal in zip(attachments, refusals, strict=True):
            if attachment.done.done():
                continue  # given up meanwhile, or answered in a round that then failed
            if attachment.socket.closing:
                attachment.done.set_result(None)  # nothing would take it out of the channel again
            elif refusal is not None:
                attachment.done.set_exception(refusal)
            else:
                epoch, top, new = found[attachment.stream]
                self._admit(attachment, epoch, top, new, gens.get(attachment.stream))

    def _sort_hints(
        self, hinted: dict[str, list[Event]], to_read: set[str]
    ) -> tuple[Found, list[Wanted]]:
        """Split into what follows on what was handed out, and streams to be read."""
        follow: Found = {}
        wanted: list[Wanted] = []
        for stream in hinted.keys() | to_read:
            channel = self._channels.get(stream)
            if channel is None:
                continue
            run = _following(channel, hinted.get(stream, []))
            if run is None or stream in to_read:
                wanted.append(Wanted(stream, channel.epoch, channel.offset))
            elif run:
                follow[stream] = channel.epoch, run[-1].offset, run
        return follow, wanted

    def _wanted_by(self, attachment: Attachment) -> Wanted:
        epoch, offset = attachment.position or ("", -1)
        return Wanted(attachment.stream, epoch, offset)

    def _read(
        self, hinted: Found, wanted: list[Wanted], attachments: list[Attachment]
    ) -> tuple[Found, Sequence[Exception | None], dict[str, Mapping[str, int]]]:
        """In a thread: add what the log holds to what was `hinted`, open texts, judge who joins.

        Beside it, for the voice rooms that somebody joins, who is in there.
        """
        joined = {attachment.stream for attachment in attachments}
        ensure_streams(joined)
        gens: dict[str, Mapping[str, int]] = {}
        found = hinted
        if wanted:
            with snapshot():
                found = hinted | read_log(wanted)
                if voice := [name for name in joined if name.startswith(rooms.PREFIX)]:
                    there = self._rosters([name.removeprefix(rooms.PREFIX) for name in voice])
                    gens = {name: there.get(name.removeprefix(rooms.PREFIX), {}) for name in voice}
        pairs = [(attachment.socket.principal, attachment.stream) for attachment in attachments]
        refusals = self._authorize(pairs) if pairs else []
        self._open_bodies(_unopened(found))
        return found, refusals, gens

    def _hand_out(self, stream: str, epoch: str, top: int, events: list[Event]) -> None:
        channel = self._channels.get(stream)
        if channel is None:
            return
        if epoch != channel.epoch or not covers(channel.offset, top, events):
            self._resync(stream)
            return
        later = [event for event in events if event.offset > channel.offset]
        for run in runs(later, apart=channel.room is not None):
            frames = joined(run)
            for socket in channel.sockets:
                socket.hand(frames)
            self._follow(channel, run[-1])
            channel.offset = run[-1].offset
        if channel.room is not None:
            channel.room.pass_on_held()

    def _follow(self, channel: Channel, event: Event) -> None:
        """What an event that was handed out changes here."""
        if channel.room is not None:
            channel.room.follow(event.type, event.data)
        if event.type == "member.left":
            # Whoever was removed hears that, and nothing more: also on sockets open now.
            for socket in channel.everybody():
                if socket.user != event.data["user"]:
                    continue
                if socket in channel.behind:  # and has not heard why
                    self._lose(socket, event.stream)
                else:
                    socket.detached(event.stream)
                    self.detach(socket, event.stream)

    def _resync(self, stream: str) -> None:
        """The history here is not the one that was followed: everyone loads it again."""
        for socket in self._channels[stream].everybody():
            self._lose(socket, stream)

    def _lose(self, socket: Subscriber, stream: str) -> None:
        """`socket` loads the state again, if it may."""
        socket.offer(protocol.encode(protocol.Resync({"s": stream})))
        socket.detached(stream)
        self.detach(socket, stream)

    async def _read_on(
        self, socket: Subscriber, stream: str, epoch: str, offset: int
    ) -> Sequence[Event]:
        """As `laggards.ReadOn`."""
        events: list[Event] = await self._in_thread(
            self._read_portion, socket.principal, stream, epoch, offset
        )
        return events

    def _read_portion(
        self, principal: Principal, stream: str, epoch: str, offset: int
    ) -> list[Event]:
        """In a thread: judged after the log was read, as with `_read`."""
        events = read_portion(stream, epoch, offset)
        (refusal,) = self._authorize([(principal, stream)])
        if refusal is not None:
            raise refusal
        self._open_bodies(events)
        return events

    def _admit(
        self,
        attachment: Attachment,
        epoch: str,
        top: int,
        events: list[Event],
        gens: Mapping[str, int] | None,
    ) -> None:
        channel = self._channels.get(attachment.stream)
        if channel is None:
            channel = self._channels[attachment.stream] = Channel(epoch, top)
            self._follower.subscribe(attachment.stream)
        known = attachment.position
        recovered = (
            known is not None
            and known[0] == epoch
            and known[1] <= top
            and covers(known[1], top, events)
        )
        if gens is not None:
            channel.room = channel.room or Room()
            channel.room.read(gens)
        if attachment.seat is not None and channel.room is not None:
            self.stand_up(attachment.socket)
            channel.room.sit(attachment.socket, attachment.seat)
        attachment.confirm(protocol.Subscribed(attachment.stream, epoch, top, recovered))
        offset = known[1] if recovered and known else top
        self._laggards.give(channel, attachment.socket, offset, events)
        self.on_listener(attachment.socket, attachment.stream)
        attachment.done.set_result(None)

    def stand_up(self, socket: Subscriber) -> None:
        channel = self._channels.get(socket.seat.stream) if socket.seat else None
        if channel is not None and channel.room is not None:
            channel.room.stand_up(socket)

    # Doing without hints.

    async def _check_positions(self) -> None:
        """Find a lost last hint, which no later one would reveal."""
        while True:
            bounds = CHECK_SECONDS_WITHOUT_REDIS if not self._follower.connected else CHECK_SECONDS
            deadline = self.loop.time() + _jitter(*bounds)
            while self.loop.time() < deadline:
                await asyncio.sleep(0.25)
                if not self._follower.connected and bounds is CHECK_SECONDS:
                    break
            self._check(self._channels)

    def _check(self, streams: Iterable[str]) -> None:
        """Have the log read for those of the streams that somebody here listens to."""
        if suspect := self._channels.keys() & set(streams):
            self._suspect |= suspect
            self._wake.set()


def _jitter(low: float, high: float) -> float:
    return SystemRandom().uniform(low, high)


def _unopened(found: Found) -> list[Event]:
    return [event for _, _, run in found.values() for event in run if not event.opened]


def _following(channel: Channel, events: list[Event]) -> list[Event] | None:
    """Return the events that continue `channel` without a gap; None if the log must be read."""
    run: list[Event] = []
    expected = channel.offset + 1
    for event in sorted(events, key=attrgetter("offset")):
        if event.epoch != channel.epoch or event.offset > expected:
            return None
        if event.offset == expected:
            run.append(event)
            expected += 1
    return run
