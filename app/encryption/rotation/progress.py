"""What a rotation tells while it works, and that there is only one of a kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from django.db import connection

from app.errors import Conflict


class Tell(Protocol):
    """Called with a step, such as "resealed", and numbers or ids; never with content."""

    def __call__(self, step: str, **facts: object) -> None: ...


@contextmanager
def alone(what: str) -> Iterator[None]:
    """Nobody else does the same within; PostgreSQL lets go when the process dies.

    Raises Conflict.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [f"parley/{what}"])
        if not cursor.fetchone()[0]:
            raise Conflict(f"Another process is at it already: {what}.")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [f"parley/{what}"])
