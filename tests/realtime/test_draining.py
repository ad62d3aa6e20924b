"""daphne 177, channels 922: SIGTERM asks to reconnect, one after the other, then closes."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from app.accounts.models import User
from app.chat.models import Message
from app.realtime.protocol import Close
from tests.chat.talk import room
from tests.live import LiveDatabase
from tests.realtime.speaker import Speaker, connected
from tests.server import GatewayServer, WebServer
from tests.stack import Stack


@pytest.fixture(params=[GatewayServer, WebServer], ids=["production", "one machine"])
def server(
    request: pytest.FixtureRequest, live_db: LiveDatabase, stack: Stack
) -> Iterator[WebServer]:
    with request.param.running(live_db, stack.redis, stack) as running:
        yield running


@pytest.fixture
def stopping(server: WebServer) -> Iterator[threading.Thread]:
    """SIGTERM, once it is started; waits for the end of the process."""
    thread = threading.Thread(target=server.terminate)
    yield thread
    thread.join(timeout=30)
    assert not thread.is_alive()


def test_sigterm_asks_to_reconnect_and_then_closes(
    server: WebServer, stopping: threading.Thread, alice: User, bob: User
) -> None:
    with connected(server.base_url, alice) as a, connected(server.base_url, bob) as b:
        stopping.start()
        assert a.push("reconnect")["d"].keys() == {"after_ms"}
        assert b.push("reconnect")["d"]["after_ms"] >= 0
        assert a.close_code() == Close.DRAIN
        assert b.close_code() == Close.DRAIN


def test_nobody_is_let_in_while_it_goes(
    server: WebServer, stopping: threading.Thread, alice: User
) -> None:
    url = server.base_url.replace("http", "ws") + "/ws"
    with connected(server.base_url, alice) as a:
        stopping.start()
        a.push("reconnect")
        with (
            pytest.raises((InvalidStatus, OSError)),
            connect(url, subprotocols=["rt.v1"], compression=None),  # type: ignore[list-item]
        ):
            pass


def test_sigterm_under_load_loses_nothing_that_was_acknowledged(
    server: WebServer, stopping: threading.Thread, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    acked: list[str] = []

    def write(speaker: Speaker) -> None:
        try:
            while True:
                acked.append(speaker.send(ward.pk, "text")["id"])
        except ConnectionClosed as closed:
            codes.append(closed.rcvd.code if closed.rcvd else None)
        except Exception as error:  # refused for its rate: go on until the close
            codes.append(error)

    codes: list[object] = []
    with ExitStack() as sockets:
        speakers = [sockets.enter_context(connected(server.base_url, u)) for u in (alice, bob)]
        threads = [threading.Thread(target=write, args=(each,)) for each in speakers]
        for thread in threads:
            thread.start()
        while len(acked) < 10:
            time.sleep(0.02)
        stopping.start()
        for thread in threads:
            thread.join(timeout=30)
    assert codes
    assert len(acked) == len(set(acked))
    kept = {
        str(pk) for pk in Message.objects.filter(conversation=ward).values_list("pk", flat=True)
    }
    assert set(acked) <= kept


def test_a_send_that_is_under_way_at_sigterm_is_answered(
    server: WebServer, stopping: threading.Thread, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    with connected(server.base_url, alice) as a:
        numbers = [
            a.post("send", conversation=str(ward.pk), id=str(uuid4()), body="text")
            for _ in range(60)
        ]
        stopping.start()
        offsets = [a.reply(number)["offset"] for number in numbers]
        assert len(set(offsets)) == 60
        assert a.close_code() == Close.DRAIN


class Watched(GatewayServer):
    """gunicorn's word is asked for every second."""

    def command(self) -> list[str]:
        return [*super().command(), "--timeout", "2"]


def test_a_worker_goes_when_gunicorn_was_killed(
    live_db: LiveDatabase, stack: Stack, alice: User
) -> None:
    with Watched.running(live_db, stack.redis, stack) as server:
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
        worker = Path("/proc") / children.strip()
        with connected(server.base_url, alice) as a:
            os.kill(server.pid, signal.SIGKILL)
            assert a.close_code() == Close.DRAIN
        until = time.monotonic() + 30
        while worker.exists() and time.monotonic() < until:
            time.sleep(0.1)
        assert not worker.exists()
