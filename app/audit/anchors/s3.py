"""S3, or what speaks like it, with Object Lock. Credentials come from boto3's own chain.

Needs s3:PutObject, s3:PutObjectRetention, s3:GetObject, s3:GetObjectRetention, s3:ListBucket.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.audit.anchors.anchor import AnchorFailed
from app.audit.anchors.bucket import AT_ONCE, CONTENT_TYPE, TIMEOUT, Bucket

_TAKEN = {"PreconditionFailed", "412"}
_SLACK = timedelta(days=1)


class _Told(Exception):
    """An error whose code the caller has an answer to."""


class S3Bucket(Bucket):
    """`s3://bucket/prefix?endpoint=https://…&region=…`"""

    @cached_property
    def _client(self) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.options.get("endpoint"),
            region_name=self.options.get("region"),
            config=Config(
                connect_timeout=TIMEOUT[0],
                read_timeout=TIMEOUT[1],
                retries={"total_max_attempts": 1},
                max_pool_connections=AT_ONCE,
            ),
        )

    def _put(self, key: str, content: bytes) -> bool:
        try:
            with self._faults(_TAKEN):
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=content,
                    ContentType=CONTENT_TYPE,
                    IfNoneMatch="*",
                    ObjectLockMode="COMPLIANCE",
                    ObjectLockRetainUntilDate=datetime.now(UTC) + self.period,
                )
        except _Told:
            return False
        return True

    def _get(self, key: str) -> bytes:
        with self._faults():
            found = self._client.get_object(Bucket=self.bucket, Key=key)
            with closing(found["Body"]) as body:  # also gives back a connection that broke off
                content: bytes = body.read()
                return content

    def _list(self, folder: str) -> Sequence[str]:
        with self._faults():
            pages = self._client.get_paginator("list_objects_v2")
            found = pages.paginate(Bucket=self.bucket, Prefix=folder)
            return [each["Key"] for page in found for each in page.get("Contents", ())]

    def _not_locked(self, key: str) -> str:
        # Some services take the headers of Object Lock and do nothing: look what became of them.
        with self._faults():
            found = self._client.head_object(Bucket=self.bucket, Key=key)
        if found.get("ObjectLockMode") != "COMPLIANCE":
            return "it took the checkpoint without a lock: whoever holds the bucket can delete it"
        until = found["ObjectLockRetainUntilDate"]
        if until < datetime.now(UTC) + self.period - _SLACK:
            return f"the checkpoint is locked until {until:%Y-%m-%d} only"
        return ""

    @contextmanager
    def _faults(self, told: Collection[str] = ()) -> Iterator[None]:
        """Raises _Told for an error whose code is in `told`, AnchorFailed for all others."""
        try:
            yield
        except ClientError as error:
            answer = error.response.get("Error", {})
            code = str(answer.get("Code", ""))
            if code in told:
                raise _Told from None
            raise AnchorFailed(f"{code}: {answer.get('Message', '')}") from error
        except (BotoCoreError, OSError) as error:
            raise AnchorFailed(type(error).__name__) from error
