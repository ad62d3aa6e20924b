"""Blind words: what a database may hold so that a word can be found without being readable.

A word's number is the first 64 bits of HMAC-SHA256 under a key derived from the data key that
seals the text (HKDF info "parley/search/v1"): equal words are equal numbers within one
conversation and month, and nowhere else; without the data key a number tells nothing.
"""

import hmac
import struct
from collections.abc import Collection, Iterable
from datetime import date
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count, Max

from app.encryption.envelope import SealError
from app.encryption.keyring import derived_key, keyring
from app.encryption.models import DataKey

INFO = b"parley/search/v1"
_first_64_bits = struct.Struct(">q").unpack_from  # signed, as PostgreSQL's bigint is


class SearchKey(NamedTuple):
    """A data key whose conversation may be searched: `month` is the one that it seals in."""

    month: date
    dek_id: bytes


def blind_words(dek_id: bytes, words: Iterable[str]) -> list[int]:
    """The words' numbers, each once and in the numbers' own order, which tells of no other.

    Raises `SealError` (unknown_key, erased, key_unavailable).
    """
    key = derived_key(dek_id, INFO)
    digest = hmac.digest
    return sorted({_first_64_bits(digest(key, word.encode(), "sha256"))[0] for word in words})


def blind_word(keys: Collection[SearchKey], word: str) -> list[int]:
    """The word's number under each of the keys; a key erased meanwhile has nothing to find.

    Raises `SealError` (key_unavailable).
    """
    keyring.prefetch([key.dek_id for key in keys])
    encoded, digest, found = word.encode(), hmac.digest, []
    for key in keys:
        try:
            derived = derived_key(key.dek_id, INFO)
        except SealError as error:
            if not error.erased:
                raise
            continue
        found.append(_first_64_bits(digest(derived, encoded, "sha256"))[0])
    return found


_known: dict[UUID, tuple[object, dict[UUID, list[SearchKey]]]] = {}
_MOST = 64  # organizations


def search_keys(organization: UUID, conversations: Collection[UUID]) -> list[SearchKey]:
    """The keys of these conversations of the organization that are not destroyed, latest first.

    Thousands in a large organization, and the same at each search: remembered until the
    table says that one was added or destroyed.
    """
    rows = DataKey.objects.filter(organization_id=organization, destroyed_at=None)
    state = rows.aggregate(number=Count("pk"), last=Max("created_at"))
    known = _known.get(organization)
    if known is None or known[0] != state:
        known = (state, _by_conversation(organization))
        if len(_known) >= _MOST:
            _known.clear()
        _known[organization] = known
    found = [key for conversation in conversations for key in known[1].get(conversation, ())]
    return sorted(found, reverse=True)


def _by_conversation(organization: UUID) -> dict[UUID, list[SearchKey]]:
    rows = DataKey.objects.filter(
        organization_id=organization, conversation_id__isnull=False, destroyed_at=None
    ).values_list("conversation_id", "month", "pk")
    found: dict[UUID, list[SearchKey]] = {}
    for conversation, month, pk in rows:
        if conversation is not None:
            found.setdefault(conversation, []).append(SearchKey(month, pk.bytes))
    return found
