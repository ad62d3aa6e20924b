"""Plain SQL on Django's connection, for the sealer and the verifier."""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.db import connection

Row = tuple[Any, ...]
NULL = rb"\N"
"""A column without a value, in a line of `unload`."""


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


def unload(statement: str, parameters: Sequence[Any], take: Callable[[bytes], object]) -> None:
    """COPY the statement's rows out and hand each to `take`, as a line for `columns`.

    The server reads on while `take` works. `take` must not use this connection, nor raise.
    """
    with connection.cursor() as cursor:
        query = cursor.mogrify(statement, parameters).decode()
        cursor.copy_expert(f"COPY ({query}) TO STDOUT", _Lines(take))


class _Lines:
    """What psycopg2 writes a COPY to: one line a call, as the protocol promises."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self.write = take


def columns(line: bytes) -> list[str | None]:
    """The columns of a row that `unload` handed over, as PostgreSQL's text.

    Between them are tabs, and no other tabs: so a line may be split before it is read.
    """
    return [_unescaped(text) for text in line.removesuffix(b"\n").decode().split("\t")]


def _unescaped(text: str) -> str | None:
    """A column of COPY's text format: NULL is backslash N, and a backslash escapes."""
    return None if text == r"\N" else _ESCAPED.sub(lambda found: _ESCAPES[found[1]], text)


# https://www.postgresql.org/docs/current/sql-copy.html: what COPY TO writes.
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_ESCAPED = re.compile(r"\\([bfnrtv\\])")


def unescape(text: str | None) -> bytes:
    """The bytes of a column sent as `encode(column, 'escape')`; none for NULL.

    Half as long as hex, and nothing to undo for ASCII without a backslash.
    """
    if text is None:
        return b""
    data = text.encode("ascii")
    return data if b"\\" not in data else _OCTAL.sub(_byte, data)


_OCTAL = re.compile(rb"\\(\\|[0-3][0-7][0-7])")


def _byte(found: re.Match[bytes]) -> bytes:
    return b"\\" if found[1] == b"\\" else bytes([int(found[1], 8)])


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
