"""The three logins of a database (app/audit/logins.py) on this machine."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass

import psycopg2
from psycopg2 import extensions, sql

from app.audit.logins import Login, make_database, make_logins

LOGINS = {"owner": "parley_owner", "app": "parley_web", "sealer": "parley_log"}


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
    secret = passwords.as_dict()
    with _autocommitting(superuser_url) as cursor:
        make_logins(cursor, {kind: Login(name, secret[kind]) for kind, name in LOGINS.items()})


def create_database(superuser_url: str, name: str, *, template: str = "") -> None:
    """A database of the owner's, which the three logins alone may enter, unless it is there."""
    with _autocommitting(superuser_url) as cursor:
        make_database(
            cursor, name, owner=LOGINS["owner"], logins=LOGINS.values(), template=template
        )


def drop_database(superuser_url: str, name: str) -> None:
    """Drop it, and end whoever is still connected."""
    with _autocommitting(superuser_url) as cursor:
        cursor.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


@contextmanager
def _autocommitting(url: str) -> Iterator[extensions.cursor]:
    """A cursor outside any transaction: CREATE DATABASE allows none."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as found:
            yield found
