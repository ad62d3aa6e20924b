"""Encryption of a finished package to the officer's key (age-encryption.org/v1).

Only X25519 recipients, age1…: a passphrase would have to travel through us.
"""

import os
from pathlib import Path

_PRIVATE = 0o600


def is_recipient(text: str) -> bool:
    """Whether a package can be encrypted to this."""
    # Late, because only who asks for an export needs it; it has no types.
    import pyrage  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        return False
    return True


def encrypt(plain: Path, sealed: Path, recipient: str) -> None:
    """Encrypt in constant memory. Raises OSError."""
    import pyrage  # noqa: PLC0415 - as above

    descriptor = os.open(sealed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with plain.open("rb") as reader, os.fdopen(descriptor, "wb") as writer:
        key = pyrage.x25519.Recipient.from_str(recipient)
        pyrage.encrypt_io(reader, writer, [key])
