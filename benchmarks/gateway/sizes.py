"""Payloads of one size, whatever names they carry."""

from collections.abc import Callable

BYTES = 500


def sized(build: Callable[[str], bytes]) -> bytes:
    """Return what `build` makes of a filling that is so long that it has BYTES bytes."""
    return build("x" * (BYTES - len(build(""))))
