"""The three roles of a database: its owner migrates, the app works, the sealer seals.

The group roles carry the rights (migrations grant them); the login roles carry a password.
"""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass

import psycopg2
from psycopg2 import extensions, sql

OWNER = "parley_owner"
GROUPS = {"app": "parley_app", "sealer": "parley_sealer"}
LOGINS = {"owner": OWNER, "app": "parley_web", "sealer": "parley_log"}


@dataclass(frozen=True, slots=True)
class Passwords:
    owner: str
    app: str
    sealer: str

    @classmethod
    def fresh(cls) -> "Passwords":
        return cls(*(secrets.token_urlsafe(24) for _ in range(3)))

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def create_roles(superuser_url: str, passwords: Passwords) -> None:
    """Make, or bring up to date, the groups and the logins. May be run again."""
    with _autocommitting(superuser_url) as cursor:
        for group in GROUPS.values():
            _create_role(cursor, group, "NOLOGIN")
        for kind, login in LOGINS.items():
            _create_role(cursor, login, "LOGIN")
            cursor.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(login), sql.Literal(passwords.as_dict()[kind])
                )
            )
        for kind, group in GROUPS.items():
            cursor.execute(
                sql.SQL("GRANT {} TO {}").format(
                    sql.Identifier(group), sql.Identifier(LOGINS[kind])
                )
            )


def create_database(superuser_url: str, name: str, *, template: str = "") -> None:
    """A database of the owner's, which nobody but the three logins may enter."""
    with _autocommitting(superuser_url) as cursor:
        statement = sql.SQL("CREATE DATABASE {} OWNER {}").format(
            sql.Identifier(name), sql.Identifier(OWNER)
        )
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        cursor.execute(statement)
        database = sql.Identifier(name)
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        for login in LOGINS.values():
            cursor.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    database, sql.Identifier(login)
                )
            )


def drop_database(superuser_url: str, name: str) -> None:
    """Drop it, and end whoever is still connected."""
    with _autocommitting(superuser_url) as cursor:
        cursor.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def database_exists(superuser_url: str, name: str) -> bool:
    with _autocommitting(superuser_url) as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        return cursor.fetchone() is not None


def _create_role(cursor: extensions.cursor, name: str, kind: str) -> None:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {} " + kind).format(sql.Identifier(name)))


@contextmanager
def _autocommitting(url: str) -> Iterator[extensions.cursor]:
    """A cursor outside any transaction: CREATE DATABASE allows none."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as found:
            yield found
