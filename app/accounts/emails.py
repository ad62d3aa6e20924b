"""Addresses as keys: one spelling, and an index that tells nothing without its key."""

import unicodedata

from app.encryption.fields import blind_index


def normalised(email: str) -> str:
    """The one spelling under which an address is kept and looked for.

    The part before the @ is folded too: no provider in use distinguishes case there, and two
    accounts that differ by case alone would be a way to be mistaken for somebody.
    """
    return unicodedata.normalize("NFKC", email.strip()).casefold()


def email_index(email: str) -> bytes:
    """32 bytes by which a user is found: HMAC of the normalised address."""
    return blind_index(normalised(email), purpose="email")
