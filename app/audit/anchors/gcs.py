"""Google Cloud Storage with a locked retention policy. Credentials are the process's own.

Needs storage.objects.create, .get and .list, and storage.buckets.get to see the policy.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import requests
from google.api_core.exceptions import Forbidden, GoogleAPIError, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Client

from app.audit.anchors.anchor import AnchorFailed
from app.audit.anchors.bucket import CONTENT_TYPE, TIMEOUT, Bucket


class GoogleBucket(Bucket):
    """`gs://bucket/prefix`; with `?endpoint=http://…` an emulator, without credentials."""

    @cached_property
    def _bucket(self) -> Any:
        with self._faults():
            if endpoint := self.options.get("endpoint"):
                return Client(
                    project="none",
                    credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
                    client_options={"api_endpoint": endpoint},
                ).bucket(self.bucket)
            return Client().bucket(self.bucket)

    def _put(self, key: str, content: bytes) -> bool:
        with self._faults():
            blob = self._bucket.blob(key)
            try:
                blob.upload_from_string(
                    content, CONTENT_TYPE, if_generation_match=0, timeout=TIMEOUT, retry=None
                )
            except PreconditionFailed:
                return False
        return True

    def _get(self, key: str) -> bytes:
        with self._faults():
            blob = self._bucket.blob(key)
            content: bytes = blob.download_as_bytes(timeout=TIMEOUT, retry=None)
            return content

    def _list(self, folder: str) -> Sequence[str]:
        with self._faults():
            found = self._bucket.list_blobs(prefix=folder, timeout=TIMEOUT, retry=None)
            return [blob.name for blob in found]

    def _not_locked(self, key: str) -> str:
        with self._faults():
            try:
                self._bucket.reload(timeout=TIMEOUT, retry=None)
            except Forbidden:
                return "it does not let us see whether its retention policy is locked"
        period = self._bucket.retention_period  # seconds
        if period is None or not self._bucket.retention_policy_locked:
            return "its retention policy is not locked: whoever holds the bucket can delete"
        if period < self.period.total_seconds():
            return f"its retention policy keeps a checkpoint for {period // 86400} days only"
        return ""

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except GoogleAPIError as error:
            reason = getattr(error, "message", "") or type(error).__name__
            raise AnchorFailed(str(reason)) from error
        except (GoogleAuthError, requests.RequestException, OSError) as error:
            raise AnchorFailed(type(error).__name__) from error
