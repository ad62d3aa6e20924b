"""Where sealed parts are kept: a folder, Google Cloud Storage, or anything that speaks S3.

An object is at most one part (4 MiB) and comes or goes in one request, so nothing is ever
half-written and no multipart upload is left behind. It is written once: whoever puts a second
one under the same name changes nothing.
"""

from functools import lru_cache
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from django.conf import settings

from app.chat.attachments.storage.faults import Missing, Reason, StorageFailed

__all__ = ["Missing", "Reason", "Storage", "StorageFailed", "in_use", "storage"]


class Storage(Protocol):
    """All raise StorageFailed, having logged what failed and where."""

    def put(self, name: str, data: bytes) -> None:
        """Store all of it or nothing. Where the object exists already, it stays as it is."""

    def get(self, name: str) -> bytes:
        """Raises Missing where there is none."""

    def delete(self, name: str) -> None:
        """Where there is none, that is fine."""

    def exists(self, name: str) -> bool:
        """Asked of the storage itself, not of a cache."""


def storage() -> Storage:
    """The one that `settings.ATTACHMENT_STORAGE` names."""
    return _at(settings.ATTACHMENT_STORAGE)


def in_use() -> bool:
    """Whether this process has handled a file: only then it has loaded what that takes."""
    return _at.cache_info().currsize > 0


@lru_cache(maxsize=4)
def _at(url: str) -> Storage:
    # The clients are large and slow to import: only the one that is used.
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    match parts.scheme:
        case "gs":
            from app.chat.attachments.storage.gcs import GoogleStorage  # noqa: PLC0415

            return GoogleStorage(parts.netloc, parts.path, options)
        case "s3":
            from app.chat.attachments.storage.s3 import S3Storage  # noqa: PLC0415

            return S3Storage(parts.netloc, parts.path, options)
        case _:
            from app.chat.attachments.storage.folder import FolderStorage  # noqa: PLC0415

            return FolderStorage(parts.path)
