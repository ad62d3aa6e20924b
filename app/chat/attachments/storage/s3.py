"""Anything that speaks S3: Amazon's, MinIO, Ceph. Credentials come from boto3's own chain."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    NoCredentialsError,
    ResponseStreamingError,
)

from app.chat.attachments.storage.faults import (
    ATTEMPTS,
    TIMEOUT,
    Missing,
    Reason,
    StorageFailed,
    asked,
    failed,
)

_CONFIG = Config(
    connect_timeout=TIMEOUT[0],
    read_timeout=TIMEOUT[1],
    # With pauses of up to 1, 2, 4 … s, each of a random length.
    retries={"mode": "standard", "max_attempts": ATTEMPTS},
)
_ABSENT = {"NoSuchKey", "404", "NotFound"}
# 412 where it exists, 409 where somebody else is putting it at this moment.
_TAKEN = {"PreconditionFailed", "412", "ConditionalRequestConflict"}
_REASONS = {
    "AccessDenied": Reason.DENIED,
    "403": Reason.DENIED,
    "InvalidAccessKeyId": Reason.DENIED,
    "SignatureDoesNotMatch": Reason.DENIED,
    "ExpiredToken": Reason.DENIED,
    "NoSuchBucket": Reason.NO_BUCKET,
    "XMinioStorageFull": Reason.FULL,
    "QuotaExceeded": Reason.FULL,
}


class S3Storage:
    """`s3://bucket/prefix?endpoint=https://…&region=…`"""

    def __init__(self, bucket: str, prefix: str, options: Mapping[str, str]) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/".lstrip("/")
        self._client = boto3.session.Session().client(
            "s3",
            endpoint_url=options.get("endpoint"),
            region_name=options.get("region"),
            config=_CONFIG,
        )

    def put(self, name: str, data: bytes) -> None:
        with self._faults(name):
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=self._prefix + name, Body=data, IfNoneMatch="*"
                )
            except ClientError as error:
                if _code(error) not in _TAKEN:
                    raise

    def get(self, name: str) -> bytes:
        with self._faults(name):
            for _ in range(ATTEMPTS - 1):
                # boto3 tries requests again, but not answers that break off.
                with suppress(ResponseStreamingError, IncompleteReadError):
                    return self._read(name)
            return self._read(name)

    def _read(self, name: str) -> bytes:
        found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
        with closing(found["Body"]) as body:  # also gives back a connection that broke off
            data: bytes = body.read()
            return data

    def delete(self, name: str) -> None:
        with self._faults(name):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def exists(self, name: str) -> bool:
        with self._faults(name):
            try:
                self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return False
                raise
            return True

    @contextmanager
    def _faults(self, name: str) -> Iterator[None]:
        with asked():
            try:
                yield
            except ClientError as error:
                code = _code(error)
                if code in _ABSENT:
                    raise Missing(name) from None
                raise self._failed(_reason(error), name, code) from error
            except NoCredentialsError as error:
                raise self._failed(Reason.DENIED, name, "NoCredentials") from error
            except (BotoCoreError, OSError) as error:
                raise self._failed(Reason.UNREACHABLE, name, type(error).__name__) from error

    def _failed(self, reason: Reason, name: str, detail: str) -> StorageFailed:
        return failed(reason, where=f"s3://{self._bucket}", name=name, detail=detail)


def _reason(error: ClientError) -> Reason:
    known = _REASONS.get(_code(error))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return known or (Reason.UNREACHABLE if status >= 500 else Reason.FAILED)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
