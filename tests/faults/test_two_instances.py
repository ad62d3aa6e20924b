"""Two instances, fifty busy members, and everything that breaks.

After each fault: everyone is connected again, nothing that was acknowledged is lost, twice or
out of order, and nobody is in a room who has gone, nor put out who has not. How long it took
is told (`-rP`, and in the report); the bound that fails a test is generous, as machines are.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from redis import Redis

from app.accounts.services import found_organization
from app.encryption import apart
from app.realtime.client import Client, Position
from app.realtime.client.streams import Phase
from app.realtime.client.transport import ABNORMAL, Closed, Transport, WebSocket
from app.realtime.models import Stream as StreamRow
from app.realtime.protocol import Ack, Close, Durable
from app.voice.access import rosters
from loadtests.device import new_device
from tests.cast import join
from tests.chat.talk import room
from tests.faults.town import (
    AIM_SECONDS,
    FINGERPRINT,
    GHOST_SECONDS,
    PATIENCE,
    Instances,
    Member,
    Town,
    living_in,
)
from tests.live import LiveDatabase
from tests.realtime.client.member import client_of
from tests.server import GatewayServer
from tests.shared_server import live_db
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)

__all__ = ["live_db"]
MEMBERS = 50
CALLERS = 4  # in each of two rooms


@pytest.fixture(scope="module")
def town(live_db: LiveDatabase, stack: Stack) -> Iterator[Town]:
    stack.empty_redis()
    organization = found_organization(slug="town", name="Town")
    users = [join(organization, f"member{number}") for number in range(MEMBERS)]
    square = room(*users, name="square")
    rooms = [room(*users[start : start + CALLERS], name="call") for start in (0, CALLERS)]
    with (
        GatewayServer.running(live_db, stack.redis, stack) as one,
        GatewayServer.running(live_db, stack.redis, stack) as other,
        living_in(Instances((one, other)), square, users) as town,
    ):
        town.until(lambda: all(member.is_connected for member in town.members), "all are there")
        for number, member in enumerate(town.members[: 2 * CALLERS]):
            town.do(town.join(member, rooms[number // CALLERS]))
        yield town


@pytest.fixture(autouse=True)
def _busy_and_whole(town: Town) -> None:
    """Whatever the test before broke is mended."""
    for server in town.instances.servers:
        if not server.is_running:
            server.start()
    acked = len(town.acked)
    town.until(lambda: len(town.acked) > acked + MEMBERS // 2, "members write")


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[float, str], None]:
    def tell(seconds: float, compared: str) -> None:
        record_property("connected_again_seconds", round(seconds, 2))
        print(f"connected again after {seconds:.1f} s (aim: {AIM_SECONDS:.0f} s); {compared}")

    return tell


Report = Callable[[float, str], None]


def test_channels_redis_89_fifty_writers_at_once_are_heard_by_all_in_the_same_order(
    town: Town, report: Report
) -> None:
    report(0.0, town.check())


def test_channels_293_a_killed_instance_leaves_no_ghost_in_a_room_and_loses_nothing(
    town: Town, report: Report
) -> None:
    victim, _ = town.instances.servers
    ward = town.members[0].room
    assert ward
    conversation = str(ward.pk)
    ghost = client_of(town.members[0].user, victim.base_url)
    pid = town.do(vanishing(ghost, conversation))
    assert pid in rosters([conversation])[conversation]
    broken_at = time.monotonic()
    victim.kill()
    seconds = town.connected_again_after(broken_at)
    town.until(lambda: pid not in rosters([conversation])[conversation], "the ghost is gone")
    gone = time.monotonic() - broken_at
    report(seconds, f"{town.check()}; the ghost left after {gone:.1f} s (aim: {GHOST_SECONDS})")
    victim.start()


async def vanishing(client: Client, conversation: str) -> str:
    """Join from another device, and never say a word again. Returns its pid."""
    async with client:
        return (await client.join(conversation, new_device(), FINGERPRINT)).pid


def test_daphne_177_an_instance_that_is_told_to_go_loses_nothing(
    town: Town, report: Report
) -> None:
    going, _ = town.instances.servers
    broken_at = time.monotonic()
    going.terminate()
    report(town.connected_again_after(broken_at), town.check())
    going.start()


def test_channels_redis_256_the_link_for_hints_is_cut_four_times_under_load(
    town: Town, stack: Stack, report: Report
) -> None:
    broken_at = time.monotonic()
    with Redis.from_url(stack.redis.url) as redis:
        for _ in range(4):
            cut = redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            assert cut >= 1, "nobody was listening to hints"
            time.sleep(1.0)
    report(town.connected_again_after(broken_at), town.check())


def test_channels_redis_20_a_redis_that_comes_back_empty_is_missed_by_nobody(
    town: Town, stack: Stack, report: Report
) -> None:
    broken_at = time.monotonic()
    stack.redis.stop()
    time.sleep(2.0)
    town.rest()  # no later hint will tell that those of now are missing
    stack.redis.start()
    report(town.connected_again_after(broken_at), town.check())


def test_a_postgresql_that_restarts_has_everything_that_was_acknowledged(
    town: Town, stack: Stack, report: Report
) -> None:
    connection.close()
    apart.disconnect()
    broken_at = time.monotonic()
    stack.restart_postgresql()
    town.until_the_database_answers()
    acked = len(town.acked)
    town.until(lambda: len(town.acked) > acked + MEMBERS, "members write again")
    report(town.connected_again_after(broken_at), town.check())


def test_reactivetradercloud_1954_every_socket_expires_at_once_and_nobody_is_ever_without_one(
    town: Town, report: Report
) -> None:
    before = [member.client.link for member in town.members]
    broken_at = time.monotonic()
    town.do(renew_all(town))
    town.until(
        lambda: all(
            member.client.link is not old for member, old in zip(town.members, before, strict=True)
        ),
        "everybody has another socket",
    )
    seconds = town.connected_again_after(broken_at)
    assert not [member for member in town.members if member.lost_since(broken_at)]
    report(seconds, town.check())


async def renew_all(town: Town) -> None:
    for member in town.members:
        member.client.renew()


def test_every_socket_is_cut_at_once(town: Town, report: Report) -> None:
    broken_at = time.monotonic()
    town.do(cut_all(town))
    report(town.connected_again_after(broken_at), town.check())


async def cut_all(town: Town) -> None:
    for member in town.members:
        wire: Any = member.client.link and member.client.link.transport
        if wire:
            wire.socket.transport.abort()


SLOW_WRITERS, SLOW_BURST = 8, 90


def test_channels_redis_131_a_slow_reader_is_cut_off_and_misses_nothing(
    town: Town, report: Report
) -> None:
    slow, *writers = town.members[-1 - SLOW_WRITERS :]
    pool = room(slow.user, *(writer.user for writer in writers), name="pool")
    name = f"conversation:{pool.pk}"
    row = StreamRow.objects.get(name=name)
    stalling = Stalling(town.instances)
    client = client_of(slow.user, town.instances.next_url, open_=stalling.open)
    broken_at = time.monotonic()
    work = read_slowly(client, Position(row.epoch, row.top), name, stalling, writers)
    heard, acks = town.do(work, 2 * PATIENCE)
    assert [event.o for event in heard] == list(range(row.top + 1, row.top + 1 + len(acks)))
    assert {event.d["id"]: event.o for event in heard} == {ack.id: ack.offset for ack in acks}
    assert len(stalling.codes) > 0, "it was never cut off"
    assert stalling.codes[0] in {Close.SLOW, ABNORMAL}
    report(town.connected_again_after(broken_at), f"{town.check()}; {len(heard)} to a slow one")


async def read_slowly(
    client: Client, position: Position, name: str, stalling: "Stalling", writers: list[Member]
) -> tuple[list[Durable], list[Ack]]:
    """Listen, but read nothing while more is written than the server keeps for one."""
    conversation = name.partition(":")[2]
    async with client:
        stream = client.follow(name, position)
        while stream.phase is not Phase.LIVE:
            await asyncio.sleep(0.05)
        stalling.reading.clear()
        bodies = [f"{number}{'.' * 15_000}" for number in range(SLOW_BURST)]
        acks = await asyncio.gather(
            *(writer.client.send(conversation, body) for body in bodies for writer in writers)
        )
        stalling.reading.set()
        heard = [await anext(stream) for _ in acks]
    return [event for event in heard if isinstance(event, Durable)], list(acks)


class Stalling:
    """Opens sockets with little memory of their own, unread while `reading` is clear."""

    def __init__(self, instances: Instances) -> None:
        self.reading = asyncio.Event()
        self.reading.set()
        self.codes: list[int] = []
        self._instances = instances

    async def open(self) -> Transport:
        url = self._instances.next_url().replace("http", "ws") + "/ws"
        parts = urlsplit(url)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
        wire = await Stalled.open(url, sock=sock)
        wire.stalling = self
        return wire


class Stalled(WebSocket):
    stalling: Stalling

    async def receive(self) -> str | bytes:
        await self.stalling.reading.wait()
        try:
            return await super().receive()
        except Closed as closed:
            self.stalling.codes.append(closed.code)
            raise
