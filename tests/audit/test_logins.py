"""On a server of its own: who is no superuser makes the logins, as with Cloud SQL."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest
from django.conf import settings

from dev.postgresql import Cluster
from tests.settings.production import production_environment

NAMES = {"OWNER_DATABASE_URL": "o", "DATABASE_URL": "a", "SEALER_DATABASE_URL": "s"}
ADMIN_SECRET = "the administrator's"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("logins"), durable=False)
    made.create()
    made.start()
    try:
        made_by = f"LOGIN CREATEDB CREATEROLE PASSWORD '{quoted(ADMIN_SECRET)}'"
        ask(made.url(), f"CREATE ROLE administrator {made_by}")
        yield made
    finally:
        made.stop(fast=False)


def quoted(text: str) -> str:
    return text.replace("'", "''")


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def url(cluster: Cluster, login: str, password: str, database: str = "parley") -> str:
    secret = quote(password, safe="")
    return f"postgres://{login}:{secret}@127.0.0.1:{cluster.port}/{database}"


def make(cluster: Cluster, password: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    addresses = {name: url(cluster, f"parley_{letter}", password) for name, letter in NAMES.items()}
    shared = production_environment()
    # What opens anything is not given to it.
    given = {name: shared[name] for name in shared if "KEY" not in name}
    admin = {"ADMIN_DATABASE_URL": url(cluster, "administrator", ADMIN_SECRET, "postgres")}
    return subprocess.run(
        [sys.executable, "manage.py", "database_roles"],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"]} | given | admin | addresses | changes,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_administrator_makes_the_database_and_its_logins_and_changes_passwords(
    cluster: Cluster,
) -> None:
    for password in ("first %/", "second"):
        done = make(cluster, password)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "database parley: parley_o, parley_a, parley_s\n"
        assert password not in done.stderr
        for letter in NAMES.values():
            assert ask(url(cluster, f"parley_{letter}", password), "SELECT 1") == [(1,)]
    with pytest.raises(psycopg2.OperationalError, match="password"):
        ask(url(cluster, "parley_a", "first %/"), "SELECT 1")
    ask(url(cluster, "parley_o", "second"), "CREATE TABLE made (n int)")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(url(cluster, "parley_a", "second"), "CREATE TABLE another (n int)")
    groups = (
        "SELECT pg_has_role('parley_a', 'parley_app', 'member'),"
        " pg_has_role('parley_s', 'parley_app', 'member')"
    )
    assert ask(cluster.url(), groups) == [(True, False)]
    ask(cluster.url(), "CREATE ROLE outsider LOGIN PASSWORD 'outside'")
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        ask(url(cluster, "outsider", "outside"), "SELECT 1")


def test_the_server_is_never_sent_a_password(cluster: Cluster) -> None:
    ask(cluster.url(), "ALTER SYSTEM SET log_statement = 'all'")
    ask(cluster.url(), "SELECT pg_reload_conf()")
    assert make(cluster, "not-to-be-logged").returncode == 0
    log = (Path(cluster.folder) / "postgresql.log").read_text()
    assert "ALTER ROLE" in log
    assert "not-to-be-logged" not in log


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SEALER_DATABASE_URL": ""}, "SEALER_DATABASE_URL is missing"),
        ({"SEALER_DATABASE_URL": "postgres://parley_o:x@h/parley"}, "three different users"),
        ({"SEALER_DATABASE_URL": "postgres://parley_s:x@h/other"}, "one database"),
    ],
)
def test_what_is_missing_or_makes_no_sense_is_named(
    cluster: Cluster, changes: dict[str, str], said: str
) -> None:
    done = make(cluster, "x", **changes)
    assert done.returncode
    assert said in done.stderr
