"""Key encryption by Google Cloud KMS: the key never leaves it, and each use is in its own log.

https://cloud.google.com/kms/docs/encrypt-decrypt, with the additional authenticated data and the
checksums of https://cloud.google.com/kms/docs/data-integrity-guidelines. Calls are bounded: at
most `ATTEMPT` seconds each, `PATIENCE` with all repetitions. After a failure a key is left alone
for a moment (`app.outside`), so that those who ask for it do not queue up behind it.

Google's client is imported at the first use, in the process that uses it: gRPC survives no fork.
"""

import logging
import os
from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

from app.encryption.unavailable import KeyUnavailable
from app.outside import LeftAlone, Service

if TYPE_CHECKING:
    from google.cloud.kms_v1 import KeyManagementServiceClient

logger = logging.getLogger(__name__)

ATTEMPT = 2.0
PATIENCE = 4.0
_CHECKED_TIMES = 3

_CAUSES = {
    "PERMISSION_DENIED": "this service's account may not use it (it needs"
    " roles/cloudkms.cryptoKeyEncrypterDecrypter on the key)",
    "UNAUTHENTICATED": "this service has no valid credentials of Google's",
    "FAILED_PRECONDITION": "the version of the key that is needed is disabled or destroyed",
    "NOT_FOUND": "there is no such key, or this service's account may not see it",
    "INVALID_ARGUMENT": "a data key was changed, or does not belong to its row",
    "RESOURCE_EXHAUSTED": "the quota of Cloud KMS is used up",
    "CHECKSUM": "its answers do not match their checksums, or name another key",
}
_OF_ONE_DATA_KEY = "INVALID_ARGUMENT"


class _Damaged(Exception):
    """Each answer was changed on its way."""


class CloudKms:
    """One symmetric key of Cloud KMS; `reference` is its resource name, without a version.

    Encrypts with the key's primary version; what an earlier one encrypted opens while that one
    is enabled.
    """

    provider = "cloud-kms"

    def __init__(self, reference: str) -> None:
        self.reference = reference

    def wrap(self, key: bytes, binding: bytes) -> bytes:
        """Cloud KMS's ciphertext; opens only with the same `binding`. Raises KeyUnavailable."""
        return self._checked("encrypt", lambda: self._encrypt(key, binding))

    def unwrap(self, wrapped: bytes, binding: bytes) -> bytes:
        """The key of `wrap`. Raises KeyUnavailable."""
        return self._checked("decrypt", lambda: self._decrypt(wrapped, binding))

    def _encrypt(self, key: bytes, binding: bytes) -> bytes | None:
        answer = _client().encrypt(
            request={
                "name": self.reference,
                "plaintext": key,
                "additional_authenticated_data": binding,
                "plaintext_crc32c": _crc32c(key),
                "additional_authenticated_data_crc32c": _crc32c(binding),
            },
            **_bounds(),
        )
        whole = (
            answer.verified_plaintext_crc32c
            and answer.verified_additional_authenticated_data_crc32c
            and _matches(answer.ciphertext, answer.ciphertext_crc32c)
            # The version that was used is named: another key's must not wrap ours.
            and answer.name.startswith(f"{self.reference}/cryptoKeyVersions/")
        )
        return bytes(answer.ciphertext) if whole else None

    def _decrypt(self, wrapped: bytes, binding: bytes) -> bytes | None:
        answer = _client().decrypt(
            request={
                "name": self.reference,
                "ciphertext": wrapped,
                "additional_authenticated_data": binding,
                "ciphertext_crc32c": _crc32c(wrapped),
                "additional_authenticated_data_crc32c": _crc32c(binding),
            },
            **_bounds(),
        )
        whole = _matches(answer.plaintext, answer.plaintext_crc32c)
        return bytes(answer.plaintext) if whole else None

    def _checked(self, verb: str, call: Callable[[], bytes | None]) -> bytes:
        """What `call` returns; None is an answer that was changed on its way: asked again."""
        from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

        try:
            with _service(self.reference).asked():
                return _whole(call)
        except LeftAlone as left:
            raise self._unavailable(verb, left.told) from None
        except (GoogleAPIError, GoogleAuthError, _Damaged) as error:
            status = _status(error)
            logger.error("key_unavailable", extra={"key": self.reference, "status": status})
            raise self._unavailable(verb, status) from error

    def _unavailable(self, verb: str, status: str) -> KeyUnavailable:
        cause = _CAUSES.get(status, "it cannot be reached, or does not answer in time")
        return KeyUnavailable(
            f"Cloud KMS does not {verb} with {self.reference}: {cause} [{status}]"
        )


def _whole(call: Callable[[], bytes | None]) -> bytes:
    for _ in range(_CHECKED_TIMES):
        if (answer := call()) is not None:
            return answer
    raise _Damaged


@cache
def _service(reference: str) -> Service:
    """A key that is disabled, or may not be used, is away; others of the same KMS are not."""
    return Service("kms", away=_away)


def _away(error: Exception) -> str:
    status = _status(error)
    return "" if status == _OF_ONE_DATA_KEY else status


def _status(error: Exception) -> str:
    """The name of gRPC's status, such as PERMISSION_DENIED, or of our time being over."""
    if isinstance(error, _Damaged):
        return "CHECKSUM"
    cause: Any = getattr(error, "cause", None) or error  # RetryError tells of the last one
    code = getattr(cause, "grpc_status_code", None)
    return str(code.name) if code is not None else type(cause).__name__


def _bounds() -> dict[str, Any]:
    from google.api_core import exceptions, retry  # noqa: PLC0415
    from google.api_core.timeout import ConstantTimeout  # noqa: PLC0415

    passing = (exceptions.ServiceUnavailable, exceptions.DeadlineExceeded)
    again = retry.Retry(
        predicate=retry.if_exception_type(*passing),
        initial=0.1,
        maximum=1.0,
        multiplier=2.0,
        timeout=PATIENCE - ATTEMPT,
    )
    each: Any = ConstantTimeout  # its annotations are not complete
    return {"retry": again, "timeout": each(ATTEMPT)}


@lru_cache(maxsize=1)
def _connected(insecure_endpoint: str) -> "KeyManagementServiceClient":
    from google.cloud.kms_v1 import KeyManagementServiceClient  # noqa: PLC0415

    if not insecure_endpoint:
        return KeyManagementServiceClient()
    import grpc  # noqa: PLC0415
    from google.cloud.kms_v1.services.key_management_service.transports import (  # noqa: PLC0415
        KeyManagementServiceGrpcTransport,
    )

    channel = grpc.insecure_channel(insecure_endpoint)
    return KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))


def _client() -> "KeyManagementServiceClient":
    return _connected(settings.KMS_INSECURE_LOOPBACK_ENDPOINT)


_left_to_the_parent: list[Any] = []


def _after_fork() -> None:
    # Kept, never closed: closing a channel that only the parent's threads serve would hang.
    if _connected.cache_info().currsize:
        _left_to_the_parent.append(_client())
        _connected.cache_clear()


os.register_at_fork(after_in_child=_after_fork)


def _crc32c(data: bytes) -> int:
    import google_crc32c  # noqa: PLC0415

    value: int = google_crc32c.value(data)
    return value


def _matches(data: bytes, checksum: Any) -> bool:
    return checksum is not None and int(checksum) == _crc32c(data)
