"""The gateway at `/ws`: an ASGI application that speaks `rt.v1`.

Who may do what is decided by the functions that the composition hands in (`Backend`);
here are frames, limits, order and time. Not a Channels consumer: those cost a thread
hop and a task for each event (docs/decisions/0003-gateway-without-consumers.md).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections
from msgspec import Struct

from app.audit.context import Origin
from app.errors import DomainError, RateLimited
from app.realtime import hints, protocol
from app.realtime.batcher import Batcher
from app.realtime.hub import Authorize, Hub, InThread, OpenBodies, Rosters
from app.realtime.protocol import Close, Code
from app.realtime.rooms import Seat
from app.realtime.services import Principal, redeem_ticket
from app.realtime.socket import Socket

logger = logging.getLogger(__name__)

REVALIDATE_SECONDS = 3.0
MAX_SENDS_UNDER_WAY = 64
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Backend:
    """What the gateway asks of the layers above; everything runs in a thread."""

    authorize: Authorize
    """For each (principal, stream): None if they may listen, else the refusal."""
    send_many: Callable[
        [Sequence[tuple[Principal, protocol.SendData]]], Sequence[Struct | Exception]
    ]
    execute: Callable[[Principal, protocol.AnyCommand], Struct]
    """A returned VoicePlace gives the socket that seat."""
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


class Gateway:
    """One for a process; its machinery starts with the first socket, on that loop."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._threads = ThreadPoolExecutor(settings.GATEWAY_THREADS, thread_name_prefix="gateway")
        self._sockets: set[Socket] = set()
        self._machinery: asyncio.Task[None] | None = None
        self._hub: Hub

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if protocol.VERSION not in scope.get("subprotocols", []):
            await _refuse(receive, send, Close.VERSION, subprotocol=None)
            return
        self._start()
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept", "subprotocol": protocol.VERSION})
        await _send_frame(send, protocol.encode(protocol.Hello({"version": protocol.VERSION})))
        socket = await self._connected(scope, receive, send)
        if socket is None:
            return
        self._sockets.add(socket)
        try:
            await self._serve(socket, receive)
        finally:
            self._sockets.discard(socket)
            for stream in list(socket.streams):
                self._hub.detach(socket, stream)

    def _start(self) -> None:
        if self._machinery is None or self._machinery.done():
            self._hub = Hub(
                redis_url=settings.REDIS_URL,
                in_thread=self._in_thread,
                open_bodies=self._backend.open_bodies,
                authorize=self._backend.authorize,
                rosters=self._backend.rosters,
            )
            self._hub.on_control = self.on_control
            self._sends: Batcher[tuple[Principal, protocol.SendData], Struct] = Batcher(
                lambda batch: self._in_thread(self._backend.send_many, batch)
            )
            self._renewals: Batcher[tuple[Principal, protocol.VoicePlaceData], Struct] = Batcher(
                lambda batch: self._in_thread(self._backend.renew_many, batch)
            )
            self._machinery = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hub.run())
            tasks.create_task(self._sends.run())
            tasks.create_task(self._renewals.run())
            tasks.create_task(self._revalidate())
            for chore in self._backend.chores:
                tasks.create_task(chore(self._in_thread))

    async def _in_thread(self, work: Callable[..., Result], *arguments: Any) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _with_connections, work, arguments)

    # Opening.

    async def _connected(self, scope: Any, receive: Any, send: Any) -> Socket | None:
        """Read the first frame, which must bring a ticket; None if it was no good."""
        connect = await _first_command(receive, send)
        if connect is None:
            return None
        origin = dict(scope["headers"]).get(b"origin", b"").decode("latin-1")
        whence = self._backend.whence(scope)
        principal = await self._in_thread(_redeem, connect.d.ticket, origin, whence)
        if principal is None:
            text = "The ticket is unknown, used or expired: ask for another one."
            await _send_frame(send, protocol.refusal(connect.id, Code.TICKET_EXPIRED, text))
            await _close(send, Close.UNAUTHENTICATED)
            return None
        mine = [socket for socket in self._sockets if socket.principal.user == principal.user]
        if len(mine) >= protocol.MAX_SOCKETS_PER_USER:
            await _close(send, Close.TOO_MANY)
            return None
        socket = Socket(send, principal)
        socket.offer(protocol.encode(protocol.Reply(connect.id, _welcome(principal))))
        return socket

    # Serving.

    async def _serve(self, socket: Socket, receive: Any) -> None:
        """Read and write until either ends; sends under way are still carried out."""
        reader = asyncio.create_task(self._read(socket, receive))
        writer = asyncio.create_task(socket.write())
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and socket.closing:
                await asyncio.wait({writer}, timeout=2)
        finally:
            for task in (reader, writer):
                task.cancel()
            outcomes = await asyncio.gather(reader, writer, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
                logger.error("socket_failed", exc_info=outcome)

    async def _read(self, socket: Socket, receive: Any) -> None:
        under_way: set[asyncio.Task[None]] = set()
        while not socket.closing:
            try:
                async with asyncio.timeout(protocol.PING_SECONDS + protocol.PONG_SECONDS):
                    message = await receive()
            except TimeoutError:
                socket.close(Close.NO_PONG)
                return
            if message["type"] == "websocket.disconnect":
                return
            await self._frame(socket, _frame(message), under_way)

    async def _frame(
        self, socket: Socket, frame: bytes, under_way: set[asyncio.Task[None]]
    ) -> None:
        command: protocol.AnyCommand | None = None
        try:
            if len(frame) <= protocol.MAX_SIGNAL_BYTES:
                command = protocol.decode(frame)
        except protocol.BadFrame as error:
            if len(frame) <= protocol.MAX_FRAME_BYTES:
                number = protocol.frame_id(frame)
                socket.offer(protocol.refusal(number, Code.BAD_REQUEST, str(error)))
                return
        signal = isinstance(command, protocol.VoiceSignal)
        if command is None or (not signal and len(frame) > protocol.MAX_FRAME_BYTES):
            text = f"A frame has at most {protocol.MAX_FRAME_BYTES} bytes."
            socket.close(Close.BAD_FRAME, protocol.refusal(0, Code.BAD_REQUEST, text))
            return
        if not (socket.signals if signal else socket.bucket).take():
            socket.offer(protocol.refusal(command.id, Code.RATE, RateLimited.default_message))
            return
        if isinstance(command, protocol.Send):
            # Not awaited: a client may have many under way, and they commit together. The
            # batcher keeps their order.
            if len(under_way) >= MAX_SENDS_UNDER_WAY:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            acked = self._sends.put((socket.principal, command.d))
            task = asyncio.create_task(self._answer(socket, command.id, acked))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        else:
            await self._answer(socket, command.id, self._perform(socket, command))

    async def _answer(self, socket: Socket, number: int, work: Awaitable[Struct | None]) -> None:
        """Offer what `work` returns, or the refusal that it raises, under the frame's id."""
        try:
            result = await work
        except DomainError as error:
            code = CODES.get(error.code, Code.BAD_REQUEST)
            socket.offer(protocol.refusal(number, code, error.message))
        except Exception as error:
            # Never the text of an unforeseen error: it could hold what somebody wrote.
            logger.error("command_failed", extra={"error": type(error).__name__})
            socket.offer(protocol.refusal(number, Code.INTERNAL, "Something failed here: retry."))
        else:
            # Who numbered the frame 0 asked for no answer: of many candidates none needs one.
            if result is not None and number:
                socket.offer(protocol.encode(protocol.Reply(number, result)))

    async def _perform(  # noqa: PLR0911 - a line for each command
        self, socket: Socket, command: protocol.AnyCommand
    ) -> Struct | None:
        match command:
            case protocol.Ping():
                return protocol.Nothing()
            case protocol.Sub():
                await self._subscribe(socket, command)
                return None
            case protocol.Unsub():
                socket.streams.discard(command.d.s)
                self._hub.detach(socket, command.d.s)
                return protocol.Nothing()
            case protocol.Typing():
                return await self._typing(socket, command.d.conversation)
            case protocol.VoiceSignal():
                return await self._signal(socket, command.d)
            case protocol.VoiceRenew():
                return await self._renewals.put((socket.principal, command.d))
            case protocol.VoiceJoin() | protocol.VoiceResume():
                await self._take_place(socket, command)
                return None
            case protocol.Connect():
                raise DomainError("This socket is connected already.")
            case _:
                return await self._in_thread(self._backend.execute, socket.principal, command)

    async def _subscribe(self, socket: Socket, command: protocol.Sub) -> None:
        want = command.d
        if want.s not in socket.streams:
            _check_room_for_more(socket)
        if (want.e is None) != (want.o is None):
            raise DomainError("Give both the epoch and the offset, or neither.")
        position = (want.e, want.o) if want.e is not None and want.o is not None else None

        def confirm(subscribed: protocol.Subscribed) -> None:
            socket.streams.add(want.s)
            socket.offer(protocol.encode(protocol.Reply(command.id, subscribed)))

        await self._hub.attach(socket, want.s, position, confirm)

    async def _take_place(
        self, socket: Socket, command: protocol.VoiceJoin | protocol.VoiceResume
    ) -> None:
        """Join or resume; the answer is followed by the room's events from its position on."""
        _check_room_for_more(socket)
        place = await self._in_thread(self._backend.execute, socket.principal, command)
        if not isinstance(place, protocol.VoicePlace):
            raise TypeError("a voice.join or voice.resume returns a VoicePlace")

        def confirm(subscribed: protocol.Subscribed) -> None:
            socket.streams.add(place.s)
            socket.offer(protocol.encode(protocol.Reply(command.id, place)))
            if not subscribed.recovered:
                socket.offer(protocol.encode(protocol.Resync({"s": place.s})))

        seat = Seat(place.s, place.pid, place.gen)
        await self._hub.attach(socket, place.s, (place.e, place.o), confirm, seat)

    async def _signal(self, socket: Socket, signal: protocol.VoiceSignalData) -> Struct:
        """Hand a signal on; only one for another process waits, and that for Redis alone."""
        publish = self._hub.signal(socket.seat, signal)
        if publish is not None and socket.seat is not None:
            hint = (hints.STREAM_CHANNEL + socket.seat.stream, publish)
            await self._in_thread(hints.publish, [hint])
        return protocol.Nothing()

    async def _typing(self, socket: Socket, conversation: str) -> Struct:
        stream = f"conversation:{conversation}"
        now = time.monotonic()
        # Being subscribed is proof of membership; a hint that comes too often is dropped.
        if stream in socket.streams and now - socket.typing_at >= protocol.TYPING_SECONDS:
            socket.typing_at = now
            event = protocol.TypingNow(socket.user)
            push = protocol.Ephemeral(stream, protocol.tag(event), protocol.event_data(event))
            hint = (hints.STREAM_CHANNEL + stream, protocol.encode(push))
            await self._in_thread(hints.publish, [hint])
        return protocol.Nothing()

    # Ending.

    def on_control(self, message: dict[str, Any]) -> None:
        """Close the sockets of the sessions that `{"revoke": […]}` names."""
        self._revoke({UUID(session) for session in message.get("revoke", [])})

    def _revoke(self, sessions: set[UUID]) -> None:
        last = protocol.encode(protocol.Bye({"reason": "revoked"}))
        for socket in list(self._sockets):
            if socket.principal.session in sessions:
                socket.close(Close.REVOKED, last)

    async def _revalidate(self) -> None:
        """Ask which sessions still live: the word of a revocation may be lost, this is not."""
        while True:
            await asyncio.sleep(REVALIDATE_SECONDS)
            sessions = {socket.principal.session for socket in self._sockets}
            if not sessions:
                continue
            try:
                live = await self._in_thread(self._backend.live_sessions, sessions)
            except Exception as error:
                logger.warning("revalidation_failed", extra={"error": type(error).__name__})
                continue
            self._revoke(sessions - live)


def _with_connections(work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    """Run in a thread as Django runs a request: stale connections are dropped around it."""
    close_old_connections()
    try:
        return work(*arguments)
    finally:
        close_old_connections()


def _redeem(ticket: str, origin: str, whence: Origin) -> Principal | None:
    return redeem_ticket(ticket, origin=origin, whence=whence)


async def _first_command(receive: Any, send: Any) -> protocol.Connect | None:
    """The `connect` that must come first, and soon; else the socket is closed."""
    try:
        async with asyncio.timeout(protocol.FIRST_FRAME_SECONDS):
            message = await receive()
        if message["type"] != "websocket.receive":
            return None
        command = protocol.decode(_frame(message))
    except TimeoutError:
        command = None
    except protocol.BadFrame:
        await _close(send, Close.BAD_FRAME)
        return None
    if isinstance(command, protocol.Connect):
        return command
    await _close(send, Close.UNAUTHENTICATED)
    return None


def _welcome(principal: Principal) -> protocol.Connected:
    limits = {
        "frame": protocol.MAX_FRAME_BYTES,
        "subscriptions": protocol.MAX_SUBSCRIPTIONS,
        "body": protocol.MAX_BODY_CHARACTERS,
    }
    return protocol.Connected(
        str(principal.session), str(principal.user), protocol.PING_SECONDS, limits
    )


def _check_room_for_more(socket: Socket) -> None:
    if len(socket.streams) >= protocol.MAX_SUBSCRIPTIONS:
        raise DomainError(f"A socket has at most {protocol.MAX_SUBSCRIPTIONS} subscriptions.")


def _frame(message: dict[str, Any]) -> bytes:
    text: str | None = message.get("text")
    # An unpaired surrogate is no UTF-8: let the decoder refuse it, not us.
    return text.encode("utf-8", "surrogatepass") if text is not None else bytes(message["bytes"])


async def _send_frame(send: Any, frame: bytes) -> None:
    await send({"type": "websocket.send", "text": frame.decode()})


async def _close(send: Any, code: Close) -> None:
    await send({"type": "websocket.close", "code": int(code)})


async def _refuse(receive: Any, send: Any, code: Close, subprotocol: str | None) -> None:
    """Accept only to close with a code that the client can read."""
    if (await receive())["type"] == "websocket.connect":
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        await _close(send, code)
