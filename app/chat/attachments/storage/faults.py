"""What can go wrong with a storage: told to the operator in full, to the member in words."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from app.errors import Unavailable
from app.outside import LeftAlone, Service

logger = logging.getLogger(__name__)

TIMEOUT = (3.0, 10.0)
"""Seconds of an attempt: to connect, to wait for what comes next."""
ATTEMPTS = 3


class Reason(StrEnum):
    FULL = "full"
    DENIED = "denied"
    NO_BUCKET = "no_bucket"
    UNREACHABLE = "unreachable"
    """No answer, or a late one, or the service's own failure (5xx): it is away for everybody."""
    FAILED = "failed"


_WORDS = {
    Reason.FULL: "There is no room left for files. Messages still go through.",
    Reason.DENIED: "Files cannot be stored or fetched: the storage refuses us. Messages still go"
    " through; tell whoever runs Parley.",
    Reason.NO_BUCKET: "Files cannot be stored or fetched: their storage is not there. Messages"
    " still go through; tell whoever runs Parley.",
}
_OTHERWISE = "Files cannot be stored or fetched right now. Messages still go through."


class StorageFailed(Unavailable):
    """The storage did not do what was asked; nothing is half done."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(_WORDS.get(reason, _OTHERWISE))
        self.reason = reason


class Missing(LookupError):
    """There is no such object."""


def failed(reason: Reason, *, where: str, name: str, detail: str) -> StorageFailed:
    """What to raise, once it is logged.

    `where` is the storage, `name` the object's; `detail` an error's name or number. Never a
    message of the client's library: it may quote addresses with credentials.
    """
    told = {"reason": str(reason), "storage": where, "object": name, "detail": detail}
    logger.error("storage_failed", extra=told)
    return StorageFailed(reason)


def _away(error: Exception) -> str:
    unreachable = isinstance(error, StorageFailed) and error.reason == Reason.UNREACHABLE
    return str(Reason.UNREACHABLE) if unreachable else ""


_SERVICE = Service("storage", away=_away, fine=(Missing,))


@contextmanager
def asked() -> Iterator[None]:
    """Around one call, in which errors are translated. Raises StorageFailed at once while the
    storage is left alone; that is not logged again."""
    try:
        with _SERVICE.asked():
            yield
    except LeftAlone:
        raise StorageFailed(Reason.UNREACHABLE) from None
