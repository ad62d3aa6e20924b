"""The services that every other test relies on."""

import subprocess
import sys
import threading

import pytest
import redis
from django.conf import settings
from django.db import connection, connections, transaction

from dev.redis_server import RedisServer
from tests.live import LiveDatabase


def _one(statement: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_django_works_as_the_app_role_and_cannot_change_the_schema() -> None:
    assert _one("SELECT current_user") == "parley_web"
    assert _one("SELECT pg_has_role(current_user, 'parley_app', 'member')") is True
    assert _one("SELECT has_schema_privilege('public', 'CREATE')") is False
    assert _one("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False


def test_a_live_database_shows_commits_to_other_threads(live_db: LiveDatabase) -> None:
    with live_db.acting_as("owner"), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE seen (n int); GRANT ALL ON seen TO parley_app")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO seen VALUES (7)")
    found: list[object] = []

    def look() -> None:
        found.append(_one("SELECT n FROM seen"))
        connections.close_all()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [7]


def test_a_live_database_is_new_for_each_test(live_db: LiveDatabase) -> None:
    assert _one("SELECT to_regclass('seen') IS NULL") is True
    assert _one("SELECT current_database()") == live_db.name


@pytest.mark.parametrize(
    ("role", "login"),
    [("owner", "parley_owner"), ("sealer", "parley_log"), ("superuser", "postgres")],
)
def test_a_live_database_can_be_used_in_each_role(
    live_db: LiveDatabase, role: str, login: str
) -> None:
    with live_db.acting_as(role):  # type: ignore[arg-type]
        assert _one("SELECT current_user") == login
    assert _one("SELECT current_user") == "parley_web"


def test_redis_can_be_stopped_and_started_and_is_the_one_of_the_settings(
    redis_server: RedisServer,
) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        assert client.ping()
        redis_server.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        redis_server.start()
        assert client.ping()
    redis_server.stop()  # and the fixture brings it back


def test_redis_runs_again_after_a_test_that_stopped_it() -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        assert client.ping()


def test_another_process_reaches_the_live_database(live_db: LiveDatabase) -> None:
    program = "import psycopg2, sys; print(psycopg2.connect(sys.argv[1]).info.dbname)"
    done = subprocess.run(
        [sys.executable, "-c", program, live_db.app_url], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == live_db.name
