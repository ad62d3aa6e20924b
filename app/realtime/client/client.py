"""The client: one connection, the streams that it follows, and commands until they are done."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Self
from uuid import uuid4

import msgspec

from app.realtime.client.connection import LONGEST_DELAY, Connection
from app.realtime.client.errors import ConnectionLost, Refused, Stopped
from app.realtime.client.identity import Device
from app.realtime.client.link import Link
from app.realtime.client.streams import Position, Stream, Streams
from app.realtime.client.ticket import Ticket
from app.realtime.client.transport import Transport, WebSocket
from app.realtime.client.voice import Place
from app.realtime.protocol import Ack

NAME = "python/1"
FIRST_PAUSE = 0.5


class Client:
    """Use it as `async with Client(url, ticket) as client`; it connects in the background.

    `url` is that of the socket, or a callable that gives it for each attempt. `origin` must be
    that of the request for the ticket, None for programs. Methods raise Stopped once there is
    no coming back. `on_state` is told each `state`.
    """

    def __init__(
        self,
        url: str | Callable[[], str],
        ticket: Ticket,
        *,
        origin: str | None = None,
        name: str = NAME,
        on_state: Callable[[str], None] = lambda _: None,
        open_: Callable[[], Awaitable[Transport]] | None = None,
    ) -> None:
        def open_websocket() -> Awaitable[Transport]:
            return WebSocket.open(url if isinstance(url, str) else url(), origin)

        self._streams = Streams(self.background, lambda: self.link)
        self._connection = Connection(
            open_=open_ or open_websocket,
            ticket=ticket,
            name=name,
            pushed=self._streams.received,
            ready=self._connected,
            changed=self._changed_state,
        )
        self._on_state = on_state
        self._place: Place | None = None
        self._failure: Exception | None = None
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.background(self._connection.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end(Stopped(0))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def state(self) -> str:
        """`connecting`, `ready`, `waiting` for the next attempt, or `stopped`."""
        state = self._connection.state
        return "waiting" if state == "ready" and self.link is None else state

    @property
    def link(self) -> Link | None:
        """The socket of now."""
        return self._connection.link

    async def ready(self) -> Link:
        """Wait until there is a connection."""
        while True:
            if self._failure:
                raise self._failure
            if self.link:
                return self.link
            await self._changed.wait()

    def renew(self) -> None:
        """Take another socket before letting go of this one: the network may be another now."""
        self._connection.renew()

    def follow(self, stream: str, position: Position | None = None) -> Stream:
        """Follow a stream from `position` on, which came with its state; or from its top."""
        return self._streams.follow(stream, position)

    async def leave(self, stream: Stream) -> None:
        """Follow it no more."""
        await self._streams.leave(stream)

    # Commands.

    async def request(self, op: str, **d: Any) -> Any:
        """Ask once; return the `ok`. Raises Refused, or ConnectionLost when no reply came."""
        return await (await self.ready()).request(op, d)

    async def insist(
        self,
        op: str,
        d: dict[str, Any],
        *,
        answered: Callable[[Link, Any], None] = lambda *_: None,
    ) -> Any:
        """Ask until there is an answer, on whichever connection; return the `ok`.

        For commands of which the same once more changes nothing: `send`, `edit`, `react`,
        `read`, `voice.join`, `voice.leave`. Raises Refused when it makes no sense to ask again.
        """
        pause = FIRST_PAUSE
        while True:
            link = await self.ready()
            try:
                return await link.request(op, d, answered=partial(answered, link))
            except ConnectionLost:
                continue  # `ready` waits for the next one
            except Refused as refused:
                if not refused.retry:
                    raise
            await asyncio.sleep(pause)
            pause = min(LONGEST_DELAY, pause * 2)

    async def send(
        self,
        conversation: str,
        body: str,
        *,
        id_: str | None = None,
        thread: str | None = None,
        attachments: list[str] | None = None,
    ) -> Ack:
        """Send a message until it is acknowledged: it is there once, under its id.

        Who awaits each keeps their order; what is sent at once may arrive in any.
        """
        d: dict[str, Any] = {
            "conversation": conversation,
            "id": id_ or str(uuid4()),
            "body": body,
            "thread": thread,
            "attachments": attachments or [],
        }
        return msgspec.convert(await self.insist("send", d), Ack)

    async def join(
        self, conversation: str, device: Device, fingerprint: str, *, muted: bool = False
    ) -> Place:
        """Take a place in the voice room of a conversation; a client has one at a time."""
        if self._place:
            await self._place.leave()
        place = self._place = Place(self, self._streams, conversation, device, fingerprint)
        try:
            await place.join(muted=muted)
        except BaseException:
            self._place = None
            raise
        return place

    # Inside.

    def _connected(self, link: Link) -> None:
        if self._place:
            self._place.connected(link)
        self._streams.resume()

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` until the client closes; what it raises ends the client."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._end(error if isinstance(error, Exception) else Stopped(0))

    def _end(self, failure: Exception) -> None:
        """Whoever waits for something learns that it will not come."""
        self._failure = self._failure or failure
        self._streams.stop(self._failure)
        self._ring()

    def _changed_state(self) -> None:
        self._on_state(self.state)
        self._ring()

    def _ring(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
