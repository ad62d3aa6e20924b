"""What PostgreSQL itself enforces: who may do what to the trail, and that nothing is changed.

Applied by migrations and, where roles were made only later, by `audit_status --repair`.
Everything here may be applied again. Where the database forbids a step, the rest goes on
and `missing` names the step.
"""

from collections.abc import Collection, Iterator

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import Error

APP, SEALER = "parley_app", "parley_sealer"
APPEND_ONLY = (
    "audit_entry", "audit_leaf", "audit_node", "audit_checkpoint", "audit_key",
    "audit_cosignature",
)  # fmt: skip
KEPT = ("audit_tree", "audit_horizon")
"""Updated in place by the sealer; never deleted."""
_TABLES = (*APPEND_ONLY, *KEPT, "audit_verification")

# Not id and xid: a chosen transaction id would slip past the sealer's horizon.
_WRITABLE = (
    "uuid, organization_id, action_name, scope_id, actor_id, target_type, target_id, "
    "target_parent, at, body, body_hash, leaf"
)
# Not body: the sealer needs no content to seal.
_SEALABLE = "id, organization_id, xid, leaf, scope_id, target_type, target_id"

# What a role may do, and on which tables.
_GRANTS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    APP: (
        (f"SELECT, INSERT ({_WRITABLE})", ("audit_entry",)),
        ("SELECT", ("audit_leaf", "audit_node", "audit_tree", "audit_horizon")),
        ("SELECT", ("audit_checkpoint", "audit_key")),
        ("SELECT, INSERT", ("audit_verification", "audit_cosignature")),
    ),
    SEALER: (
        (f"SELECT ({_SEALABLE})", ("audit_entry",)),
        ("SELECT, INSERT", ("audit_leaf", "audit_node", "audit_checkpoint", "audit_key")),
        ("SELECT, INSERT, UPDATE", ("audit_tree", "audit_horizon")),
    ),
}

_ROLE = """
DO $$ BEGIN
    CREATE ROLE {role} NOLOGIN;
EXCEPTION
    -- another migration, also of another database of this cluster, was first
    WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""

_REFUSE = """
CREATE OR REPLACE FUNCTION parley_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the trail is append-only: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$
"""

# search_path is fixed, with pg_temp last: a temporary table named audit_entry must not serve.
_REQUIRE_ENTRY = """
CREATE OR REPLACE FUNCTION parley_require_entry() RETURNS trigger LANGUAGE plpgsql
SET search_path = {schema}, pg_temp AS $$
DECLARE
    changed jsonb := to_jsonb(NEW);
    target text := changed ->> coalesce(TG_ARGV[1], 'id');
    entry bigint := changed ->> TG_ARGV[2];
    known boolean;
BEGIN
    IF entry IS NULL THEN
        known := EXISTS (
            SELECT FROM audit_entry WHERE target_type = TG_ARGV[0] AND target_id = target
                AND xid = pg_current_xact_id()
        );
    ELSE
        -- By both columns of an index: by one, each row of a batch looks at all its entries.
        known := EXISTS (
            SELECT FROM audit_entry WHERE xid = pg_current_xact_id() AND id = entry
                AND target_type = TG_ARGV[0] AND target_id = target
        );
    END IF;
    IF NOT known THEN
        RAISE EXCEPTION 'a row of % has no entry of its transaction in the trail', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$
"""


def install(connection: BaseDatabaseWrapper) -> None:
    """Put every guard in place, as the owner; the first migration of guards, and `--repair`."""
    create_roles(connection)
    install_functions(connection)
    install_triggers(connection)
    grant(connection)


def install_functions(connection: BaseDatabaseWrapper) -> None:
    """Create the trigger functions; `parley_require_entry` is for other apps' tables.

    Attach it as a constraint trigger, deferred, with the entry's target type, the column that
    is its target id (by default `id`), and the column that names the entry, where there is one:
    then no row commits without an entry of the same transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        schema = cursor.fetchone()[0]
        cursor.execute(_REFUSE)
        cursor.execute(_REQUIRE_ENTRY.format(schema=schema))


def install_triggers(connection: BaseDatabaseWrapper) -> None:
    """Make the tables append-only for everybody, their owner included.

    ALWAYS: they fire under `session_replication_role = replica` too.
    """
    with connection.cursor() as cursor:
        for table, name, event, level in _triggers(_existing(connection)):
            cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}")
            cursor.execute(
                f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH {level} "
                "EXECUTE FUNCTION parley_refuse_change()"
            )
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def _existing(connection: BaseDatabaseWrapper) -> tuple[str, ...]:
    """Those of our tables that this step of the migrations has already; later ones come later."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM unnest(%s) AS name WHERE to_regclass(name) IS NOT NULL",
            [list(_TABLES)],
        )
        return tuple(name for (name,) in cursor.fetchall())


def _triggers(tables: Collection[str] = _TABLES) -> Iterator[tuple[str, str, str, str]]:
    for table in (each for each in (*APPEND_ONLY, *KEPT) if each in tables):
        if table in APPEND_ONLY:
            yield table, f"{table}_no_update", "UPDATE", "ROW"
        yield table, f"{table}_no_delete", "DELETE", "ROW"
        yield table, f"{table}_no_truncate", "TRUNCATE", "STATEMENT"


def create_roles(connection: BaseDatabaseWrapper) -> None:
    """Create the group roles, unless they exist or the database forbids it."""
    for role in (APP, SEALER):
        if not _role_exists(connection, role):
            _try(connection, _ROLE.format(role=role))


def grant(connection: BaseDatabaseWrapper) -> None:
    """Give the group roles their rights, on later tables too; skips a role that is missing."""
    if _role_exists(connection, APP):
        for statement in _app_on_other_tables(connection):
            _run(connection, statement)
    ours = _existing(connection)
    for role, grants in _GRANTS.items():
        if _role_exists(connection, role):
            _run(connection, f"REVOKE ALL ON {', '.join(ours)} FROM {role}")
            for rights, tables in grants:
                if there := [table for table in tables if table in ours]:
                    _run(connection, f"GRANT {rights} ON {', '.join(there)} TO {role}")
    _run(connection, f"REVOKE ALL ON {', '.join(ours)} FROM PUBLIC")


def _app_on_other_tables(connection: BaseDatabaseWrapper) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        schema = cursor.fetchone()[0]
    rows, numbers = "SELECT, INSERT, UPDATE, DELETE", "USAGE, SELECT"
    default = f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema}"
    yield f"GRANT USAGE ON SCHEMA {schema} TO {APP}"
    yield f"GRANT {rows} ON ALL TABLES IN SCHEMA {schema} TO {APP}"
    yield f"GRANT {numbers} ON ALL SEQUENCES IN SCHEMA {schema} TO {APP}"
    yield f"{default} GRANT {rows} ON TABLES TO {APP}"
    yield f"{default} GRANT {numbers} ON SEQUENCES TO {APP}"
    yield f"REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {APP}"


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """Name each guard that is not in place; empty when all are."""
    return [
        *_missing_roles(connection),
        *_missing_triggers(connection),
        *_excessive_rights(connection),
    ]


def _missing_roles(connection: BaseDatabaseWrapper) -> Iterator[str]:
    for role in (APP, SEALER):
        if not _role_exists(connection, role):
            yield f"role {role} does not exist: CREATE ROLE {role} NOLOGIN, then --repair"


def mighty_login(connection: BaseDatabaseWrapper) -> str | None:
    """Say so if this process's login is one that no guard stops."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper, pg_has_role(relowner, 'MEMBER') FROM pg_roles, pg_class "
            "WHERE rolname = current_user AND pg_class.oid = 'audit_entry'::regclass"
        )
        superuser, owner = cursor.fetchone()
    if superuser:
        return "we are logged in as a superuser, whom nothing stops"
    if owner:
        return "we are logged in as the owner of the trail, who can disable its triggers"
    return None


def _missing_triggers(connection: BaseDatabaseWrapper) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger "
            "WHERE tgrelid = ANY(%s::regclass[])",
            [list(_TABLES)],
        )
        state = {(table, name): enabled for table, name, enabled in cursor.fetchall()}
    for table, name, event, _ in _triggers():
        enabled = state.get((table, name))
        if enabled is None:
            yield f"{table}: the trigger that refuses {event} does not exist"
        elif enabled != "A":
            yield f"{table}: the trigger that refuses {event} is not enabled always"


def _excessive_rights(connection: BaseDatabaseWrapper) -> Iterator[str]:
    allowed = {(SEALER, table, "UPDATE") for table in KEPT}
    for role in (APP, SEALER):
        if not _role_exists(connection, role):
            continue
        for table in (*APPEND_ONLY, *KEPT):
            for right in ("UPDATE", "DELETE", "TRUNCATE"):
                with connection.cursor() as cursor:
                    cursor.execute("SELECT has_table_privilege(%s, %s, %s)", [role, table, right])
                    held = cursor.fetchone()[0]
                if held and (role, table, right) not in allowed:
                    yield f"{role} may {right} {table}"
    yield from _missing_rights(connection)


def _missing_rights(connection: BaseDatabaseWrapper) -> Iterator[str]:
    needed = (
        (APP, "audit_entry", "SELECT", "uuid", "INSERT"),
        (SEALER, "audit_leaf", "SELECT", "hash", "INSERT"),
    )
    for role, table, right, column, column_right in needed:
        if not _role_exists(connection, role):
            continue
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT has_table_privilege(%s, %s, %s) AND has_column_privilege(%s, %s, %s, %s)",
                [role, table, right, role, table, column, column_right],
            )
            if not cursor.fetchone()[0]:
                yield f"{role} lacks its rights on {table}: --repair as the owner"


def _role_exists(connection: BaseDatabaseWrapper, role: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", [role])
        return bool(cursor.fetchone()[0])


def _run(connection: BaseDatabaseWrapper, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _try(connection: BaseDatabaseWrapper, statement: str) -> bool:
    """Run it in a savepoint; False where the database forbids it (`missing` then says so)."""
    try:
        with transaction.atomic(using=connection.alias):
            _run(connection, statement)
    except Error as error:
        if getattr(error.__cause__, "pgcode", None) != "42501":  # insufficient_privilege
            raise
        return False
    return True
