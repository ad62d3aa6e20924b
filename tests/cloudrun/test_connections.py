"""Connections to PostgreSQL: what an instance may have is known, declared, and there for it."""

import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from app import connections
from app.accounts.models import User
from app.start import command
from app.web.probes import readiness
from loadtests.assumptions import load
from tests.cloudrun.balancer import TOLD
from tests.cloudrun.conftest import Starts
from tests.cloudrun.image import Instance
from tests.cloudrun.rendered import CLOUDRUN, EXAMPLE, container, deploy, rendered, revision
from tests.live import LiveDatabase
from tests.realtime.speaker import bearer

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("image")]


def values(name: str) -> dict[str, int]:
    """The numbers that a template declares."""
    given = {one["name"]: one.get("value") or "" for one in container(rendered()[name])["env"]}
    return {variable: int(value) for variable, value in given.items() if value.isdigit()}


def test_what_is_declared_is_what_each_process_may_need() -> None:
    web, gateway, worker = values("web"), values("gateway"), values("worker")
    assert web["DATABASE_CONNECTIONS"] == connections.of_web(web["WEB_THREADS"])
    assert worker["DATABASE_CONNECTIONS"] == connections.of_worker(worker["WORKER_THREADS"])
    assert gateway["DATABASE_CONNECTIONS"] == connections.of_gateway(
        gateway["GATEWAY_THREADS"], gateway["GATEWAY_REQUESTS"]
    )
    of_the_database = {one.name for one in readiness._all} - {"redis", "storage"} | {"mail"}
    assert len(of_the_database) == connections.CHECKS


def test_processes_have_as_many_threads_as_the_settings_say(settings: Settings) -> None:
    for process, option, threads in (
        ("web", "--threads", settings.WEB_THREADS),
        ("worker", "--concurrency", settings.WORKER_THREADS),
    ):
        words = command([process], {})
        assert words[words.index(option) + 1] == str(threads)
    # Else WEB_CONCURRENCY of the environment would multiply them.
    for process in ("web", "gateway"):
        words = command([process], {})
        assert words[words.index("--workers") + 1] == "1"


@pytest.mark.parametrize(
    ("role", "setting"),
    [("web", "WEB_THREADS"), ("gateway", "GATEWAY_REQUESTS"), ("worker", "WORKER_THREADS")],
)
def test_a_process_that_may_need_more_than_is_declared_does_not_start(
    role: str, setting: str, settings: Settings
) -> None:
    settings.DATABASE_CONNECTIONS = connections.most(role)
    connections.require(role)
    setattr(settings, setting, getattr(settings, setting) + 1)
    with pytest.raises(ImproperlyConfigured, match=f"DATABASE_CONNECTIONS declares .* {role}"):
        connections.require(role)


@pytest.mark.parametrize("name", ["web", "worker"])
def test_the_refusal_is_the_last_word_of_the_process(starts: Starts, name: str) -> None:
    instance = starts(name, DATABASE_CONNECTIONS="6")
    assert instance.process.wait(60) != 0
    assert f"DATABASE_CONNECTIONS declares 6 for this {name}" in instance.said()


@pytest.mark.parametrize(("name", "asking", "most_at_once"), [("web", 8, 8), ("gateway", 30, 4)])
def test_an_instance_never_has_more_than_is_declared_and_answers_everybody(
    starts: Starts, live_db: LiveDatabase, alice: User, name: str, asking: int, most_at_once: int
) -> None:
    assert asking <= revision(rendered()[name])["containerConcurrency"]
    token = bearer(alice)
    instance = starts(name)
    instance.wait_until_ready()
    with (
        ThreadPoolExecutor(asking) as askers,
        closing(psycopg2.connect(live_db.superuser_url)) as looking,
        closing(psycopg2.connect(live_db.owner_url)) as holder,
    ):
        looking.autocommit = True
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE accounts_session IN ACCESS EXCLUSIVE MODE")
        asked = [askers.submit(ask, instance, token) for _ in range(asking)]
        instance.until(lambda: standing(looking, name)[1] >= most_at_once)
        most = 0
        for _ in range(3):  # probes get in, and no more of the others come
            instance.until(lambda: instance.answers("/readyz"))
            there, waiting = standing(looking, name)
            most = max(most, there)
            assert waiting == most_at_once
        holder.rollback()
        assert {one.result(60) for one in asked} == {200}
    assert most_at_once <= most <= values(name)["DATABASE_CONNECTIONS"]


def ask(instance: Instance, token: str) -> int:
    headers = TOLD | {"Authorization": f"Bearer {token}"}
    asked = urllib.request.Request(f"{instance.url}/api/conversations", headers=headers)
    with urllib.request.urlopen(asked, timeout=60) as response:
        return int(response.status)


def standing(looking: Any, name: str) -> tuple[int, int]:
    """How many connections the process has, and how many of them wait for a lock."""
    with looking.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock')"
            " FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
            [f"parley-{name}"],
        )
        found: tuple[int, int] = cursor.fetchone()
    return found


def test_the_example_fits_and_what_does_not_is_refused_in_words(tmp_path: Path) -> None:
    def said(**changes: int | str) -> str:
        text = EXAMPLE.read_text()
        for name, value in changes.items():
            text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        (config := tmp_path / "config.env").write_text(text)
        done = deploy("render", str(tmp_path / "out"), config=config)
        assert (done.returncode == 0) == (not done.stderr), done.stderr
        return done.stderr

    assert said() == ""
    assert "SQL_CONNECTIONS is 400, and there can be 408: fewer instances" in said(WEB_MAX=9)
    assert "there can be 417" in said(GATEWAY_MAX=8)
    assert "there can be 407" in said(WORKERS=2)
    assert "db-custom-2-8192 takes 400" in said(SQL_CONNECTIONS=401)
    assert said(SQL_CONNECTIONS=500, SQL_TIER="db-custom-4-15360", WEB_MAX=15) == ""
    assert said(SQL_CONNECTIONS=5000, SQL_TIER="db-perf-optimized-N-2") == ""


def test_a_database_takes_as_many_here_as_in_the_capacity_model() -> None:
    script = (CLOUDRUN / "deploy.sh").read_text()
    table = re.search(r"for least in ([\d: ]+); do", script)
    assert table
    takes = {int(mb): int(most) for mb, most in re.findall(r"(\d+):(\d+)", table[1])}
    for one in load().database:
        assert takes[int(one.gib * 1024)] == one.connections
