"""Key encryption with files: one key per organization, derived from what a file holds.

For one machine, and for whoever keeps keys in a secret store that shows them as files.
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

from app.encryption.envelope import KEY_BYTES, NONCE_BYTES
from app.encryption.unavailable import KeyUnavailable


class LocalKeyEncryption:
    """The key encryption key of one organization.

    `reference` is the fingerprint of the file that it is derived from: by default the file in
    force, `KEY_ENCRYPTION_KEY_FILE`; an earlier one is found among `KEY_ENCRYPTION_KEY_FILES_OLD`.
    Raises KeyUnavailable, naming the fingerprints, where none of the files has it.
    """

    provider = "local"

    def __init__(self, organization: UUID, key_id: UUID, reference: str | None = None) -> None:
        root = _root_in_force() if reference is None else _root_with(reference)
        self.reference = _fingerprint(root)
        info = b"parley/kek/v1" + organization.bytes + key_id.bytes
        self._cipher = AESGCM(_derive(root, info, KEY_BYTES))

    def wrap(self, key: bytes, binding: bytes) -> bytes:
        """nonce[12] ‖ AES-256-GCM(key) ‖ tag[16]; opens only with the same `binding`."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, binding)

    def unwrap(self, wrapped: bytes, binding: bytes) -> bytes:
        """The key of `wrap`; raises KeyUnavailable on anything else."""
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], binding)
        except (InvalidTag, ValueError):
            raise KeyUnavailable("a data key was changed, or does not belong to its row") from None


def _root_in_force() -> bytes:
    return _root("KEY_ENCRYPTION_KEY_FILE", str(settings.KEY_ENCRYPTION_KEY_FILE or ""))


def _root_with(reference: str) -> bytes:
    found: list[str] = []
    if settings.KEY_ENCRYPTION_KEY_FILE or not settings.KEY_ENCRYPTION_KEY_FILES_OLD:
        found.append(_fingerprint(root := _root_in_force()))
        if found[-1] == reference:
            return root
    for path in settings.KEY_ENCRYPTION_KEY_FILES_OLD:
        found.append(_fingerprint(root := _root("KEY_ENCRYPTION_KEY_FILES_OLD", path)))
        if found[-1] == reference:
            return root
    raise KeyUnavailable(
        "KEY_ENCRYPTION_KEY_FILE and KEY_ENCRYPTION_KEY_FILES_OLD hold the keys"
        f" {', '.join(found)}, but this organization's data keys were wrapped with {reference}"
    )


@lru_cache(maxsize=8)
def _root(name: str, path: str) -> bytes:
    """The 32 bytes that the file holds in base64; an error names the setting, never the text."""
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
