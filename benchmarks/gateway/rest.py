"""Messages sent by REST, each in a transaction of its own, beside a plain Django view.

Both are served by the image's command for pages and REST, with as many threads. The plain one
(`benchmarks.plain`) keeps its messages in the clear, without order, delivery or search.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle
from uuid import uuid4

import msgspec
import uvloop
from django.conf import settings
from django.db import connection

from app.accounts.models import Session
from app.accounts.tokens import SessionRefreshToken
from app.chat.models import Message
from app.start import command
from benchmarks.corpus import texts
from benchmarks.figures import Figure, Incorrect
from benchmarks.gateway.cast import Cast
from benchmarks.gateway.http import Poster, request
from benchmarks.gateway.servers import Gateway, used
from benchmarks.gateway.turns import Turn, rate, ratio, turn
from dev.ports import LOOPBACK, accepts
from dev.roles import create_database, drop_database
from tests.live import LiveDatabase
from tests.stack import Database, Stack, running_stack

CONNECTIONS, ROUNDS, SECONDS = 8, 5, 2.0
WARMING = 0.5
TIMES = 3.0


class Web(Gateway):
    """Pages and REST, in the image's command."""

    name = "web"

    def command(self) -> list[str]:
        return command(["web"], {"BIND": LOOPBACK, "PORT": str(self.port)})

    def environment(self) -> dict[str, str]:
        # A proxy of ours has done the TLS.
        here = {"TRUSTED_PROXY_COUNT": "1", "JWT_SIGNING_KEY": settings.JWT_SIGNING_KEY}
        return super().environment() | here


class PlainWeb(Web):
    """`benchmarks.plain` in the same command."""

    name = "plain"

    def command(self) -> list[str]:
        return [word.replace("app.wsgi", "benchmarks.plain.wsgi") for word in super().command()]

    def environment(self) -> dict[str, str]:
        return super().environment() | plain_environment(self.database.owner_url)

    def is_ready(self) -> bool:
        return accepts(self.port)


def plain_environment(url: str) -> dict[str, str]:
    secret: str = settings.SECRET_KEY
    return {
        "DJANGO_SETTINGS_MODULE": "benchmarks.plain.settings",
        "DATABASE_URL": url,
        "SECRET_KEY": secret,
    }


def measure(scale: float) -> Iterator[Figure]:
    stack, rounds = running_stack(), max(1, round(ROUNDS * scale))
    turns: dict[str, list[Turn]] = {"ours": [], "plain": []}
    with (
        stack.fresh_database() as database,
        LiveDatabase(database).acting_as("app"),
        Web.running(LiveDatabase(database), stack.redis, stack) as web,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        plain_database = _plain_database(stack)
        try:
            prepared = _prepare(plain_database)
            with PlainWeb.running(LiveDatabase(plain_database), stack.redis, stack) as plain:
                ours = [Poster(web.port, make) for make in _our_requests()]
                theirs = [Poster(plain.port, make) for make in _plain_requests(prepared)]
                for _ in range(1 + rounds):  # the first is not counted
                    for name, server, posters in (("plain", plain, theirs), ("ours", web, ours)):
                        turns[name].append(runner.run(_work(posters, partial(used, [server]))))
                if Message.objects.count() != sum(one.done for one in ours):
                    raise Incorrect("not as many messages as were answered with 201")
                connection.close()
        finally:
            drop_database(stack.database("postgres").superuser_url, plain_database.name)
    counted = {name: each[1:] for name, each in turns.items()}
    yield rate("a plain Django view, messages by REST", "a CPU second", counted["plain"])
    yield rate("Parley, messages by REST", "a CPU second", counted["ours"])
    yield ratio("messages by REST against a plain view", counted["ours"], counted["plain"], TIMES)


async def _work(posters: Sequence[Poster], used: Callable[[], float]) -> Turn:
    """All post for so long. Raises Incorrect for any answer but 201."""
    for poster in posters:
        await poster.begin()
    await asyncio.sleep(WARMING)
    result = await turn(lambda: sum(one.done for one in posters), used, SECONDS)
    for poster in posters:
        poster.going = False
    async with asyncio.timeout(10):
        while any(one.waiting and one.fault is None for one in posters):
            await asyncio.sleep(0.02)
    if fault := next((one.fault for one in posters if one.fault), None):
        raise fault
    return result


def _our_requests() -> Iterator[Callable[[], bytes]]:
    cast = Cast(CONNECTIONS)
    room = cast.conversation("everyone", cast.people)
    path = f"/api/conversations/{room}/messages"
    for session in Session.objects.select_related("user"):
        headers = {
            "Authorization": f"Bearer {SessionRefreshToken.for_session(session).pair().access}",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-For": LOOPBACK,
        }
        yield _messages(path, headers)


def _plain_requests(prepared: dict[str, object]) -> Iterator[Callable[[], bytes]]:
    for cookies in prepared["cookies"]:  # type: ignore[attr-defined]  # a list
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "X-CSRFToken": cookies["csrftoken"],
        }
        yield _messages(f"/rooms/{prepared['room']}/messages", headers)


def _messages(path: str, headers: dict[str, str]) -> Callable[[], bytes]:
    said = cycle(texts(200))

    def make() -> bytes:
        body = msgspec.json.encode({"id": str(uuid4()), "body": next(said)})
        return request(path, headers, body)

    return make


def _plain_database(stack: Stack) -> Database:
    name = f"plain_{os.getpid()}"
    create_database(stack.database("postgres").superuser_url, name)
    return stack.database(name)


def _prepare(database: Database) -> dict[str, object]:
    """Tables, a room and its members."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.plain.prepare", str(CONNECTIONS)],
        env={**os.environ, **plain_environment(database.owner_url)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"The plain project could not be prepared:\n{done.stderr}")
    prepared: dict[str, object] = json.loads(done.stdout)
    return prepared
