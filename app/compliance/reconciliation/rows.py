"""Plain SQL with a cursor of the server's: millions of rows in constant memory."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import connection


def stream(statement: str, organization: UUID) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement whose only parameter is the organization; needs a transaction."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement, {"organization": organization})
        yield from cursor
