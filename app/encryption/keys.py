"""Key encryption: wraps data keys with keys that the database never sees.

One interface, two providers. A row of `KeyEncryptionKey` names its provider and what the
provider finds the key by, so organizations may have different ones at the same time.
"""

from typing import Protocol
from uuid import UUID

from django.conf import settings

from app.encryption.cloud_kms import CloudKms
from app.encryption.local_keys import LocalKeyEncryption
from app.encryption.models import KeyEncryptionKey
from app.encryption.unavailable import KeyUnavailable


class KeyEncryption(Protocol):
    """A key encryption key. What `wrap` returns opens only with the same `binding`.

    Both raise KeyUnavailable, which names the key and why it cannot be used.
    """

    @property
    def provider(self) -> str: ...
    @property
    def reference(self) -> str: ...

    def wrap(self, key: bytes, binding: bytes) -> bytes: ...
    def unwrap(self, wrapped: bytes, binding: bytes) -> bytes: ...


def key_encryption(row: KeyEncryptionKey) -> KeyEncryption:
    """The key that `row` names. Raises KeyUnavailable when we do not hold it."""
    if row.provider == LocalKeyEncryption.provider:
        return LocalKeyEncryption(row.organization_id, row.id, row.reference)
    if row.provider == CloudKms.provider:
        return CloudKms(row.reference)
    raise KeyUnavailable(f"no key provider is called {row.provider!r}")


def configured_key_encryption(
    organization: UUID, key_id: UUID, *, kms_key: str | None = None
) -> KeyEncryption:
    """What the settings choose for a new row `key_id`, or the organization's own `kms_key`."""
    if kms_key or CloudKms.provider == settings.KEY_PROVIDER:
        return CloudKms(kms_key or settings.KMS_KEY)
    return LocalKeyEncryption(organization, key_id)
