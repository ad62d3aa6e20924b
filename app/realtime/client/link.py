"""One socket, from its opening to its end: requests get their replies, or learn of the end."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import msgspec

from app.realtime.client.errors import ConnectionLost, Refused
from app.realtime.client.transport import Closed, Transport
from app.realtime.protocol import PING_SECONDS, PONG_SECONDS, Close

REQUEST_SECONDS = 20.0
Answered = Callable[[Any], None] | None
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, Any])


class Link:
    """`over` gets the close code when the socket has ended; `close` has to be called all the same.

    `pushed` is called with the link and every frame that is no reply.
    """

    def __init__(
        self, transport: Transport, pushed: "Callable[[Link, dict[str, Any]], None]"
    ) -> None:
        self.transport = transport
        self._pushed = pushed
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[dict[str, Any]], Answered]] = {}
        self._sent_at = self._loop.time()
        self.over: asyncio.Future[int] = self._loop.create_future()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._ping())]

    async def request(
        self,
        op: str,
        d: dict[str, Any],
        *,
        seconds: float = REQUEST_SECONDS,
        answered: Answered = None,
    ) -> Any:
        """Return the reply's `ok`; `answered` gets it before any later frame is looked at.

        Raises Refused; ConnectionLost when no reply came.
        """
        if self.over.done():
            raise ConnectionLost
        number = next(self._numbers)
        reply: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._waiting[number] = (reply, answered)
        try:
            # Who does not answer is as good as gone: another socket may do better.
            async with asyncio.timeout(seconds):
                self._sent_at = self._loop.time()
                frame = {"id": number, "op": op, "d": d}
                await self.transport.send(_encoder.encode(frame).decode())
                answer = await reply
        except TimeoutError:
            self._end(Close.NO_PONG)
            raise ConnectionLost from None
        except Closed as closed:
            self._end(closed.code)
            raise ConnectionLost from None
        finally:
            del self._waiting[number]
        if "ok" in answer:
            return answer["ok"]
        if "err" in answer:
            raise Refused(answer["err"])
        raise ConnectionLost

    async def close(self) -> None:
        """Close the socket, whatever its state; nothing of it is left behind."""
        self._end(1000)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.transport.close()

    async def _read(self) -> None:
        try:
            while True:
                self._take(_decoder.decode(await self.transport.receive()))
        except Closed as closed:
            self._end(closed.code)
        except msgspec.DecodeError:
            self._end(Close.BAD_FRAME)

    def _take(self, frame: dict[str, Any]) -> None:
        if "id" not in frame:
            self._pushed(self, frame)
            return
        reply, answered = self._waiting.get(frame["id"], (None, None))
        if reply is None or reply.done():
            return
        if answered and "ok" in frame:
            answered(frame["ok"])
        reply.set_result(frame)

    async def _ping(self) -> None:
        while not self.over.done():
            idle = self._loop.time() - self._sent_at
            if idle < PING_SECONDS:
                await asyncio.sleep(max(0.1, PING_SECONDS - idle))
                continue
            try:
                await self.request("ping", {}, seconds=PONG_SECONDS)
            except (Refused, ConnectionLost):
                continue  # told that we are too fast, or over

    def _end(self, code: int) -> None:
        if self.over.done():
            return
        self.over.set_result(code)
        for reply, _ in self._waiting.values():
            if not reply.done():
                reply.set_result({})
