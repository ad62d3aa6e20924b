"""The processes that fault tests kill: they come back on the same address and data."""

import time
import urllib.request

from django.db import connection

from dev.redis_server import RedisServer
from tests.live import LiveDatabase
from tests.server import SealerProcess, WebServer


def _alive(server: WebServer) -> bool:
    with urllib.request.urlopen(f"{server.base_url}/healthz", timeout=5) as answer:
        return bool(answer.status == 200)


def test_the_server_can_be_killed_and_started_again(server: WebServer) -> None:
    first = server.pid
    assert _alive(server)
    server.kill()
    assert not server.is_ready()
    server.start()
    assert server.pid != first
    assert _alive(server)


def test_the_server_answers_while_redis_is_down(
    server: WebServer, redis_server: RedisServer
) -> None:
    redis_server.stop()
    assert _alive(server)


def test_the_sealer_works_as_the_role_of_the_sealer(
    live_db: LiveDatabase, sealer: SealerProcess
) -> None:
    def logins() -> set[str]:
        with live_db.acting_as("superuser"), connection.cursor() as cursor:
            cursor.execute(
                "SELECT usename FROM pg_stat_activity WHERE datname = %s", [live_db.name]
            )
            return {row[0] for row in cursor.fetchall()}

    deadline = time.monotonic() + 30
    while "parley_log" not in logins():
        assert time.monotonic() < deadline, sealer.log_text()
        time.sleep(0.1)
    assert logins() == {"parley_log", "postgres"}
