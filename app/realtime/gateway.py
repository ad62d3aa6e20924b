"""The gateway at `/ws`: an ASGI application that speaks `rt.v1`.

Here are opening, limits and ending; what a socket asks for is in `commands`, who may is
decided by the functions that the composition hands in (`Backend`). Not a Channels consumer:
those cost a thread hop and a task for each event (docs/decisions/0003).
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from random import SystemRandom
from typing import Any
from uuid import UUID

from django.conf import settings
from msgspec import Struct

from app import metrics
from app.audit.context import Origin
from app.errors import Unauthenticated
from app.realtime import protocol, rooms
from app.realtime.batcher import Batcher
from app.realtime.commands import Backend, Commands
from app.realtime.hub import Hub
from app.realtime.lanes import Lane, Lanes
from app.realtime.plain import PlainOutlet
from app.realtime.presence import Presence
from app.realtime.protocol import Close, Code
from app.realtime.services import Principal, redeem_tickets
from app.realtime.socket import Socket
from app.realtime.wire import EXTENSION

__all__ = ["Backend", "Gateway"]

logger = logging.getLogger(__name__)

REVALIDATE_SECONDS = 3.0
SWEEP_SECONDS = 2.0
SILENCE_SECONDS = protocol.PING_SECONDS + protocol.PONG_SECONDS
MAX_OPENING = 500
"""Sockets that may wait for their ticket to be looked at; one more is told to come later."""
DRAIN_SECONDS = 6.5
"""How long sockets may take to leave by themselves: Cloud Run gives 10 s after SIGTERM."""
LAST_WORDS_SECONDS = 1.5
DRAIN_A_SECOND = 20
"""How many sockets of ours are asked to open another one elsewhere within a second, as long as all
can leave in time: those who stay wait for the tickets and readings of those who come."""


class Gateway:
    """One for a process; its machinery starts with the first socket, on that loop."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._sockets: set[Socket] = set()
        self._opening: set[Socket] = set()
        self._of_user: dict[UUID, int] = {}
        self._machinery: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[None] | None = None
        self._lanes: Lanes
        self._hub: Hub
        self._commands: Commands
        self._presence: Presence
        self._tickets: Batcher[tuple[str, str, Origin], Principal | None]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        if self._draining or not self._has_room():
            metrics.HANDSHAKES.add("turned_away")
            await _turn_away(scope, send)
            return
        version = protocol.VERSION if protocol.VERSION in scope.get("subprotocols", []) else None
        self._start()
        origin = dict(scope["headers"]).get(b"origin", b"").decode("latin-1")
        socket = Socket(self, origin, self._backend.whence(scope))
        await send({"type": "websocket.accept", "subprotocol": version})
        take_over = scope.get("extensions", {}).get(EXTENSION)
        if take_over is not None:
            self._open(socket, take_over(socket), version)
            return
        outlet = PlainOutlet(receive, send, socket)
        self._open(socket, outlet, version)
        await outlet.serve()

    def _has_room(self) -> bool:
        return len(self._sockets) < settings.GATEWAY_SOCKETS and len(self._opening) < MAX_OPENING

    def _start(self) -> None:
        if self._machinery is None or self._machinery.done():
            self._lanes = lanes = Lanes()
            self._hub = Hub(
                redis_url=settings.REDIS_URL,
                in_thread=partial(lanes.run, Lane.DELIVERY),
                open_bodies=self._backend.open_bodies,
                open_at_once=self._backend.open_at_once,
                authorize=self._backend.authorize,
                rosters=self._backend.rosters,
            )
            self._hub.on_control = self.on_control
            self._presence = Presence(self._hub)
            self._commands = Commands(
                self._backend,
                self._hub,
                lanes,
                refresh=self._refresh,
                shown=self._presence.shown,
            )
            self._tickets = Batcher(lambda batch: lanes.run(Lane.ADMISSION, redeem_tickets, batch))
            self._machinery = asyncio.create_task(self._run())

    async def _run(self) -> None:
        metrics.readers.append(self._standing)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hub.run())
                tasks.create_task(self._commands.run())
                tasks.create_task(self._tickets.run())
                tasks.create_task(self._presence.run())
                tasks.create_task(self._revalidate())
                tasks.create_task(self._sweep())
                for chore in self._backend.chores:
                    tasks.create_task(chore(partial(self._lanes.run, Lane.CHORES)))
        finally:
            metrics.readers.remove(self._standing)
            self._lanes.close()

    def _standing(self) -> dict[str, float]:
        """Asked in the thread that reads the metrics."""
        return {
            metrics.GATEWAY_SOCKETS.name: len(self._sockets),
            metrics.GATEWAY_OPENING.name: len(self._opening),
            metrics.GATEWAY_DRAINING.name: self._draining is not None,
            **self._hub.standing(),
        }

    async def stop(self) -> None:
        """End the machinery: for whoever goes on without a gateway."""
        if self._machinery is not None:
            self._machinery.cancel()
            await asyncio.wait({self._machinery})

    # Opening.

    def _open(self, socket: Socket, outlet: Any, version: str | None) -> None:
        socket.opened(outlet)
        if version is None:
            # Accepted only to be closed with a code that the client can read.
            metrics.HANDSHAKES.add("version")
            socket.close(Close.VERSION)
            return
        self._sockets.add(socket)
        self._opening.add(socket)
        socket.offer(protocol.encode(protocol.Hello({"version": version})))

    def received(self, socket: Socket, frame: bytes) -> None:
        """Take a frame of a socket that was not admitted yet."""
        if socket.opening is not None:
            self._first(socket, frame)
        else:
            # Its ticket is being looked at: who cannot wait for the answer is no client.
            socket.close(Close.UNAUTHENTICATED)

    def _first(self, socket: Socket, frame: bytes) -> None:
        """The first frame must bring a ticket."""
        try:
            command = protocol.decode(frame)
        except protocol.BadFrame:
            socket.close(Close.BAD_FRAME)
            return
        if not isinstance(command, protocol.Connect) or socket.opening is None:
            socket.close(Close.UNAUTHENTICATED)
            return
        whence, socket.opening = socket.opening, None
        redeemed = self._tickets.put((command.d.ticket, socket.origin, whence))
        redeemed.add_done_callback(partial(self._admit, socket, command.id))

    def _admit(
        self, socket: Socket, number: int, redeemed: asyncio.Future[Principal | None]
    ) -> None:
        self._opening.discard(socket)
        if socket.closing or redeemed.cancelled():
            return
        if error := redeemed.exception():
            # The ticket may be good still: come back with it, or another one.
            metrics.HANDSHAKES.add("failed")
            logger.warning("ticket_failed", extra={"error": type(error).__name__})
            text = "Tickets cannot be looked at right now."
            socket.close(Close.GAP, protocol.refusal(number, Code.INTERNAL, text))
            return
        principal = redeemed.result()
        if principal is None:
            metrics.HANDSHAKES.add("refused")
            text = "The ticket is unknown, used or expired: ask for another one."
            refusal = protocol.refusal(number, Code.TICKET_EXPIRED, text)
            socket.close(Close.UNAUTHENTICATED, refusal)
            return
        if self._of_user.get(principal.user, 0) >= protocol.MAX_SOCKETS_PER_USER:
            metrics.HANDSHAKES.add("too_many")
            socket.close(Close.TOO_MANY)
            return
        self._of_user[principal.user] = self._of_user.get(principal.user, 0) + 1
        socket.belongs_to(principal)
        socket.heard = self._commands.received
        metrics.HANDSHAKES.add("accepted")
        socket.offer(protocol.encode(protocol.Reply(number, _welcome(principal))))

    async def _refresh(self, socket: Socket, ticket: str) -> Struct:
        """Let the socket go on under another session of the same person."""
        principal = await self._tickets.put((ticket, socket.origin, socket.principal.whence))
        if principal is None or (principal.user, principal.organization) != (
            socket.principal.user,
            socket.principal.organization,
        ):
            raise Unauthenticated("The ticket is unknown, used, expired or somebody else's.")
        socket.principal = principal
        return _welcome(principal)

    # Ending.

    def lost(self, socket: Socket) -> None:
        """The connection is gone: so is all that was kept for it, but what is under way."""
        if socket not in self._sockets:
            return
        self._sockets.discard(socket)
        self._opening.discard(socket)
        for stream in list(socket.streams):
            self._hub.detach(socket, stream)
        if socket.principal is None:
            return
        self._presence.left(socket)
        left = self._of_user.get(socket.principal.user, 0) - 1
        if left > 0:
            self._of_user[socket.principal.user] = left
        else:
            self._of_user.pop(socket.principal.user, None)

    def on_control(self, message: dict[str, Any]) -> None:
        """Close the sockets of the sessions that `{"revoke": […]}` names."""
        self._revoke({UUID(session) for session in message.get("revoke", [])})

    def _revoke(self, sessions: set[UUID]) -> None:
        last = protocol.encode(protocol.Bye({"reason": "revoked"}))
        for socket in self._connected():
            if socket.principal.session in sessions:
                socket.close(Close.REVOKED, last)

    def _connected(self) -> list[Socket]:
        return [socket for socket in self._sockets if socket.principal is not None]

    async def _revalidate(self) -> None:
        """Ask which sessions still live, and who may still listen in on rooms.

        The word of a revocation or of a removal may be lost, this is not.
        """
        while True:
            await asyncio.sleep(REVALIDATE_SECONDS)
            sockets = self._connected()
            if not sockets:
                continue
            try:
                await self._lanes.run(Lane.ADMISSION, self._ask_again, sockets)
            except Exception as error:
                logger.warning("revalidation_failed", extra={"error": type(error).__name__})

    def _ask_again(self, sockets: Sequence[Socket]) -> None:
        """In a thread."""
        sessions = {socket.principal.session for socket in sockets}
        ended = sessions - self._backend.live_sessions(sessions)
        listening = [
            (socket, stream)
            for socket in sockets
            for stream in list(socket.streams)
            if stream.startswith(rooms.PREFIX)
        ]
        pairs = [(socket.principal, stream) for socket, stream in listening]
        verdicts = self._backend.authorize(pairs) if pairs else []
        refused = [pair for pair, no in zip(listening, verdicts, strict=True) if no is not None]
        self._hub.loop.call_soon_threadsafe(self._end, ended, refused)

    def _end(self, sessions: set[UUID], listening: Sequence[tuple[Socket, str]]) -> None:
        self._revoke(sessions)
        for socket, stream in listening:
            socket.detached(stream)
            self._hub.detach(socket, stream)

    async def _sweep(self) -> None:
        """Close who has said nothing for too long; one look at all costs no timer each."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            for socket in list(self._sockets):
                silent = now - socket.heard_at
                if silent > SILENCE_SECONDS:
                    socket.close(Close.NO_PONG)
                elif socket.opening is not None and silent > protocol.FIRST_FRAME_SECONDS:
                    socket.close(Close.UNAUTHENTICATED)

    # Going.

    def drain(self, seconds: float = DRAIN_SECONDS) -> asyncio.Task[None]:
        """Begin to let go of everybody: asked to reconnect one after the other, then closed."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(seconds))
        return self._draining

    async def _drain(self, seconds: float) -> None:
        sockets = list(self._sockets)
        spread = min(len(sockets) / DRAIN_A_SECOND, 0.75 * seconds)
        for socket in sockets:
            after = SystemRandom().uniform(0, spread)
            socket.offer(protocol.encode(protocol.Reconnect({"after_ms": int(after * 1000)})))
        await self._until(lambda: not self._sockets, seconds)
        for socket in self._sockets:
            socket.stop_reading()
        busy = [socket for socket in self._sockets if socket.under_way]
        await self._until(lambda: not any(socket.under_way for socket in busy), LAST_WORDS_SECONDS)
        for socket in list(self._sockets):
            socket.close(Close.DRAIN)
        await self._until(lambda: not self._sockets, 0.5)

    async def _until(self, done: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            await asyncio.sleep(0.05)


def _welcome(principal: Principal) -> protocol.Connected:
    limits = {
        "frame": protocol.MAX_FRAME_BYTES,
        "subscriptions": protocol.MAX_SUBSCRIPTIONS,
        "body": protocol.MAX_BODY_CHARACTERS,
    }
    return protocol.Connected(
        str(principal.session), str(principal.user), protocol.PING_SECONDS, limits
    )


async def _turn_away(scope: Any, send: Any) -> None:
    """Answer 503 at once where the server can, else refuse the handshake."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1013})
        return
    headers = [(b"retry-after", b"2"), (b"content-type", b"text/plain")]
    await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"full: come back in a moment\n"})
