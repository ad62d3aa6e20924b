"""Follows Redis for a hub: one connection a process, subscribed to the streams it needs.

Hints alone come this way, so that whatever is lost here is only later, never missing.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable

import redis.asyncio
import redis.exceptions

from app.realtime import hints

logger = logging.getLogger(__name__)

_SILENCE = 5.0
_LONGEST_PAUSE = 2.0


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
        self._streams = streams
        self._heard = heard
        self._caught_up_from = caught_up_from
        self._pubsub: redis.asyncio.client.PubSub | None = None
        self._requests: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        return self._pubsub is not None

    def subscribe(self, stream: str) -> None:
        """Ask for the stream's hints; while Redis is away, `run` does when it is back."""
        self._ask("subscribe", stream)

    def unsubscribe(self, stream: str) -> None:
        self._ask("unsubscribe", stream)

    async def run(self) -> None:
        """Listen, and connect again after every failure."""
        pause = 0.1
        while True:
            client = redis.asyncio.Redis.from_url(self._url, socket_connect_timeout=2)
            try:
                async with client.pubsub() as pubsub:
                    await pubsub.subscribe(hints.CONTROL_CHANNEL, hints.LOG_CHANNEL)
                    # From here on a new stream subscribes by itself; those that are there do now.
                    self._pubsub = pubsub
                    if names := [hints.STREAM_CHANNEL + name for name in self._streams()]:
                        await pubsub.subscribe(*names)
                    pause = 0.1
                    await self._listen(pubsub)
            except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
                logger.warning("redis_unavailable", extra={"error": type(error).__name__})
            finally:
                self._pubsub = None
                await client.aclose()
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - spreads load
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _listen(self, pubsub: redis.asyncio.client.PubSub) -> None:
        """Hear messages until the connection breaks; a silent one is asked for a sign."""
        while True:
            message = await pubsub.get_message(timeout=_SILENCE)
            if message is None:
                await pubsub.ping()
                continue
            name = message["channel"].decode() if message["channel"] else ""
            if message["type"] == "message":
                self._heard(name, message["data"])
            elif message["type"] == "subscribe" and name.startswith(hints.STREAM_CHANNEL):
                self._caught_up_from(name.removeprefix(hints.STREAM_CHANNEL))

    def _ask(self, verb: str, stream: str) -> None:
        if self._pubsub is not None:
            task = asyncio.create_task(self._carry_out(self._pubsub, verb, stream))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)

    async def _carry_out(self, pubsub: redis.asyncio.client.PubSub, verb: str, stream: str) -> None:
        try:
            await getattr(pubsub, verb)(hints.STREAM_CHANNEL + stream)
        except (redis.exceptions.RedisError, OSError) as error:
            # `_listen` on the same connection notices too; then `run` asks for all anew.
            logger.warning("redis_unavailable", extra={"error": type(error).__name__})
