"""Whether this process was told to end: it lets go of its sockets and asks for no more requests."""

import threading

_begun = threading.Event()


def begin() -> None:
    _begun.set()


def has_begun() -> bool:
    return _begun.is_set()
