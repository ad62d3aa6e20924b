"""Who of an organization is shown how, over all processes.

Each process tells Redis about its own people, and reads what all have told, about once a
second; what a process told lapses by Redis' clock when it is not repeated, so that nobody
stays behind after a kill. Listeners hear only differences, all of a second together; who was
reading too slowly for one hears the whole again as soon as they read.
"""

import asyncio
import logging
import secrets
from collections import defaultdict
from random import SystemRandom
from typing import Any, Literal

import hiredis
import msgspec
import redis.asyncio
import redis.exceptions
from django.conf import settings

from app.realtime import protocol
from app.realtime.channel import Subscriber
from app.realtime.frames import text_frame
from app.realtime.hub import Hub
from app.realtime.socket import Socket

logger = logging.getLogger(__name__)

PREFIX = "presence:"
SECONDS = (0.8, 1.2)
KEPT_SECONDS = 10
TIMEOUT = 2.0

State = Literal["active", "away", "offline"]
People = dict[str, State]

_TELL = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1]); redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
  redis.call('HDEL', KEYS[1], gone); redis.call('ZREM', KEYS[2], gone)
end
redis.call('EXPIRE', KEYS[1], 10 * tonumber(ARGV[3]))
redis.call('EXPIRE', KEYS[2], 10 * tonumber(ARGV[3]))
return redis.call('HVALS', KEYS[1])
"""
"""Hash of what each process tells, and when each lapses. Returns what all tell now."""


class Presence:
    """`run` until cancelled; `shown` and `left` from the same event loop."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._me = secrets.token_hex(8)
        self._here: dict[str, set[Socket]] = defaultdict(set)
        self._told: dict[str, People] = {}
        self._stale: dict[str, set[Subscriber]] = defaultdict(set)
        """Who missed something of an organization that is told here."""
        self._client: Any = None
        hub.on_listener = self._welcome

    def shown(self, socket: Socket, state: Literal["active", "away"]) -> None:
        """Show the person at `socket` as `state`, until its end."""
        socket.presence = state
        self._here[str(socket.principal.organization)].add(socket)

    def left(self, socket: Socket) -> None:
        if socket.presence is not None:
            self._here[str(socket.principal.organization)].discard(socket)

    def _welcome(self, socket: Subscriber, stream: str) -> None:
        """Whoever begins to listen gets the whole, if it is known here, else with the next look."""
        if stream.startswith(PREFIX):
            organization = stream.removeprefix(PREFIX)
            people = self._told.get(organization)
            if people is not None and not socket.hint(
                text_frame(_push(stream, people, whole=True))
            ):
                self._stale[organization].add(socket)

    async def run(self) -> None:
        """Tell and look until cancelled; what fails is done with the next look."""
        self._client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
        )
        tell = self._client.register_script(_TELL)
        try:
            while True:
                await asyncio.sleep(SystemRandom().uniform(*SECONDS))
                listened = {
                    name.removeprefix(PREFIX)
                    for name in self._hub.streams()
                    if name.startswith(PREFIX)
                }
                for organization in sorted(listened | self._here.keys() | self._told.keys()):
                    try:
                        await self._look(tell, organization, organization in listened)
                    except (redis.exceptions.RedisError, hiredis.HiredisError, OSError) as error:
                        extra = {"error": type(error).__name__}
                        logger.warning("presence_waits", extra=extra)
                        break
        finally:
            await self._client.aclose()

    async def _look(self, tell: Any, organization: str, listened: bool) -> None:
        here = self._people_here(organization)
        keys = [f"parley:{{presence:{organization}}}:{kind}" for kind in ("told", "until")]
        mine = msgspec.json.encode(here) if here else b""
        told = await tell(keys=keys, args=[self._me, mine, KEPT_SECONDS])
        now = _merged([msgspec.json.decode(one, type=People) for one in told])
        if not self._here.get(organization):
            self._here.pop(organization, None)
        if listened:
            before, self._told[organization] = self._told.get(organization), now
            self._tell(organization, before, now)
        else:
            self._told.pop(organization, None)
            self._stale.pop(organization, None)

    def _tell(self, organization: str, before: People | None, now: People) -> None:
        stream, stale = PREFIX + organization, self._stale.pop(organization, set())
        changed = now if before is None else _difference(before, now)
        if changed or before is None:
            shed = self._hub.hand_out(stream, _push(stream, changed, whole=before is None))
        else:
            shed = set()
        if late := {socket for socket in stale - shed if stream in socket.streams}:
            frame = text_frame(_push(stream, now, whole=True))
            shed |= {socket for socket in late if not socket.hint(frame)}
        if shed:
            self._stale[organization] = shed

    def _people_here(self, organization: str) -> People:
        sockets = self._here.get(organization, set())
        return _merged([{socket.user: socket.presence} for socket in sockets if socket.presence])


def _difference(before: People, now: People) -> People:
    changed: People = {user: state for user, state in now.items() if before.get(user) != state}
    return changed | dict.fromkeys(before.keys() - now.keys(), "offline")


def _merged(told: list[People]) -> People:
    """Who is active anywhere is active."""
    merged: People = {}
    for people in told:
        for user, state in people.items():
            if merged.get(user) != "active":
                merged[user] = state
    return merged


def _push(stream: str, people: People, *, whole: bool) -> bytes:
    return protocol.ephemeral(stream, protocol.PresenceNow(people, whole))
