"""Key encryption: wraps data keys with keys that the database never sees.

A provider offers `provider`, `reference`, `wrap` and `unwrap`; `key_encryption` finds the one
that a row names. The local provider derives one key per organization from a single key file.
"""

import base64
import binascii
import os
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from app.encryption.envelope import KEY_BYTES, NONCE_BYTES, Fault, SealError
from app.encryption.models import KeyEncryptionKey


class LocalKeyEncryption:
    """The key encryption key of one organization, derived from `KEY_ENCRYPTION_KEY_FILE`."""

    provider = "local"

    def __init__(self, organization: UUID, key_id: UUID) -> None:
        root = _root(str(settings.KEY_ENCRYPTION_KEY_FILE or ""))
        self.reference = _fingerprint(root)
        info = b"parley/kek/v1" + organization.bytes + key_id.bytes
        self._cipher = AESGCM(_derive(root, info, KEY_BYTES))

    def wrap(self, key: bytes, binding: bytes) -> bytes:
        """nonce[12] ‖ AES-256-GCM(key) ‖ tag[16]; opens only with the same `binding`."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, binding)

    def unwrap(self, wrapped: bytes, binding: bytes) -> bytes:
        """The key of `wrap`; raises `SealError` (key_unavailable) on anything else."""
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], binding)
        except (InvalidTag, ValueError):
            raise SealError(
                Fault.KEY_UNAVAILABLE,
                "a data key was changed, or does not belong to its row",
            ) from None


def key_encryption(row: KeyEncryptionKey) -> LocalKeyEncryption:
    """The key that `row` names; `SealError` (key_unavailable) when we do not hold it."""
    if row.provider != LocalKeyEncryption.provider:
        raise SealError(Fault.KEY_UNAVAILABLE, f"no key provider is called {row.provider!r}")
    key = LocalKeyEncryption(row.organization_id, row.id)
    if key.reference != row.reference:
        raise SealError(
            Fault.KEY_UNAVAILABLE,
            f"KEY_ENCRYPTION_KEY_FILE holds the key {key.reference}, but this organization's"
            f" data keys were wrapped with {row.reference}",
        )
    return key


@lru_cache(maxsize=4)
def _root(path: str) -> bytes:
    """The 32 bytes that the file holds in base64; an error names the setting, never the text."""
    name = "KEY_ENCRYPTION_KEY_FILE"
    if not path:
        raise ImproperlyConfigured(f"{name} is missing: the file that holds the local key")
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise ImproperlyConfigured(f"{name} cannot be read: {error.strerror}") from None
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ImproperlyConfigured(f"{name} must hold {KEY_BYTES} bytes in base64")
    return key


def _fingerprint(root: bytes) -> str:
    return _derive(root, b"parley/kek-fingerprint/v1", 8).hex()


def _derive(root: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(root)
