"""The database itself refuses: each role may do its work and no more; nothing is rewritten."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from app.audit import guards
from app.audit.services import record_many
from tests.audit.trail import ACME, a_message, a_sealer, ask, write
from tests.live import LiveDatabase

GUARDED = ("audit_entry", "audit_leaf", "audit_node", "audit_checkpoint", "audit_key")
KEPT = ("audit_tree", "audit_horizon")
COSIGNED = "audit_cosignature"


@pytest.fixture
def log(live_db: LiveDatabase) -> LiveDatabase:
    write(300)
    with live_db.acting_as("sealer"):
        a_sealer().seal()
    run(
        "INSERT INTO audit_cosignature (organization_id, witness, size, note, at) "
        f"VALUES ('{ACME}', 'w', 300, 'note', now())"
    )
    return live_db


@contextmanager
def refused(saying: str) -> Iterator[None]:
    with pytest.raises(DatabaseError, match=saying), transaction.atomic():
        yield


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def changes(table: str) -> list[str]:
    column = {"audit_entry": "target_id", "audit_key": "vkey"}
    value = {"audit_leaf": "hash = hash", "audit_node": "hash = hash"}
    name = column.get(table, "note")
    update = value.get(table) or f"{name} = {name}"
    return [f"UPDATE {table} SET {update}", f"DELETE FROM {table}", f"TRUNCATE {table}"]


@pytest.mark.parametrize("role", ["owner", "superuser"])
def test_even_the_owner_is_refused_to_change_what_is_written(log: LiveDatabase, role: str) -> None:
    with log.acting_as(role):  # type: ignore[arg-type]
        for table in (*GUARDED, COSIGNED):
            for statement in changes(table):
                with refused("append-only"):
                    run(statement)
        for table in KEPT:
            for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
                with refused("append-only"):
                    run(statement)


def test_a_session_that_plays_a_replica_is_refused_too(log: LiveDatabase) -> None:
    with log.acting_as("superuser"):
        run("SET session_replication_role = replica")
        for table in (*GUARDED, COSIGNED):
            for statement in changes(table):
                with refused("append-only"):
                    run(statement)


@pytest.mark.parametrize("table", [*GUARDED, *KEPT, COSIGNED])
def test_the_app_may_read_and_never_change_the_log(log: LiveDatabase, table: str) -> None:
    assert ask(f"SELECT count(*) FROM {table}")[0][0]
    for statement in (
        f"UPDATE {table} SET organization_id = organization_id",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
    ):
        with refused("permission denied"):
            run(statement.replace("organization_id", "xid") if "horizon" in table else statement)


@pytest.mark.parametrize("table", [*GUARDED[1:], *KEPT])
def test_the_app_may_not_write_what_is_the_sealer_s(log: LiveDatabase, table: str) -> None:
    with refused("permission denied"):
        run(f"INSERT INTO {table} SELECT * FROM {table}")


@pytest.mark.parametrize("column", ["id", "xid"])
def test_the_app_may_not_choose_an_entry_s_place(log: LiveDatabase, column: str) -> None:
    rest = (
        "uuid, organization_id, action_name, target_type, target_id, target_parent, "
        "at, body, body_hash, leaf"
    )
    values = f"gen_random_uuid(), {rest.removeprefix('uuid, ')}"
    with refused("permission denied"):
        run(
            f"INSERT INTO audit_entry ({rest}, {column}) "
            f"SELECT {values}, {column} FROM audit_entry LIMIT 1"
        )


def test_the_sealer_reads_no_body_and_touches_nothing_else(log: LiveDatabase) -> None:
    with log.acting_as("sealer"):
        assert ask("SELECT leaf, scope_id, target_id FROM audit_entry LIMIT 1")
        for statement in (
            "SELECT body FROM audit_entry",
            "SELECT actor_id FROM audit_entry",
            "SELECT * FROM audit_entry",
            "INSERT INTO audit_entry (uuid) VALUES (gen_random_uuid())",
            "UPDATE audit_leaf SET hash = hash",
            "UPDATE audit_checkpoint SET note = note",
            "DELETE FROM audit_tree",
        ):
            with refused("permission denied"):
                run(statement)


def test_no_table_of_another_app_is_open_to_the_sealer(live_db: LiveDatabase) -> None:
    rights = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER"
    tables = ask(
        "SELECT tablename, has_table_privilege('parley_sealer', tablename::regclass, %s) "
        "OR has_any_column_privilege('parley_sealer', tablename::regclass, 'SELECT, INSERT') "
        "FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'audit%%'",
        rights,
    )
    assert ("chat_message", False) in tables
    assert [table for table, open_ in tables if open_] == []


def test_tables_made_later_are_the_app_s_to_use_and_not_the_sealer_s(
    live_db: LiveDatabase,
) -> None:
    with live_db.acting_as("owner"):
        run("CREATE TABLE later (id bigint GENERATED BY DEFAULT AS IDENTITY, x int)")
    run("INSERT INTO later (x) VALUES (1); UPDATE later SET x = 2; DELETE FROM later")
    with live_db.acting_as("sealer"), refused("permission denied"):
        run("SELECT 1 FROM later")


def test_a_row_that_needs_an_entry_commits_only_with_one(live_db: LiveDatabase) -> None:
    with live_db.acting_as("owner"):
        run("CREATE TABLE thing (id text PRIMARY KEY)")
        run(
            "CREATE CONSTRAINT TRIGGER needs AFTER INSERT ON thing DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION parley_require_entry('message_version')"
        )
    message = a_message()
    insert = f"INSERT INTO thing VALUES ('{message.target.id}')"
    with refused("no entry"):
        run(insert)
    with transaction.atomic():  # the order within the transaction does not matter
        run(insert)
        record_many([message])
    with transaction.atomic():
        run("DELETE FROM thing")
    with refused("no entry"):  # the entry of an earlier transaction does not serve
        run(insert)


def test_a_temporary_table_does_not_serve_as_the_trail(live_db: LiveDatabase) -> None:
    with live_db.acting_as("owner"):
        run("CREATE TABLE thing (id text PRIMARY KEY)")
        run(
            "CREATE CONSTRAINT TRIGGER needs AFTER INSERT ON thing DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION parley_require_entry('t')"
        )
        with refused("no entry"):
            run(
                "CREATE TEMP TABLE audit_entry AS SELECT 't' AS target_type, 'x' AS target_id, "
                "1::bigint AS id, pg_current_xact_id() AS xid"
            )
            run("INSERT INTO thing VALUES ('x')")


def status(*arguments: str) -> str:
    output = io.StringIO()
    call_command("audit_status", *arguments, stdout=output)
    return output.getvalue()


def test_the_status_of_a_guarded_trail_names_no_missing_guard(log: LiveDatabase) -> None:
    said = status()
    assert "guards: roles, rights and triggers are in place" in said
    assert "300 leaves, 0 waiting" in said


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_no_update",
            "audit_entry: the trigger that refuses UPDATE is not enabled always",
        ),
        (
            "ALTER TABLE audit_leaf ENABLE TRIGGER audit_leaf_no_delete",
            "audit_leaf: the trigger that refuses DELETE is not enabled always",
        ),
        (
            "DROP TRIGGER audit_tree_no_truncate ON audit_tree",
            "audit_tree: the trigger that refuses TRUNCATE does not exist",
        ),
        ("GRANT UPDATE ON audit_entry TO parley_app", "parley_app may UPDATE audit_entry"),
        ("GRANT DELETE ON audit_leaf TO parley_sealer", "parley_sealer may DELETE audit_leaf"),
        ("REVOKE ALL ON audit_leaf FROM parley_sealer", "parley_sealer lacks its rights"),
    ],
)
def test_the_status_names_a_missing_guard_and_repair_puts_it_back(
    log: LiveDatabase, statement: str, says: str
) -> None:
    with log.acting_as("owner"):
        run(statement)
        assert any(says in line for line in guards.missing(connection))
        call_command("audit_status", "--repair", stdout=io.StringIO())
        assert guards.missing(connection) == []
    assert status()


def test_the_status_says_when_we_are_more_than_we_should_be(log: LiveDatabase) -> None:
    for role in ("owner", "superuser"):
        with log.acting_as(role), pytest.raises(CommandError, match="1 guards"):
            status()


def test_where_roles_may_not_be_created_the_rest_goes_on_and_the_status_says_so(
    live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "APP", "parley_nobody")
    monkeypatch.setattr(guards, "_GRANTS", {"parley_nobody": ("GRANT nonsense",)})
    with live_db.acting_as("superuser"):
        run("ALTER ROLE parley_owner NOCREATEROLE")
    with live_db.acting_as("owner"):
        with transaction.atomic():
            guards.install(connection)
        assert any("role parley_nobody does not exist" in x for x in guards.missing(connection))


def test_only_the_owner_may_repair(log: LiveDatabase) -> None:
    with pytest.raises(DatabaseError):
        call_command("audit_status", "--repair", stdout=io.StringIO())


def test_the_app_s_login_is_no_owner(live_db: LiveDatabase) -> None:
    with psycopg2.connect(live_db.app_url) as raw, raw.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        assert cursor.fetchone() == (False,)
    assert guards.mighty_login(connection) is None
