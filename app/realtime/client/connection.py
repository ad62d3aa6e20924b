"""One connection to the gateway, kept alive: ticket, socket, `connect`, ready.

After a loss it comes back with full jitter; before its hour ends, or when the instance is
going away, the next socket opens before the old one closes. After a close code 45xx it stops.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import SystemRandom
from typing import Any, Literal

from websockets.exceptions import WebSocketException

from app.realtime.client.errors import ConnectionLost, Refused, Stopped
from app.realtime.client.link import Link
from app.realtime.client.ticket import Ticket
from app.realtime.client.transport import Closed, Transport

FIRST_DELAY, LONGEST_DELAY = 0.5, 20.0
LEAST_DELAY = 0.05
HANDSHAKE_SECONDS = 10.0
RENEW_SECONDS = (50 * 60.0, 57 * 60.0)  # before the 60 minutes after which Cloud Run cuts
LINGER_SECONDS = 2.0  # in which the old socket still gets its replies
FINAL = range(4500, 4600)

State = Literal["idle", "connecting", "ready", "waiting", "stopped"]
Chance = Callable[[float, float], float]
_CHANCE: Chance = SystemRandom().uniform  # its own state: `random` belongs to who imports us
_FAILURES = (OSError, ConnectionLost, Refused, Closed, WebSocketException)


class Connection:
    """`run` until it raises Stopped. `ready` is called with each new link, `pushed` with frames."""

    def __init__(
        self,
        *,
        open_: Callable[[], Awaitable[Transport]],
        ticket: Ticket,
        name: str,
        pushed: Callable[[dict[str, Any]], None],
        ready: Callable[[Link], None],
        changed: Callable[[], None],
        chance: Chance = _CHANCE,
    ) -> None:
        self._open, self._ticket, self._name = open_, ticket, name
        self._pushed, self._ready, self._changed = pushed, ready, changed
        self._chance = chance
        self._link: Link | None = None
        self._due: asyncio.Future[None]  # since there is a link
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self.state: State = "idle"

    @property
    def link(self) -> Link | None:
        """The socket to speak through, if there is one now."""
        return self._link if self._link and not self._link.over.done() else None

    async def run(self) -> None:
        """Keep a connection. Raises Stopped."""
        attempt = 0
        try:
            while True:
                self._show("connecting")
                try:
                    link = await self._opened()
                except _FAILURES:
                    attempt += 1
                else:
                    attempt = 0
                    await self._live(link)
                self._show("waiting")
                bound = min(LONGEST_DELAY, FIRST_DELAY * 2 ** max(0, attempt - 1))
                await asyncio.sleep(max(LEAST_DELAY, self._chance(0, bound)))
        finally:
            self._show("stopped")
            await self._leave_all()

    def renew(self) -> None:
        """Take the next socket now, and then let go of this one."""
        if self._link:
            self._renew_in(0)

    async def _opened(self) -> Link:
        """A link that is connected. Raises one of _FAILURES, Stopped."""
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            ticket = await self._ticket()
            link = Link(await self._open(), self._heard)
            try:
                await link.request("connect", {"ticket": ticket, "client": self._name})
            except ConnectionLost:
                await link.close()
                _stop_if_final(link.over.result())
                raise
            except BaseException:
                await link.close()
                raise
        return link

    async def _live(self, link: Link) -> None:
        """Use `link`, and those that take its place in time, until the present one has ended."""
        try:
            self._became(link)
            while await self._must_renew(link):
                try:
                    new = await self._opened()
                except _FAILURES:
                    self._renew_in(LONGEST_DELAY)  # only the renewal has failed
                    continue
                self._leave(link)
                link = new
                self._became(link)
        finally:
            self._link = None
            if self._timer:
                self._timer.cancel()
            await link.close()
        _stop_if_final(link.over.result())

    async def _must_renew(self, link: Link) -> bool:
        """Wait until it is time to; False when `link` has ended before."""
        either: set[asyncio.Future[Any]] = {link.over, self._due}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return not link.over.done()

    def _became(self, link: Link) -> None:
        self._link = link
        link.over.add_done_callback(lambda _: self._changed())
        self._due = asyncio.get_running_loop().create_future()
        self._renew_in(self._chance(*RENEW_SECONDS))
        self._ready(link)
        self._show("ready")

    def _renew_in(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        if self._due.done():
            self._due = loop.create_future()
        self._timer = loop.call_later(seconds, _settle, self._due)

    def _heard(self, link: Link, frame: dict[str, Any]) -> None:
        if frame.get("op") != "reconnect":
            self._pushed(frame)
        elif link is self._link:
            self._renew_in(frame["d"].get("after_ms", 0) / 1000)

    def _leave(self, link: Link) -> None:
        async def linger() -> None:
            try:
                await asyncio.wait({link.over}, timeout=LINGER_SECONDS)
            finally:
                await link.close()

        task = asyncio.create_task(linger())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave_all(self) -> None:
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def _show(self, state: State) -> None:
        self.state = state
        self._changed()


def _settle(due: asyncio.Future[None]) -> None:
    if not due.done():
        due.set_result(None)


def _stop_if_final(code: int) -> None:
    if code in FINAL:
        raise Stopped(code)
