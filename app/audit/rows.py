"""Plain SQL on Django's connection, for the sealer and the verifier."""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connection

Row = tuple[Any, ...]


def rows(statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
    """All rows that the statement returns."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[Row] = cursor.fetchall()
        return found


def stream(statement: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
    """The rows from a cursor of the server's, 2,000 at a time; needs a transaction."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement, parameters)
        yield from cursor


def value(statement: str, parameters: Sequence[Any] = ()) -> Any:
    """The only column of the only row."""
    return rows(statement, parameters)[0][0]


def run(statement: str, parameters: Sequence[Any] = ()) -> None:
    """Execute a statement that returns nothing."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def copy(target: str, lines: Iterable[str]) -> None:
    """COPY lines of PostgreSQL's text format into `target`, a table with its columns."""
    text = "".join(lines)
    if text:
        with connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {target} FROM STDIN", io.StringIO(text))
