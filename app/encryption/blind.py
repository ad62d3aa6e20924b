"""Blind words: what a database may hold so that a word can be found without being readable.

A word's number is the first 64 bits of HMAC-SHA256 under a key derived from the data key that
seals the text (HKDF info "parley/search/v1"): equal words are equal numbers within one
conversation and month, and nowhere else; without the data key a number tells nothing.
"""

import struct
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count, Max

from app.encryption.keyring import Begun, keyring
from app.encryption.models import DataKey

INFO = b"parley/search/v1"
_first_64_bits = struct.Struct(">q").unpack_from  # signed, as PostgreSQL's bigint is


class SearchKey(NamedTuple):
    """A data key whose conversation may be searched: `month` is the one that it seals in."""

    month: date
    dek_id: bytes
    conversation: bytes


def blind_words(dek_id: bytes, words: Iterable[str]) -> list[int]:
    """The words' numbers, each once and in the numbers' own order, which tells of no other.

    Raises `SealError` (unknown_key, erased, key_unavailable).
    """
    blind = keyring.to_open(dek_id).hmac
    return sorted({_first_64_bits(blind(INFO, word.encode()))[0] for word in words})


def blind_under(keys: Sequence[SearchKey], words: Iterable[str]) -> list[list[int]]:
    """For each word its number under each of the keys; a key erased meanwhile finds nothing.

    Thousands of keys: the loop is what there is to it. Raises `SealError` (key_unavailable).
    """
    begun = [key.begun(INFO) for key in keyring.all_to_open([key.dek_id for key in keys])]
    return [_under(begun, word.encode()) for word in words]


def _under(begun: Iterable[Begun], word: bytes) -> list[int]:
    numbers = []
    for inner, outer in begun:
        first, second = inner.copy(), outer.copy()
        first.update(word)
        second.update(first.digest())
        numbers.append(_first_64_bits(second.digest())[0])
    return numbers


_known: dict[UUID, tuple[object, list[SearchKey]]] = {}
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
        known = (state, _latest_first(organization))
        if len(_known) >= _MOST:
            _known.clear()
        _known[organization] = known
    chosen = {conversation.bytes for conversation in conversations}
    return [key for key in known[1] if key.conversation in chosen]


def _latest_first(organization: UUID) -> list[SearchKey]:
    rows = DataKey.objects.filter(
        organization_id=organization, conversation_id__isnull=False, destroyed_at=None
    ).values_list("month", "pk", "conversation_id")
    found = [SearchKey(month, pk.bytes, room.bytes) for month, pk, room in rows if room]
    return sorted(found, reverse=True)
