"""Columns of a batch as PostgreSQL's text form of an array: one parameter each, for `unnest`.

The driver would take each element by itself, which costs ten times as much. Pure.
"""

from collections.abc import Iterable


def plain(values: Iterable[object]) -> str:
    """An array of what needs no quotes: ids, numbers, times and tokens of our own making."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def quoted(texts: Iterable[str]) -> str:
    """A `text[]` of any texts (https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO)."""
    escaped = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    return '{"' + '","'.join(escaped) + '"}' if escaped else "{}"
