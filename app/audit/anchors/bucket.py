"""Buckets whose objects nobody can delete before their time: one object for each checkpoint.

An object is named by log and size, `<prefix>/<organization>/<size, 20 digits>`, and is never
written over: a second history of the same size is refused by the bucket, and noticed.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from app.audit.anchors.anchor import Kept, Submission, agree

TIMEOUT = (5.0, 20.0)  # seconds: to connect, to wait for an answer
CONTENT_TYPE = "text/plain; charset=utf-8"
AT_ONCE = 8  # objects that are read back at the same time


@dataclass(frozen=True)
class Bucket:
    """What both kinds share; neither client tries again by itself, because the schedule does.

    `period` is how long an object must be kept, `options` are those of the bucket's URL.
    """

    name: str
    bucket: str
    prefix: str
    every: timedelta
    period: timedelta
    options: Mapping[str, str] = field(default_factory=dict)

    def keep(self, submission: Submission, last: int) -> Kept:
        key = f"{self._folder(submission.organization)}{submission.size:020}"
        if not self._put(key, submission.note.encode()):
            agree(submission, self._get(key).decode(errors="replace"), f"{key} in {self.name}")
        return Kept(warning=self._not_locked(key))

    def kept(self, submission: Submission, last: int) -> Iterable[str]:
        keys = self._list(self._folder(submission.organization))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [found.decode(errors="replace") for found in pool.map(self._get, keys)]

    def _folder(self, organization: UUID) -> str:
        return "/".join(filter(None, (self.prefix, str(organization), ""))) + "/"

    def _put(self, key: str, content: bytes) -> bool:
        """Write the object; False if one is there already."""
        raise NotImplementedError

    def _get(self, key: str) -> bytes:
        raise NotImplementedError

    def _list(self, folder: str) -> Sequence[str]:
        raise NotImplementedError

    def _not_locked(self, key: str) -> str:
        """Why the object could be deleted before its time; "" if it cannot."""
        raise NotImplementedError
