"""Canonical JSON: RFC 8785 restricted to ASCII keys and to integers that every reader agrees on.

One value has one sequence of bytes. Pure: imports neither Django nor anything of ours.
"""

import json
from typing import Any

LARGEST_INTEGER = 2**53 - 1
"""RFC 8785 section 3.2.2.3 / RFC 7493: beyond it, readers with doubles disagree."""

_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode

_PLAIN = frozenset({str, bool, type(None)})


class NotCanonical(ValueError):
    """The value, or the bytes, have no canonical form here. Never carries the value."""


def dump(value: Any) -> bytes:
    """Return the canonical UTF-8 bytes of `value`.

    Allowed: str, int up to ±(2^53 - 1), bool, None, and lists and dicts of those, with ASCII
    keys. Python's escaping of control characters and its order of ASCII keys are those of
    RFC 8785 sections 3.2.2.2 and 3.2.3. Raises NotCanonical for anything else.
    """
    check(value)
    try:
        return _encode(value).encode()
    except UnicodeEncodeError:
        raise NotCanonical("a text is not valid Unicode") from None


def load(data: bytes) -> Any:
    """Parse canonical bytes; raises NotCanonical unless `dump` gives back the same bytes."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise NotCanonical("not JSON") from None
    if dump(value) != data:
        raise NotCanonical("JSON, but not in its canonical form")
    return value


def check(value: Any) -> None:
    """Raise NotCanonical if `value` holds anything that has no canonical form."""
    kind = type(value)
    if kind in _PLAIN:
        return
    if kind is dict:
        try:
            ascii_keys = "".join(value).isascii()
        except TypeError:
            ascii_keys = False
        if not ascii_keys:
            raise NotCanonical("a key is not ASCII text")
        for inner in value.values():
            of = type(inner)  # most are one of these: a call less for each
            if of not in _PLAIN and not (
                of is int and -LARGEST_INTEGER <= inner <= LARGEST_INTEGER
            ):
                check(inner)
    elif kind is list or kind is tuple:
        for inner in value:
            check(inner)
    elif isinstance(value, int):
        if not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            raise NotCanonical("an integer is too large")
    elif not isinstance(value, str):
        raise NotCanonical(f"{kind.__name__} has no canonical form")
