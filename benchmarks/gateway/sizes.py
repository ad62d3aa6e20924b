"""Payloads of one size, whatever names they carry."""

from collections.abc import Callable

BYTES = 500


def sized(build: Callable[[str], bytes], size: int = BYTES) -> bytes:
    """Return what `build` makes of a filling that is so long that it has `size` bytes."""
    return build("x" * (size - len(build(""))))
