"""What many sockets, slow work and odd clients may do to the others: nothing."""

import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from app.accounts.models import User
from app.realtime.lanes import Lane
from app.realtime.protocol import MAX_SOCKETS_PER_USER, MAX_SUBSCRIPTIONS, Close, Code
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
    url = server.base_url.replace("http", "ws") + "/ws"
    with connected(server.base_url, alice) as a, ExitStack() as sockets:
        for _ in range(SOCKETS - 1):
            sockets.enter_context(opened(server.base_url))

        def knock(_: int) -> int:
            try:
                with connect(url, subprotocols=["rt.v1"], compression=None):  # type: ignore[list-item]
                    return 101
            except InvalidStatus as refused:
                return refused.response.status_code

        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(knock, range(300)))
        assert answers == [503] * 300
        assert a.ask("ping") == {}
        with urllib.request.urlopen(f"{server.base_url}/healthz", timeout=15) as health:
            assert health.status == 200


def test_channels_871_sockets_need_no_connections_to_the_database(
    server: WebServer, live_db: LiveDatabase, alice: User, bob: User
) -> None:
    with ExitStack() as sockets:
        mine = [
            sockets.enter_context(connected(server.base_url, user))
            for user in (alice, bob)
            for _ in range(MAX_SOCKETS_PER_USER)
        ]
        most = 0
        for _ in range(3):
            numbers = [
                (each, each.post("react", id=str(uuid4()), emoji="👍", on=True))
                for each in mine * 2
            ]
            most = max(most, connections_to(live_db))
            for each, number in numbers:
                with pytest.raises(Refused):
                    each.reply(number)
    assert most <= THREADS + len(Lane) - 1


def connections_to(database: LiveDatabase) -> int:
    """Sessions of others; this process's own is not counted."""
    with psycopg2.connect(database.superuser_url) as asking, asking.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> "
            "pg_backend_pid() AND client_port <> ALL(%s)",
            [database.name, own_ports()],
        )
        found = int(cursor.fetchone()[0])  # type: ignore[index]
    asking.close()
    return found


def own_ports() -> list[int]:
    from django.db import connection

    connection.ensure_connection()
    name = connection.connection.get_backend_pid()
    with connection.cursor() as cursor:
        cursor.execute("SELECT client_port FROM pg_stat_activity WHERE pid = %s", [name])
        return [cursor.fetchone()[0]]


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
        done = threading.Event()
        with psycopg2.connect(live_db.superuser_url) as slow, slow.cursor() as cursor:
            cursor.execute("SELECT 1 FROM chat_message WHERE id = %s FOR UPDATE", [str(held.id)])
            waiting = a.post("edit", id=str(held.id), body="later", revision=1)
            time.sleep(0.5)
            # While that row is locked: deliveries, sends, commands and admission go on.
            elsewhere = room(bob, mallory, name="elsewhere")
            for number in range(20):
                b.send(elsewhere.pk, f"{number}")
                m.ask("read", conversation=str(elsewhere.pk), offset=number)
            with connected(server.base_url, mallory) as late:
                late.sub(f"conversation:{ward.pk}")
            m.ask("typing", conversation=str(ward.pk))
            done.set()
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
