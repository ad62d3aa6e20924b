"""What a bucket keeps: objects in files, generations, preconditions (412) and retention (403).

The half of `tests.fakes.gcs` that knows of no HTTP.
"""

import base64
import hashlib
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import google_crc32c

_PIECE = 64 * 1024


class Refused(Exception):
    """An error of the API: status, machine-readable reason, message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


@dataclass
class Stored:
    """An object's current generation; `file` holds its bytes."""

    name: str
    file: Path
    size: int
    crc32c: str
    md5: str
    generation: int
    content_type: str
    metadata: dict[str, str]
    created: datetime


@dataclass
class Bucket:
    name: str
    retention: timedelta | None = None
    locked: bool = False
    objects: dict[str, Stored] = field(default_factory=dict)

    def kept_until(self, stored: Stored) -> datetime | None:
        return stored.created + self.retention if self.retention else None


class Buckets:
    """Of one service; changed by many threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.buckets: dict[str, Bucket] = {}
        self._generation = 1_700_000_000_000_000

    def make_bucket(
        self, name: str, *, retention: timedelta | None = None, locked: bool = False
    ) -> Bucket:
        with self.lock:
            bucket = self.buckets[name] = Bucket(name, retention, locked)
            return bucket

    def read(self, bucket: str, name: str) -> bytes:
        """What is stored, past all faults."""
        return self.buckets[bucket].objects[name].file.read_bytes()

    def new_file(self) -> Path:
        return self.folder / secrets.token_hex(8)

    def bucket(self, name: str) -> Bucket:
        if name not in self.buckets:
            raise Refused(404, "notFound", "The specified bucket does not exist.")
        return self.buckets[name]

    def stored(self, bucket: str, name: str) -> Stored:
        found = self.bucket(bucket).objects.get(name)
        if found is None:
            raise Refused(404, "notFound", f"No such object: {bucket}/{name}")
        return found

    def store(
        self, bucket_name: str, query: dict[str, str], resource: dict[str, Any], file: Path
    ) -> Stored:
        """Make `file` the object's next generation. Raises Refused; the file is then gone."""
        name = query.get("name") or resource.get("name", "")
        crc32c, md5, size = _digests(file)
        try:
            if not name:
                raise Refused(400, "required", "Required")
            for key, found in (("crc32c", crc32c), ("md5Hash", md5)):
                if resource.get(key, found) != found:
                    raise Refused(400, "invalid", f"Provided {key} doesn't match calculated one.")
            with self.lock:
                bucket = self.bucket(bucket_name)
                old = bucket.objects.get(name)
                check_preconditions(query, old)
                if old:
                    self._check_retention(bucket, old)
                self._generation += 1
                stored = Stored(
                    name, file, size, crc32c, md5, self._generation,
                    resource.get("contentType", "application/octet-stream"),
                    resource.get("metadata", {}), datetime.now(UTC),
                )  # fmt: skip
                bucket.objects[name] = stored
                if old:
                    old.file.unlink()
                return stored
        except Refused:
            file.unlink()
            raise

    def delete(self, bucket_name: str, name: str, query: dict[str, str]) -> None:
        with self.lock:
            stored = self.stored(bucket_name, name)
            check_preconditions(query, stored)
            self._check_retention(self.bucket(bucket_name), stored)
            del self.buckets[bucket_name].objects[name]
            stored.file.unlink()

    def _check_retention(self, bucket: Bucket, stored: Stored) -> None:
        until = bucket.kept_until(stored)
        if until and until > datetime.now(UTC):
            raise Refused(
                403,
                "retentionPolicyNotMet",
                f"Object '{bucket.name}/{stored.name}' is subject to bucket's retention policy "
                f"or object retention and cannot be deleted or overwritten until {until:%FT%TZ}",
            )

    def object_resource(self, bucket_name: str, stored: Stored) -> dict[str, Any]:
        until = self.bucket(bucket_name).kept_until(stored)
        resource = {
            "kind": "storage#object",
            "id": f"{bucket_name}/{stored.name}/{stored.generation}",
            "name": stored.name,
            "bucket": bucket_name,
            "generation": str(stored.generation),
            "metageneration": "1",
            "contentType": stored.content_type,
            "size": str(stored.size),
            "crc32c": stored.crc32c,
            "md5Hash": stored.md5,
            "etag": f"g{stored.generation}",
            "metadata": stored.metadata,
            "timeCreated": _time(stored.created),
            "updated": _time(stored.created),
            "storageClass": "STANDARD",
        }
        return resource | ({"retentionExpirationTime": _time(until)} if until else {})

    def bucket_resource(self, bucket: Bucket) -> dict[str, Any]:
        resource: dict[str, Any] = {
            "kind": "storage#bucket",
            "id": bucket.name,
            "name": bucket.name,
            "metageneration": "1",
            "location": "US",
            "storageClass": "STANDARD",
        }
        if bucket.retention:
            resource["retentionPolicy"] = {
                "retentionPeriod": str(int(bucket.retention.total_seconds())),
                "effectiveTime": _time(datetime.now(UTC)),
                "isLocked": bucket.locked,
            }
        return resource


def check_preconditions(query: dict[str, str], found: Stored | None) -> None:
    """`ifGenerationMatch=0` means: only if there is none. Raises Refused (412)."""
    generation = found.generation if found else 0
    wanted = query.get("ifGenerationMatch")
    unwanted = query.get("ifGenerationNotMatch")
    if (wanted is not None and int(wanted) != generation) or (
        unwanted is not None and int(unwanted) == generation
    ):
        message = "At least one of the pre-conditions you specified did not hold."
        raise Refused(412, "conditionNotMet", message)


def _digests(file: Path) -> tuple[str, str, int]:
    """CRC32C and MD5 in base64, and the size."""
    crc: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    md5, size = hashlib.md5(usedforsecurity=False), 0
    with file.open("rb") as content:
        while piece := content.read(_PIECE):
            crc.update(piece)
            md5.update(piece)
            size += len(piece)
    return base64.b64encode(crc.digest()).decode(), base64.b64encode(md5.digest()).decode(), size


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
