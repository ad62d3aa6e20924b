"""Google Cloud Storage. Credentials are the process's own (application default credentials)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import requests
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Client
from google.cloud.storage.retry import DEFAULT_RETRY

from app.chat.attachments.storage.faults import (
    TIMEOUT,
    Missing,
    Reason,
    StorageFailed,
    asked,
    failed,
)

# With jitter; no attempt begins after so many seconds. The first pauses are of 1, 2 and 4 s.
_RETRY = DEFAULT_RETRY.with_timeout(12.0)


class GoogleStorage:
    """`gs://bucket/prefix`; with `?endpoint=http://…` an emulator, without credentials."""

    def __init__(self, bucket: str, prefix: str, options: Mapping[str, str]) -> None:
        self._prefix = f"{prefix.strip('/')}/".lstrip("/")
        self._name = bucket
        with self._faults(""):
            self._bucket = _client(options).bucket(bucket)

    def put(self, name: str, data: bytes) -> None:
        with self._faults(name):
            try:
                self._bucket.blob(self._prefix + name).upload_from_string(
                    data,
                    content_type="application/octet-stream",
                    if_generation_match=0,
                    checksum="crc32c",
                    timeout=TIMEOUT,
                    retry=_RETRY,
                )
            except exceptions.PreconditionFailed:
                return

    def get(self, name: str) -> bytes:
        with self._faults(name):
            data: bytes = self._bucket.blob(self._prefix + name).download_as_bytes(
                timeout=TIMEOUT, retry=_RETRY, checksum="crc32c"
            )
            return data

    def delete(self, name: str) -> None:
        with self._faults(name):
            try:
                self._bucket.blob(self._prefix + name).delete(timeout=TIMEOUT, retry=_RETRY)
            except exceptions.NotFound:
                return

    def exists(self, name: str) -> bool:
        with self._faults(name):
            blob = self._bucket.blob(self._prefix + name)
            return bool(blob.exists(timeout=TIMEOUT, retry=_RETRY))

    @contextmanager
    def _faults(self, name: str) -> Iterator[None]:
        with asked():
            try:
                yield
            except exceptions.NotFound as error:
                # The same status for both; only a missing bucket is the operator's business.
                if "bucket does not exist" in str(error):
                    raise self._failed(Reason.NO_BUCKET, name, "404") from error
                raise Missing(name) from None
            except (exceptions.Forbidden, exceptions.Unauthorized, GoogleAuthError) as error:
                raise self._failed(Reason.DENIED, name, type(error).__name__) from error
            except (exceptions.RetryError, requests.RequestException, OSError) as error:
                raise self._failed(Reason.UNREACHABLE, name, type(error).__name__) from error
            except exceptions.ServerError as error:  # one that is not tried again
                raise self._failed(Reason.UNREACHABLE, name, type(error).__name__) from error
            except exceptions.GoogleAPIError as error:
                raise self._failed(Reason.FAILED, name, type(error).__name__) from error

    def _failed(self, reason: Reason, name: str, detail: str) -> StorageFailed:
        return failed(reason, where=f"gs://{self._name}", name=name, detail=detail)


def _client(options: Mapping[str, str]) -> Client:
    endpoint = options.get("endpoint")
    if endpoint is None:
        return Client()
    return Client(
        project="emulated",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": endpoint},
    )
