"""What can go wrong with a storage: told to the operator in full, to the member in words."""

import logging
from enum import StrEnum

from app.errors import Unavailable

logger = logging.getLogger(__name__)


class Reason(StrEnum):
    FULL = "full"
    DENIED = "denied"
    NO_BUCKET = "no_bucket"
    UNREACHABLE = "unreachable"  # also a connection that was cut, or an answer too late
    FAILED = "failed"


_WORDS = {
    Reason.FULL: "There is no room left for files. Messages still go through.",
    Reason.DENIED: "Files cannot be stored or fetched: the storage refuses us. Messages still go"
    " through; tell whoever runs Parley.",
    Reason.NO_BUCKET: "Files cannot be stored or fetched: their storage is not there. Messages"
    " still go through; tell whoever runs Parley.",
}
_OTHERWISE = "Files cannot be stored or fetched right now. Messages still go through; try again."


class StorageFailed(Unavailable):
    """The storage did not do what was asked; nothing is half done."""

    def __init__(self, reason: Reason, *, where: str, name: str, detail: str) -> None:
        """`where` is the storage, `name` the object's; `detail` an error's name or number.

        Never a message of the client's library: it may quote addresses with credentials.
        """
        super().__init__(_WORDS.get(reason, _OTHERWISE))
        self.reason = reason
        told = {"reason": str(reason), "storage": where, "object": name, "detail": detail}
        logger.error("storage_failed", extra=told)


class Missing(LookupError):
    """There is no such object."""
