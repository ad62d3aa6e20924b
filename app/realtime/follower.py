"""Follows Redis for a hub: one connection to hear, subscribed to what it needs, one to speak.

Hints and what is ephemeral come this way, so that whatever is lost here is only later, never
missing; a signal that is lost its sender repeats.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from random import SystemRandom
from secrets import token_hex
from time import perf_counter
from typing import Any

import hiredis

from app import metrics
from app.realtime import hints
from app.realtime.redis_link import RedisLink

logger = logging.getLogger(__name__)

_SILENCE = 5.0
_LONGEST_PAUSE = 2.0
_PREFIX = hints.STREAM_CHANNEL.encode()
_HEAD = 64
"""Bytes of a hint, in which the epoch and the offset of its first event are: of no other hint."""
_REMEMBERED = 256
"""Hints that were told: of a stream that nobody here listens to, Redis says nothing."""
GATEWAY_CHANNEL = "parley:gateway:"
"""And an address: what is for the sockets of that process alone."""


class Follower:
    """`run` until cancelled. `heard` gets each hint; `caught_up_from` each stream's name at the
    moment from which its hints arrive: what was committed before is in the log alone."""

    def __init__(
        self,
        url: str,
        *,
        streams: Callable[[], Iterable[str]],
        heard: Callable[[str, bytes], None],
        caught_up_from: Callable[[str], None],
    ) -> None:
        self._url = url
        self.address = token_hex(8)
        self._streams = streams
        self._heard = heard
        self._caught_up_from = caught_up_from
        self._ear: RedisLink | None = None
        self._mouth: RedisLink | None = None
        # Where something was said that is not answered yet; of hints, when.
        self._said: deque[tuple[str, float | None]] = deque()
        # How what was told begins, the latest last: Redis says it to us as well.
        self._told: dict[bytes, None] = {}
        self._heard_something = False
        self._awaited: dict[str, asyncio.Future[None]] = {}

    @property
    def connected(self) -> bool:
        return self._ear is not None

    def subscribe(self, stream: str) -> None:
        """Ask for the stream's hints; while Redis is away, `run` does when it is back."""
        if self._ear is not None:
            self._ear.say(b"SUBSCRIBE", _PREFIX + stream.encode())

    def unsubscribe(self, stream: str) -> None:
        if self._ear is not None:
            self._ear.say(b"UNSUBSCRIBE", _PREFIX + stream.encode())

    async def listening(self, stream: str) -> None:
        """Subscribe, and return once everything published from now on is heard, or Redis is away.

        Whoever asks keeps the stream among `streams` afterwards, or unsubscribes.
        """
        if self._ear is None:
            return
        done = self._awaited.get(stream)
        if done is None:
            done = self._awaited[stream] = asyncio.get_running_loop().create_future()
            self.subscribe(stream)
        await asyncio.wait({done}, timeout=_SILENCE)

    def publish(self, stream: str, payload: bytes) -> bool:
        """Tell the hubs of all processes, ours too; False if Redis is away."""
        return self._say(hints.STREAM_CHANNEL + stream, payload)

    def post(self, address: str, payload: bytes) -> bool:
        """Tell the hub of one process; False if Redis is away."""
        return self._say(GATEWAY_CHANNEL + address, payload)

    def tell(self, batch: Iterable[hints.Hint]) -> None:
        """Tell the hubs of all other processes of what was committed, or that they read it in the
        log where Redis goes away meanwhile. Events are not heard by `heard` again."""
        for channel, payload, events in batch:
            if not self._say(channel, payload, perf_counter()):
                hints.missed([channel])
            elif events:
                self._told[payload[:_HEAD]] = None
                if len(self._told) > _REMEMBERED:
                    del self._told[next(iter(self._told))]

    def _say(self, channel: str, payload: bytes, since: float | None = None) -> bool:
        if self._mouth is None:
            return False
        self._said.append((channel, since))
        self._mouth.say(b"PUBLISH", channel.encode(), payload)
        return True

    def _answered(self, _: Any) -> None:
        """Redis answers in the order in which it was told."""
        _, since = self._said.popleft()
        if since is not None:
            metrics.HINT.observe(perf_counter() - since)

    async def run(self) -> None:
        """Listen, and connect again after every failure."""
        pause = 0.1
        while True:
            try:
                await self._follow()
                pause = 0.1
            except (OSError, TimeoutError, hiredis.HiredisError) as error:
                logger.warning("redis_unavailable", extra={"error": type(error).__name__})
            await asyncio.sleep(SystemRandom().uniform(0, pause))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _follow(self) -> None:
        """Return when either connection ended; a silent one is asked for a sign."""
        mouth = await RedisLink.opened(self._url, self._answered)
        ear = None
        try:
            ear = await RedisLink.opened(self._url, self._reply)
            ours = hints.CONTROL_CHANNEL, hints.LOG_CHANNEL, GATEWAY_CHANNEL + self.address
            ear.say(b"SUBSCRIBE", *(name.encode() for name in ours))
            # From here on a new stream subscribes by itself; those that are there do now.
            self._ear, self._mouth = ear, mouth
            if names := [_PREFIX + name.encode() for name in self._streams()]:
                ear.say(b"SUBSCRIBE", *names)
            while not ear.ended.done() and not mouth.ended.done():
                self._heard_something = False
                await asyncio.wait(
                    {ear.ended, mouth.ended},
                    timeout=_SILENCE,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not self._heard_something:
                    ear.say(b"PING")
                    await asyncio.wait({ear.ended, mouth.ended}, timeout=_SILENCE)
                    if not self._heard_something:
                        break
            logger.warning("redis_unavailable", extra={"error": "disconnected"})
        finally:
            self._ear = self._mouth = None
            hints.missed({channel for channel, _ in self._said})
            self._said.clear()
            for link in (ear, mouth):
                if link is not None:
                    link.close()
            for done in self._awaited.values():
                if not done.done():
                    done.set_result(None)
            self._awaited.clear()

    def _reply(self, reply: Any) -> None:
        self._heard_something = True
        if not isinstance(reply, list) or len(reply) != 3:
            return
        kind, channel, payload = reply
        if kind == b"message":
            if payload[:_HEAD] in self._told:
                del self._told[payload[:_HEAD]]
            else:
                self._heard(channel.decode(), payload)
        elif kind == b"subscribe" and channel.startswith(_PREFIX):
            stream = channel[len(_PREFIX) :].decode()
            if (done := self._awaited.pop(stream, None)) and not done.done():
                done.set_result(None)
            self._caught_up_from(stream)
