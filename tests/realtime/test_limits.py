"""What many sockets, slow work and odd clients may do to the others: nothing."""

import asyncio
import json
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from django.db import connection
from pytest_django import Settings
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as async_connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from app.accounts.models import Organization, Session, SessionKind, User
from app.realtime.lanes import connections_needed
from app.realtime.protocol import MAX_SOCKETS_PER_USER, MAX_SUBSCRIPTIONS, Close, Code
from app.realtime.services import issue_ticket
from tests.cast import join
from tests.chat.talk import room, say
from tests.live import LiveDatabase
from tests.realtime.speaker import Refused, bearer, connected, opened, ticket
from tests.server import GatewayServer, WebServer
from tests.stack import Stack

SOCKETS = 60
THREADS = 3


class SmallServer(GatewayServer):
    """One that is full soon."""

    name = "small"

    def environment(self) -> dict[str, str]:
        limits = {"GATEWAY_SOCKETS": str(SOCKETS), "GATEWAY_THREADS": str(THREADS)}
        return super().environment() | limits


class CountedServer(GatewayServer):
    """One whose connections bear its name."""

    name = "counted"

    def environment(self) -> dict[str, str]:
        return super().environment() | {"PGAPPNAME": self.name}


@pytest.fixture(scope="module")
def server(live_db: LiveDatabase, stack: Stack) -> Iterator[WebServer]:
    with SmallServer.running(live_db, stack.redis, stack) as running:
        yield running


def worker_of(server: WebServer) -> int:
    """The process that serves: gunicorn's child."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue
            if parent == server.pid:
                return int(entry.name)
    raise AssertionError("no worker")


def memory_of(pid: int) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_one_socket_more_than_a_user_may_have_is_closed(server: WebServer, alice: User) -> None:
    with ExitStack() as sockets:
        mine = [
            sockets.enter_context(connected(server.base_url, alice))
            for _ in range(MAX_SOCKETS_PER_USER)
        ]
        with opened(server.base_url) as one_more:
            one_more.post("connect", ticket=ticket(server.base_url, bearer(alice)))
            assert one_more.close_code() == Close.TOO_MANY
        assert all(each.ask("ping") == {} for each in mine)
        mine[0].socket.close()
        # The place is free as soon as the server has seen the close.
        deadline = time.monotonic() + 15
        while True:
            try:
                with connected(server.base_url, alice):
                    return
            except ConnectionClosed:
                assert time.monotonic() < deadline


def test_a_socket_has_so_many_subscriptions(server: WebServer, alice: User) -> None:
    rooms = [room(alice, name=f"ward-{number}").pk for number in range(MAX_SUBSCRIPTIONS // 2)]
    with connected(server.base_url, alice) as a:
        for number, conversation in enumerate(rooms):
            for kind in ("conversation", "voice"):
                if number > 40:
                    time.sleep(0.11)  # within the rate
                a.sub(f"{kind}:{conversation}")
        with pytest.raises(Refused, match=str(MAX_SUBSCRIPTIONS)):
            a.sub(f"user:{alice.pk}")
        a.ask("unsub", s=f"voice:{rooms[0]}")
        a.sub(f"user:{alice.pk}")


def test_channels_2165_daphne_67_a_full_process_says_so_at_once(
    server: WebServer, alice: User
) -> None:
    with connected(server.base_url, alice) as a, ExitStack() as sockets:
        for _ in range(SOCKETS - 1):
            sockets.enter_context(opened(server.base_url))

        assert asyncio.run(knock_all_at_once(server.port, 1000)) == Counter({503: 1000})
        assert a.ask("ping") == {}
        with urllib.request.urlopen(f"{server.base_url}/healthz", timeout=15) as health:
            assert health.status == 200


async def knock_all_at_once(port: int, count: int) -> Counter[int]:
    """Handshakes of which none waits for another's answer; the statuses that come back."""
    asked = handshake(port)

    async def knock() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked)
        line = await asyncio.wait_for(reader.readline(), 30)
        writer.close()
        await writer.wait_closed()
        return int(line.split()[1])

    return Counter(await asyncio.gather(*(knock() for _ in range(count))))


def handshake(port: int) -> bytes:
    """RFC 6455, 4.1, with the key of its example."""
    return (
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: rt.v1\r\n\r\n"
    ).encode()


def test_what_was_said_before_the_handshake_was_answered_is_not_believed(
    server: WebServer, alice: User
) -> None:
    """A client waits for the 101 (RFC 6455, 4.1). Who does not is not signed in, and closed."""
    given = ticket(server.base_url, bearer(alice))
    connects = {"id": 1, "op": "connect", "d": {"ticket": given, "client": "test/1"}}

    def frame(command: dict[str, object]) -> bytes:
        return Frame(Opcode.TEXT, json.dumps(command).encode()).serialize(mask=True)

    with (
        connected(server.base_url, alice) as other,
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as client,
    ):
        client.sendall(handshake(server.port) + frame(connects))
        answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 101 ")
        client.sendall(frame({"id": 2, "op": "ping", "d": {}}))
        while b"\x88\x02" not in answer:  # a close frame (5.5.1)
            part = client.recv(65536)
            assert part, answer
            answer += part
        assert b'"ok"' not in answer
        assert other.ask("ping") == {}


def test_channels_871_1206_950_sockets_stay_within_the_configured_connections(
    live_db: LiveDatabase, stack: Stack, settings: Settings, organization: Organization
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    people = [join(organization, f"member-{number}") for number in range(950 // 8 + 1)]
    sessions = Session.objects.bulk_create(
        [Session(user=person, kind=SessionKind.API) for person in people]
    )
    seats = [session for session in sessions for _ in range(MAX_SOCKETS_PER_USER)][:950]
    with CountedServer.running(live_db, stack.redis, stack) as server:
        most = asyncio.run(sit_down_and_ask(server, live_db, seats))
    assert 0 < most <= connections_needed()


async def sit_down_and_ask(
    server: GatewayServer, database: LiveDatabase, seats: Sequence[Session]
) -> int:
    """Open a socket each, ask all at once for what needs the database, and return how many
    connections to it there were at most; every one is answered."""
    url = server.base_url.replace("http", "ws") + "/ws"

    async def sit(given: str) -> ClientConnection:
        socket = await async_connect(
            url, subprotocols=[Subprotocol("rt.v1")], compression=None, proxy=None
        )
        await socket.recv()
        await socket.send(json.dumps({"id": 1, "op": "connect", "d": {"ticket": given}}))
        assert '"ok"' in str(await socket.recv())
        return socket

    async def ask(socket: ClientConnection) -> None:
        reaction = {"id": str(uuid4()), "emoji": "👍", "on": True}
        await socket.send(json.dumps({"id": 2, "op": "react", "d": reaction}))
        while '"id":2' not in (answer := str(await socket.recv())):
            pass
        assert '"not_found"' in answer

    sockets: list[ClientConnection] = []
    for at in range(0, len(seats), 190):
        tickets = await asyncio.to_thread(tickets_of, seats[at : at + 190])
        sockets += await asyncio.gather(*map(sit, tickets))
        # Who says nothing for too long is put out, and all of them take a while.
        await asyncio.gather(*(socket.send('{"id":3,"op":"ping","d":{}}') for socket in sockets))
    asking = asyncio.gather(*map(ask, sockets))
    seen = [await asyncio.to_thread(connections_to, database)]
    while not asking.done():
        await asyncio.sleep(0.1)
        seen.append(await asyncio.to_thread(connections_to, database))
    await asking
    await asyncio.gather(*(socket.close() for socket in sockets))
    return max(seen)


def tickets_of(sessions: Iterable[Session]) -> list[str]:
    """As `POST /api/realtime/ticket` gives them."""
    try:
        return [
            issue_ticket(
                user=session.user_id,
                organization=session.user.organization_id,
                session=session.pk,
                origin="",
            )
            for session in sessions
        ]
    finally:
        connection.close()


def connections_to(database: LiveDatabase) -> int:
    """Those of the counted server, whoever else is connected to its database."""
    asking = psycopg2.connect(database.superuser_url)
    try:
        with asking.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s",
                [CountedServer.name],
            )
            return int(cursor.fetchone()[0])  # type: ignore[index]
    finally:
        asking.close()


def test_channels_2132_a_command_that_waits_moves_nobody_else(
    server: WebServer, live_db: LiveDatabase, alice: User, bob: User, mallory: User
) -> None:
    ward = room(alice, bob, mallory)
    held = say(alice, ward, "held")
    with (
        connected(server.base_url, alice) as a,
        connected(server.base_url, bob) as b,
        connected(server.base_url, mallory) as m,
    ):
        b.sub(f"conversation:{ward.pk}")
        with psycopg2.connect(live_db.superuser_url) as slow, slow.cursor() as cursor:
            cursor.execute("SELECT 1 FROM chat_message WHERE id = %s FOR UPDATE", [str(held.id)])
            waiting = a.post("edit", id=str(held.id), body="later", revision=1)
            until = time.monotonic() + 5
            # While that row is locked: deliveries, sends, commands and admission go on.
            elsewhere = room(bob, mallory, name="elsewhere")
            m.sub(f"conversation:{elsewhere.pk}")
            rounds = 0
            while time.monotonic() < until:
                b.send(elsewhere.pk, f"{rounds}")
                assert m.push("message.created")["d"]["body"] == f"{rounds}"
                m.ask("read", conversation=str(elsewhere.pk), offset=rounds)
                if rounds % 10 == 0:
                    with connected(server.base_url, mallory) as late:
                        late.sub(f"conversation:{ward.pk}")
                rounds += 1
                time.sleep(0.05)  # below what one may send a second
            m.ask("typing", conversation=str(ward.pk))
            assert rounds > 10
        slow.close()
        assert a.reply(waiting)["revision"] == 2
        assert b.push("message.edited")["d"]["body"] == "later"


def test_channels_1361_1703_2094_two_thousand_connections_leave_nothing_behind(
    server: WebServer,
) -> None:
    url = server.base_url.replace("http", "ws") + "/ws"

    def cycle(count: int) -> None:
        for number in range(count):
            with connect(url, subprotocols=["rt.v1"], compression=None) as socket:  # type: ignore[list-item]
                socket.recv(timeout=15)
                if number % 4 == 0:
                    socket.socket.close()  # without a goodbye

    def cycles(each: int) -> None:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(cycle, [each] * 4))

    cycles(100)  # what is made once is made
    worker = worker_of(server)
    before = memory_of(worker)
    cycles(500)
    # A socket that stayed would be 20 KB, and these 40 MB.
    assert memory_of(worker) - before < 10_000_000


def test_mattermost_30388_an_unknown_epoch_is_answered_once(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, bob) as b:
        answer = b.sub(f"conversation:{ward.pk}", "0" * 16, 5)
        assert answer["recovered"] is False
        say(alice, ward, "after it")
        assert b.push("message.created")["o"] == answer["o"] + 1
        assert b.pushes == [], "no resync, no second answer"


def test_mattermost_16505_who_was_offline_has_it_after_coming_back(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    stream = f"conversation:{ward.pk}"
    with connected(server.base_url, bob) as b:
        seen = b.sub(stream)
    with connected(server.base_url, alice) as a:
        for number in range(30):
            a.send(ward.pk, f"{number}")
    with connected(server.base_url, bob) as b:
        assert b.sub(stream, seen["e"], seen["o"])["recovered"] is True
        assert [b.push("message.created")["d"]["body"] for _ in range(30)] == [
            f"{number}" for number in range(30)
        ]


def test_bitwarden_899_no_log_holds_a_credential(server: WebServer, alice: User) -> None:
    token = bearer(alice)
    once = ticket(server.base_url, token)
    with opened(server.base_url) as first:
        first.ask("connect", ticket=once)
    with opened(server.base_url) as second, pytest.raises(Refused) as refused:
        second.ask("connect", ticket=once)
    assert refused.value.code == Code.TICKET_EXPIRED
    url = f"{server.base_url.replace('http', 'ws')}/ws?ticket={once}"
    with connect(url, subprotocols=["rt.v1"], compression=None) as socket:  # type: ignore[list-item]
        socket.recv(timeout=15)
    log = server.log_text()
    assert once not in log
    assert token not in log
