"""Blind words: what a database may hold so that a word can be found without being readable.

A word's number is the first 64 bits of its AES-256-CMAC under a key derived from the data key
that seals the text (HKDF info "parley/search/v2"): equal words are equal numbers within one
conversation and month, and nowhere else; without the data key a number tells nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count, Max

from app.encryption.keyring import keyring
from app.encryption.models import DataKey

INFO = b"parley/search/v2"


class SearchMonth(NamedTuple):
    """The data keys (ids, 16 bytes) that seal in a month, of conversations to be searched."""

    month: date
    dek_ids: list[bytes]


def blind_words(dek_id: bytes, words: Collection[bytes]) -> list[int]:
    """The numbers of words in UTF-8, each once and in the numbers' own order, which tells of no
    other.

    Raises `SealError` (unknown_key, erased, key_unavailable).
    """
    mac = keyring.to_open(dek_id).word_mac(INFO)
    return sorted({*mac.numbers(words)})


def blind_under(dek_ids: Sequence[bytes], words: Sequence[str]) -> list[list[int]]:
    """For each word its number under each of the keys; a key erased meanwhile finds nothing.

    Raises `SealError` (key_unavailable).
    """
    encoded = [word.encode() for word in words]
    held = keyring.all_to_open(dek_ids)
    under = [key.word_mac(INFO).numbers(encoded) for key in held]  # thousands of keys
    return [list(numbers) for numbers in zip(*under, strict=True)] or [[] for _ in words]


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
