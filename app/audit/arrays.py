"""Columns of a batch as PostgreSQL's text form of an array: one parameter each, for `unnest`.

The driver would take each element by itself, which costs ten times as much. Pure.
"""

from collections.abc import Collection


def plain(values: Collection[object]) -> str:
    """An array of what needs no quotes: ids, numbers, times and tokens of our own making."""
    try:
        return "{" + ",".join(values) + "}"  # type: ignore[arg-type]  # most are texts
    except TypeError:
        pass
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def integers(values: list[int]) -> str:
    """An array of integers, in half the time: Python prints a list of them all at once."""
    return f"{{{str(values)[1:-1]}}}"


def quoted(texts: Collection[str]) -> str:
    """A `text[]` of any texts (https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO).

    Raises ValueError for U+0000, which no text of PostgreSQL's holds.
    """
    if not texts:
        return "{}"
    # All at once: a text may have nothing that needs a backslash, and most columns have not.
    whole = "\0".join(texts)
    if whole.count("\0") >= len(texts):
        raise ValueError("a text holds U+0000")
    escaped = whole.replace("\\", "\\\\").replace('"', '\\"')
    return '{"' + escaped.replace("\0", '","') + '"}'
