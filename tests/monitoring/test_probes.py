"""`/healthz` and `/readyz`: what a platform asks, and what it is told."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.db import transaction
from django.test import Client, override_settings
from psycopg2 import sql
from pytest_django import Settings

from app import outside
from app.audit.models import Anchor
from app.audit.services import INSTALLATION, SYSTEM, Action, Target, record
from app.chat.attachments import storage as places
from app.outside import Service
from app.realtime import draining
from app.web import probes
from app.web.probes import Check, Readiness
from dev.redis_server import RedisServer
from tests.live import LiveDatabase
from tests.server import WebServer

WELL = dict.fromkeys(("database", "redis", "keys", "sealer", "storage"), "ok")


def ask(port: int, path: str) -> tuple[int, str]:
    """As a platform's probe does: by address, which is none of ALLOWED_HOSTS."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": "10.0.0.1:8080"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def until(port: int, status: int, checks: dict[str, str]) -> None:
    """Ask until it is so, as a result is kept for a second."""
    found: Any = None
    for _ in range(100):
        found = ask(port, "/readyz")
        if found[0] == status and json.loads(found[1])["checks"] == checks:
            assert json.loads(found[1])["ready"] == (status == 200)
            return
        time.sleep(0.2)
    pytest.fail(f"{found}, not {status} {checks}")


def allow_connections(live_db: LiveDatabase, number: int) -> None:
    superuser = psycopg2.connect(live_db.superuser_url)
    superuser.autocommit = True
    with superuser.cursor() as cursor:
        limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}")
        cursor.execute(limit.format(sql.Identifier(live_db.name), sql.Literal(number)))
    superuser.close()


def test_what_is_not_well_is_named_and_only_the_database_takes_a_process_out(
    server: WebServer, live_db: LiveDatabase, redis_server: RedisServer
) -> None:
    assert ask(server.port, "/healthz") == (200, "ok\n")
    until(server.port, 200, WELL)
    redis_server.stop()
    until(server.port, 200, WELL | {"redis": "failed"})
    redis_server.start()
    until(server.port, 200, WELL)

    allow_connections(live_db, 0)
    until(server.port, 503, WELL | {"database": "failed", "sealer": "failed"})
    assert ask(server.port, "/healthz") == (200, "ok\n")
    allow_connections(live_db, -1)
    until(server.port, 200, WELL)
    assert "not_well" in server.log_text()
    assert live_db.app_url not in server.log_text()


def passes(test: Callable[[], None]) -> bool:
    check = Check("of a test", test)
    check.begin()
    return check.result(time.monotonic() + 30)


def test_a_sealer_that_lags_is_named(
    live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Target("log", "x")
    with transaction.atomic():
        record(Action.LOG_HEARTBEAT, organization=INSTALLATION, actor=SYSTEM, target=log)
    assert passes(probes._sealer)
    monkeypatch.setattr(probes, "SEALER_LATE", timedelta(0))
    assert not passes(probes._sealer)


@pytest.mark.django_db
def test_a_key_that_is_not_to_be_had_is_named(tmp_path: Path) -> None:
    assert passes(probes._keys)
    with override_settings(KEY_ENCRYPTION_KEY_FILE=tmp_path / "gone"):
        assert not passes(probes._keys)


def test_a_check_that_hangs_has_failed_for_now_and_is_asked_once() -> None:
    gate, asked = threading.Event(), []

    def hangs() -> None:
        asked.append(1)
        gate.wait(30)

    check = Check("of a test", hangs)
    for _ in range(3):
        check.begin()
        assert not check.result(time.monotonic() + 0.05)
    assert asked == [1]
    thread = check._asked
    assert thread is not None
    gate.set()
    thread.join()
    check.begin()
    assert check.result(time.monotonic() + 30)


def test_a_process_that_never_reached_redis_is_not_ready_and_one_that_did_stays_so() -> None:
    away = False

    def reach() -> None:
        if away:
            raise ConnectionError

    def checks() -> Readiness:
        return Readiness(
            decides=Check("database", lambda: None),
            must_have_been=(Check("redis", reach, fresh=0.0),),
            only_named=(),
        )

    grown_old = checks()
    assert grown_old.look() == (True, {"database": "ok", "redis": "ok"})
    away = True
    assert grown_old.look() == (True, {"database": "ok", "redis": "failed"})
    assert checks().look() == (False, {"database": "ok", "redis": "failed"})


def test_a_service_that_was_found_away_is_failed_at_once_and_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probes, "AGAIN", 60.0)
    storage, asked = Service("storage", away=str), []
    check = Check("storage", lambda: asked.append(1), fresh=60.0, service="storage")
    for times in (1, 1):  # fresh: not asked twice
        check.begin()
        assert check.result(time.monotonic() + 30)
        assert len(asked) == times
    with pytest.raises(ConnectionError), storage.asked():
        raise ConnectionError("gone")
    assert not check.result(time.monotonic() + 30)
    check.begin()
    assert len(asked) == 1, "not yet: each time is paid for"
    monkeypatch.setattr(probes, "AGAIN", 0.0)
    check.begin()
    assert not check.result(time.monotonic() + 30)
    assert len(asked) == 2
    outside.forget()
    check.begin()
    assert check.result(time.monotonic() + 30)
    outside.services.remove(storage)


def test_a_process_without_files_loads_nothing_to_ask_for_their_storage(
    settings: Settings, tmp_path: Path
) -> None:
    places._at.cache_clear()
    settings.ATTACHMENT_STORAGE = f"file://{tmp_path}/files"
    assert passes(probes._storage)
    assert not places.in_use()
    places.storage()
    assert passes(probes._storage)
    (tmp_path / "files" / ".unfinished").rmdir()
    (tmp_path / "files").rmdir()
    (tmp_path / "files").symlink_to(tmp_path / "files")  # nothing can be looked up
    assert not passes(probes._storage)
    places._at.cache_clear()


@pytest.mark.django_db
def test_mail_that_waits_is_named_where_there_is_mail(settings: Settings) -> None:
    assert "mail" not in probes.checks().look()[1]
    settings.ANCHOR_MAIL = ["officers"]
    assert passes_here(probes._mail)
    Anchor.objects.create(
        organization_id=INSTALLATION, name="mail", next_at=datetime.now(UTC), failures=1
    )
    assert not passes_here(probes._mail)


def passes_here(test: Callable[[], None]) -> bool:
    """In this thread, which alone sees what this test has written."""
    try:
        test()
    except TimeoutError:
        return False
    return True


def test_who_was_told_to_end_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = threading.Event()
    monkeypatch.setattr(draining, "_begun", ending)
    well = Readiness(decides=Check("database", lambda: None), must_have_been=(), only_named=())
    monkeypatch.setattr(probes, "readiness", well)
    assert Client().get("/readyz").status_code == 200
    draining.begin()
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "checks": {"database": "ok", "draining": "yes"}}
    assert answer["Cache-Control"] == "no-store"
    assert Client().get("/healthz").status_code == 200


@pytest.mark.django_db
def test_a_probe_is_a_read() -> None:
    assert Client().post("/healthz").status_code == 404
