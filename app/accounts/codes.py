"""Invitation codes: 192 random bits each, of which only a hash is kept."""

import secrets
from hashlib import sha256


def new_code() -> str:
    return secrets.token_urlsafe(24)


def hashed(code: str) -> bytes:
    """32 bytes. Plain SHA-256 is enough for what cannot be guessed."""
    return sha256(code.encode("utf-8", "surrogatepass")).digest()
