"""The roles of the database: the groups that carry rights, and the logins that are in them.

The owner migrates, the app works, the sealer seals (docs/operations.md). The groups get their
rights from the migrations; a login has a password, and a group's rights by being in it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import encrypt_password

GROUPS = {"app": "parley_app", "sealer": "parley_sealer"}


@dataclass(frozen=True, slots=True)
class Login:
    name: str
    password: str = field(repr=False)


def make_logins(cursor: Any, logins: Mapping[str, Login]) -> None:
    """Make, or bring up to date, the groups and the logins of `owner`, `app` and `sealer`.

    `cursor` is an administrator's, of psycopg2. May be run again. The server is sent a password's
    SCRAM-SHA-256 verifier (RFC 5803), so that no log of statements has the password.
    """
    for group in GROUPS.values():
        _create(cursor, group, "NOLOGIN")
    for login in logins.values():
        _create(cursor, login.name, "LOGIN")
        verifier = encrypt_password(login.password, login.name, cursor.connection, "scram-sha-256")
        cursor.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(login.name), sql.Literal(verifier)
            )
        )
    for kind, group in GROUPS.items():
        cursor.execute(
            sql.SQL("GRANT {} TO {}").format(
                sql.Identifier(group), sql.Identifier(logins[kind].name)
            )
        )


def make_database(
    cursor: Any, name: str, *, owner: str, logins: Collection[str], template: str = ""
) -> None:
    """Make, unless it is there, a database of the owner's, which the logins alone may enter.
    `cursor` is an administrator's, outside of any transaction.
    """
    database, theirs = sql.Identifier(name), sql.Identifier(owner)
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
    if cursor.fetchone() is None:
        # Only a superuser may make a database for a role that it is not in.
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = CURRENT_USER")
        if not cursor.fetchone()[0]:
            cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(theirs))
        statement = sql.SQL("CREATE DATABASE {} OWNER {}").format(database, theirs)
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        cursor.execute(statement)
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for login in logins:
        cursor.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(login))
        )


def _create(cursor: Any, name: str, kind: str) -> None:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {} " + kind).format(sql.Identifier(name)))
