"""Blind words: what a database may hold so that a word can be found without being readable.

A word's number is the first 64 bits of HMAC-SHA256 under a key derived from the data key that
seals the text (HKDF info "parley/search/v1"): equal words are equal numbers within one
conversation and month, and nowhere else; without the data key a number tells nothing.
"""

import struct
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count, Max

from app.encryption.keyring import Begun, keyring
from app.encryption.models import DataKey

INFO = b"parley/search/v1"
_first_64_bits = struct.Struct(">q").unpack_from  # signed, as PostgreSQL's bigint is


class SearchMonth(NamedTuple):
    """The data keys (ids, 16 bytes) that seal in a month, of conversations to be searched."""

    month: date
    dek_ids: list[bytes]


def blind_words(dek_id: bytes, words: Iterable[str]) -> list[int]:
    """The words' numbers, each once and in the numbers' own order, which tells of no other.

    Raises `SealError` (unknown_key, erased, key_unavailable).
    """
    inner, outer = keyring.to_open(dek_id).begun(INFO)
    numbers = set()
    for word in words:  # in one loop: a quarter of what the gateway does to commit a message
        first, second = inner.copy(), outer.copy()
        first.update(word.encode())
        second.update(first.digest())
        numbers.add(_first_64_bits(second.digest())[0])
    return sorted(numbers)


def blind_under(dek_ids: Sequence[bytes], words: Iterable[str]) -> list[list[int]]:
    """For each word its number under each of the keys; a key erased meanwhile finds nothing.

    Thousands of keys: the loop is what there is to it. Raises `SealError` (key_unavailable).
    """
    begun = [key.begun(INFO) for key in keyring.all_to_open(dek_ids)]
    return [_under(begun, word.encode()) for word in words]


def _under(begun: Iterable[Begun], word: bytes) -> list[int]:
    numbers = []
    for inner, outer in begun:
        first, second = inner.copy(), outer.copy()
        first.update(word)
        second.update(first.digest())
        numbers.append(_first_64_bits(second.digest())[0])
    return numbers


_Known = list[tuple[date, list[tuple[bytes, bytes]]]]
"""By month, the latest first: the keys that are not destroyed, conversation and id."""
_known: dict[UUID, tuple[object, _Known]] = {}
_MOST = 64  # organizations


def search_months(
    organization: UUID, conversations: Collection[UUID], *, since: date
) -> list[SearchMonth]:
    """The keys of these conversations of the organization, since a month, the latest first.

    Thousands in a large organization, and the same at each search: remembered until the
    table says that one was added or destroyed.
    """
    rows = DataKey.objects.filter(organization_id=organization, destroyed_at=None)
    state = rows.aggregate(number=Count("pk"), last=Max("created_at"))
    known = _known.get(organization)
    if known is None or known[0] != state:
        known = (state, _by_month(organization))
        if len(_known) >= _MOST:
            _known.clear()
        _known[organization] = known
    chosen = {conversation.bytes for conversation in conversations}
    return [
        SearchMonth(month, [dek_id for conversation, dek_id in keys if conversation in chosen])
        for month, keys in known[1]
        if month >= since
    ]


def _by_month(organization: UUID) -> _Known:
    rows = DataKey.objects.filter(
        organization_id=organization, conversation_id__isnull=False, destroyed_at=None
    )
    months: dict[date, list[tuple[bytes, bytes]]] = defaultdict(list)
    for month, pk, room in rows.values_list("month", "pk", "conversation_id"):
        if room:
            months[month].append((room.bytes, pk.bytes))
    return sorted(months.items(), reverse=True)
