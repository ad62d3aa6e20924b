"""What a connected socket may ask, and how it is answered: in the order in which it came.

What needs neither a thread nor the database (signals, pings, typing, presence) is done in the
step in which it arrived. Sends go to the group commit, many at a time, and so do joins and
resumptions of voice rooms. The rest of a socket's commands wait for each other.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct

from app import metrics
from app.audit.context import Origin
from app.audit.services import note_refusal
from app.errors import DomainError, RateLimited
from app.realtime import protocol
from app.realtime.batcher import Batcher, Batches
from app.realtime.hub import Authorize, Hub, InThread, OpenAtOnce, OpenBodies, Rosters
from app.realtime.lanes import Lane, Lanes
from app.realtime.protocol import Code
from app.realtime.rooms import Seat
from app.realtime.services import Principal, conversation_stream
from app.realtime.socket import Socket

logger = logging.getLogger(__name__)


Taking = protocol.VoiceJoinData | protocol.VoiceResumeData


@dataclass(frozen=True, slots=True)
class Backend:
    """What the gateway asks of the layers above; everything runs in a thread."""

    authorize: Authorize
    """For each (principal, stream): None if they may listen, else the refusal."""
    send_many: Callable[
        [Sequence[tuple[Principal, protocol.SendData]]], Sequence[Struct | Exception]
    ]
    execute: Callable[[Principal, protocol.AnyCommand], Struct]
    take_places: Callable[[Sequence[tuple[Principal, Taking]]], Sequence[Struct | Exception]]
    """A VoicePlace gives the socket that seat."""
    renew_many: Callable[
        [Sequence[tuple[Principal, protocol.VoicePlaceData]]], Sequence[Struct | Exception]
    ]
    rosters: Rosters
    """Who is in the voice rooms of conversations (ids): generations by pid. Called within a
    snapshot of PostgreSQL, which its reads must be part of."""
    whence: Callable[[Any], Origin]
    """What can be believed of where a handshake (an ASGI scope) came from."""
    live_sessions: Callable[[Collection[UUID]], set[UUID]]
    open_bodies: OpenBodies
    open_at_once: OpenAtOnce
    chores: Sequence[Callable[[InThread], Coroutine[Any, Any, None]]] = ()
    """What each process keeps doing beside its sockets, until it is cancelled."""


CODES = {
    "unauthenticated": Code.UNAUTHENTICATED,
    "denied": Code.DENIED,
    "not_found": Code.NOT_FOUND,
    "conflict": Code.CONFLICT,
    "rate_limited": Code.RATE,
    "unavailable": Code.INTERNAL,
    "room_full": Code.ROOM_FULL,
    "stale_generation": Code.STALE_GENERATION,
}

_signals = metrics.SIGNALS.values  # for itself: this is the hottest path of all

Refresh = Callable[[Socket, str], Awaitable[Struct]]
Shown = Callable[[Socket, Literal["active", "away"]], None]


class _Sending(Struct, gc=False):
    """A send under way, and who is to be answered."""

    socket: Socket
    principal: Principal
    command: protocol.Send


class Commands:
    """Decodes frames, and carries out what they ask."""

    def __init__(
        self, backend: Backend, hub: Hub, lanes: Lanes, *, refresh: Refresh, shown: Shown
    ) -> None:
        self._backend, self._hub, self._lanes = backend, hub, lanes
        self._refresh, self._shown = refresh, shown
        self._sends: Batches[_Sending, Struct] = Batches(
            self._commit, self._settle, waits=metrics.QUEUE
        )
        self._places: Batcher[tuple[Principal, Taking], Struct] = Batcher(
            lambda batch: lanes.run(Lane.PLACES, backend.take_places, batch)
        )
        self._renewals: Batcher[tuple[Principal, protocol.VoicePlaceData], Struct] = Batcher(
            lambda batch: lanes.run(Lane.RENEWALS, backend.renew_many, batch)
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Commit sends, take places and renew leases until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sends.run())
            tasks.create_task(self._places.run())
            tasks.create_task(self._renewals.run())

    def received(self, socket: Socket, frame: bytes) -> None:
        """Take a frame of a connected socket; never waits."""
        try:
            command = protocol.decode(frame)
        except protocol.BadFrame as error:
            if len(frame) > protocol.MAX_FRAME_BYTES:
                socket.too_long()
            else:
                number = protocol.frame_id(frame)
                socket.offer(protocol.refusal(number, Code.BAD_REQUEST, str(error)))
            return
        if type(command) is protocol.VoiceSignal:
            self._signal(socket, command)
        elif len(frame) > protocol.MAX_FRAME_BYTES:
            socket.too_long()
        elif not socket.bucket.take(socket.heard_at):
            _refuse(socket, command.id, RateLimited())
        else:
            self._begin(socket, command)

    def _signal(self, socket: Socket, command: protocol.VoiceSignal) -> None:
        if not socket.signals.take(socket.heard_at):
            _refuse(socket, command.id, RateLimited())
            return
        try:
            self._hub.signal(socket.seat, command.d)
        except Exception as error:
            _refuse(socket, command.id, error)
            return
        _signals[()] += 1
        # Who numbered it 0 asked for no answer: of a hundred candidates none needs one.
        if command.id:
            _answer(socket, command.id, protocol.Nothing())

    def _begin(self, socket: Socket, command: protocol.AnyCommand) -> None:
        if type(command) is protocol.Send and socket.backlog is None:  # most are
            socket.began()
            self._send(socket, command)
            return
        match command:
            case protocol.Ping():
                _answer(socket, command.id, protocol.Nothing())
            case protocol.Typing():
                self._at_once(socket, command.id, self._typing, socket, command.d.conversation)
            case protocol.Presence():
                self._at_once(socket, command.id, self._shown, socket, command.d.state)
            case _ if socket.backlog is not None:
                socket.began()
                socket.backlog.append(command)
            case _:
                socket.began()
                socket.backlog = deque([command])
                task = asyncio.create_task(self._work_off(socket, socket.backlog))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _at_once(
        self, socket: Socket, number: int, act: Callable[..., None], *arguments: Any
    ) -> None:
        try:
            act(*arguments)
        except Exception as error:
            _refuse(socket, number, error)
        else:
            _answer(socket, number, protocol.Nothing())

    def _send(self, socket: Socket, command: protocol.Send) -> None:
        # Not awaited: a client may have many under way, and they commit together, in their order.
        self._sends.put(_Sending(socket, socket.principal, command))

    async def _commit(self, sends: Sequence[_Sending]) -> Sequence[Struct | Exception]:
        batch = [(one.principal, one.command.d) for one in sends]
        return await self._lanes.run(Lane.SENDS, self._backend.send_many, batch)

    def _settle(self, sends: Sequence[_Sending], outcomes: Sequence[Struct | Exception]) -> None:
        """Answer a batch: all that is for one socket in one piece."""
        answers: dict[Socket, list[bytes]] = {}
        results: Counter[str] = Counter()
        for one, outcome in zip(sends, outcomes, strict=True):
            socket, command = one.socket, one.command
            socket.ended()
            if isinstance(outcome, Exception):
                results[_outcome(outcome)] += 1
                answers.setdefault(socket, []).append(_refusal(socket, command.id, outcome))
            else:
                results["ok"] += 1
                if command.id:
                    reply = protocol.encode(protocol.Reply(command.id, outcome))
                    answers.setdefault(socket, []).append(reply)
        for result, number in results.items():
            metrics.COMMANDS.add("send", result, by=number)
        for socket, messages in answers.items():
            socket.offer_all(messages)

    async def _work_off(self, socket: Socket, backlog: deque[protocol.AnyCommand]) -> None:
        """Carry out one after the other; what is left when the socket closes is not begun."""
        while backlog and not socket.closing:
            command = backlog.popleft()
            if isinstance(command, protocol.Send):
                self._send(socket, command)
                continue
            try:
                result = await self._perform(socket, command)
            except Exception as error:
                metrics.COMMANDS.add(protocol.tag(command), _outcome(error))
                _refuse(socket, command.id, error)
            else:
                metrics.COMMANDS.add(protocol.tag(command), "ok")
                if result is not None:
                    _answer(socket, command.id, result)
            socket.ended()
        socket.backlog = None

    async def _perform(self, socket: Socket, command: protocol.AnyCommand) -> Struct | None:
        """Return what answers `command`; None if it is answered already."""
        match command:
            case protocol.Sub():
                await self._subscribe(socket, command)
                return None
            case protocol.Unsub():
                socket.streams.discard(command.d.s)
                self._hub.detach(socket, command.d.s)
                return protocol.Nothing()
            case protocol.VoiceRenew():
                return await self._renewals.put((socket.principal, command.d))
            case protocol.VoiceJoin() | protocol.VoiceResume():
                await self._take_place(socket, command)
                return None
            case protocol.AuthRefresh():
                return await self._refresh(socket, command.d.ticket)
            case protocol.Connect():
                raise DomainError("This socket is connected already.")
        return await self._lanes.run(
            Lane.COMMANDS, self._backend.execute, socket.principal, command
        )

    async def _subscribe(self, socket: Socket, command: protocol.Sub) -> None:
        want = command.d
        if want.s not in socket.streams:
            _check_room_for_more(socket)
        if (want.e is None) != (want.o is None):
            raise DomainError("Give both the epoch and the offset, or neither.")
        position = (want.e, want.o) if want.e is not None and want.o is not None else None

        def confirm(subscribed: protocol.Subscribed) -> None:
            socket.streams.add(want.s)
            _answer(socket, command.id, subscribed)

        await self._hub.attach(socket, want.s, position, confirm)

    async def _take_place(
        self, socket: Socket, command: protocol.VoiceJoin | protocol.VoiceResume
    ) -> None:
        """Join or resume; the answer is followed by the room's events from its position on."""
        _check_room_for_more(socket)
        place = await self._places.put((socket.principal, command.d))
        if not isinstance(place, protocol.VoicePlace):
            raise TypeError("a voice.join or voice.resume returns a VoicePlace")

        def confirm(subscribed: protocol.Subscribed) -> None:
            socket.streams.add(place.s)
            _answer(socket, command.id, place)
            if not subscribed.recovered:
                socket.offer(protocol.encode(protocol.Resync({"s": place.s})))

        seat = Seat(place.s, place.pid, place.gen)
        await self._hub.attach(socket, place.s, (place.e, place.o), confirm, seat)

    def _typing(self, socket: Socket, conversation: str) -> None:
        stream = conversation_stream(conversation)
        now = time.monotonic()
        # Being subscribed is proof of membership; a hint that comes too often is dropped.
        if stream in socket.streams and now - socket.typing_at >= protocol.TYPING_SECONDS:
            socket.typing_at = now
            self._hub.whisper(stream, protocol.TypingNow(socket.user))


def _answer(socket: Socket, number: int, result: Struct) -> None:
    if number:
        socket.offer(protocol.encode(protocol.Reply(number, result)))


def _outcome(error: Exception) -> str:
    return error.code if isinstance(error, DomainError) else "internal"


def _refuse(socket: Socket, number: int, error: Exception) -> None:
    socket.offer(_refusal(socket, number, error))


def _refusal(socket: Socket, number: int, error: Exception) -> bytes:
    if isinstance(error, DomainError):
        code = CODES.get(error.code, Code.BAD_REQUEST)
        return protocol.refusal(number, code, error.message)
    note_refusal(error)
    # Never the text of an unforeseen error: it could hold what somebody wrote.
    whose = {"request_id": socket.principal.whence.request_id}
    logger.error("command_failed", extra={"error": type(error).__name__} | whose)
    return protocol.refusal(number, Code.INTERNAL, "Something failed here: retry.")


def _check_room_for_more(socket: Socket) -> None:
    if len(socket.streams) >= protocol.MAX_SUBSCRIPTIONS:
        raise DomainError(f"A socket has at most {protocol.MAX_SUBSCRIPTIONS} subscriptions.")
