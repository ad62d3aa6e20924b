"""Finds messages, newest first: opens the newest, asks the index for older ones, opens the rest.

Whose conversations are given has been decided by the caller. Every hit was opened and really
says what is looked for: the index only says where to look. Work is bounded by SECONDS; where
it ends early, the answer says from where to go on.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from app.chat.access import readable
from app.chat.search.words import Phrase, look_up, says
from app.encryption.blind import SearchKey, blind_word, hold, search_keys
from app.encryption.fields import open_token, prefetch_data_keys

SECONDS = 1.0
NEWEST = 300
"""So many messages are opened first: a common word is found sooner that way than by index."""
CHUNKS = (1000, 4000)
"""So many messages are then opened at a time, the second number again and again."""
CANDIDATES = 200
"""So many messages that the index names are opened at a time."""
LOOKED_UP = 4
"""So many words of a query are looked up in the index; the others are compared after opening."""
DENSE = 1500
"""So many messages may be opened to fill a page, where the newest promise as much."""
WAVE = 500
"""About so many keys are asked for at a time: a query with more takes more for each of them."""


class Place(NamedTuple):
    """Where a message stands among all: later ones are greater."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        """For a client to hand back: microseconds since 1970 and the id, in hex."""
        return f"{(self.at - _EPOCH) // _MICROSECOND:x}-{self.id.hex}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Raises ValueError."""
        moment, id_ = text.split("-")
        at = _EPOCH + _MICROSECOND * int(moment, 16)
        return cls(at, UUID(id_))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


LATEST = Place(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))
EARLIEST = Place(datetime.min.replace(tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True, slots=True)
class Criteria:
    """What to look for; `since` that moment or later, `until` before that moment.

    Without phrases, every message that the rest lets through.
    """

    phrases: Sequence[Phrase] = ()
    authors: frozenset[UUID] | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    message: UUID
    at: datetime
    text: str

    @property
    def place(self) -> Place:
        return Place(self.at, self.message)


@dataclass(frozen=True, slots=True)
class Found:
    """Hits, the newest first; `next` is where to go on, None when there is nothing further."""

    hits: list[Hit]
    next: Place | None
    opened: int
    """How many messages were opened for it."""


def find(
    organization: UUID,
    conversations: Collection[UUID],
    criteria: Criteria,
    *,
    indexed: Place,
    before: Place = LATEST,
    limit: int,
) -> Found:
    """Messages of these conversations of the organization that stand before `before`.

    The index is asked for what stands at `indexed` or later. Deleted and erased messages are
    left out; edited ones count with their present text. Raises Unavailable while keys are not
    to be had.
    """
    if criteria.until is not None:
        before = min(before, _start_of(criteria.until))
    search = _Search(organization, list(conversations), criteria, limit, before)
    search.open_newest()
    if criteria.phrases:
        search.ask_index(indexed)
    for size in _sizes():
        if search.done:
            break
        search.open_some(size)
    return Found(search.hits, None if search.ended else search.place, search.opened)


_Row = tuple[str, str, datetime, int, UUID, str | None]
"""Message, conversation, time, revision, version, sealed text (none: deleted meanwhile).

Two ids as texts: making UUIDs of them would cost more than opening the message.
"""


@dataclass(slots=True)
class _Search:
    """A search under way: whatever stands at `place` or later has been seen."""

    organization: UUID
    conversations: list[UUID]
    criteria: Criteria
    limit: int
    place: Place
    allowed: dict[str, UUID] = field(default_factory=dict)
    hits: list[Hit] = field(default_factory=list)
    opened: int = 0
    bottom: Place = EARLIEST
    deadline: float = 0.0

    def __post_init__(self) -> None:
        self.allowed = {str(conversation): conversation for conversation in self.conversations}
        self.deadline = time.monotonic() + SECONDS
        if self.criteria.since is not None:
            self.bottom = _start_of(self.criteria.since)
        if not self.conversations:
            self.place = self.bottom

    @property
    def ended(self) -> bool:
        return self.place <= self.bottom

    @property
    def late(self) -> bool:
        return time.monotonic() > self.deadline

    @property
    def done(self) -> bool:
        return self.ended or len(self.hits) >= self.limit or self.late

    def open_newest(self) -> None:
        """Open the newest, and as many more as fill the page if it goes on like that."""
        self.open_some(NEWEST)
        while self.hits and not self.done:
            missing = self.limit - len(self.hits)
            more = missing * self.opened // len(self.hits) + self.limit
            if self.opened + more > DENSE:
                return
            self.open_some(more)

    def open_some(self, size: int) -> None:
        """Open the next `size` messages."""
        if self.ended:
            return
        rows = self._rows(_MESSAGES, self.place, self.bottom, size)
        self._take(self._hits(rows), _place(rows[-1]) if len(rows) == size else self.bottom)

    def ask_index(self, indexed: Place) -> None:
        """Look at what the index names between `place` and `indexed`."""
        low = max(indexed, self.bottom)
        if self.done or self.place <= low:
            return
        words = look_up(self.criteria.phrases)[:LOOKED_UP]
        held: list[Hit] = []
        stopped = low
        for wave in _waves(self._keys(low)):
            hold(wave)
            numbers = [blind_word(wave, word) for word in words]
            hits, wave_stopped = self._in_wave(numbers, low)
            held += hits
            stopped = max(stopped, wave_stopped)
            # A text's key is of the month in which it was sent, or edited: what was sent since
            # the first month of this wave, is in this wave or one before it.
            seen = max(stopped, _start_of(_midnight(wave[-1].month)))
            if len(self.hits) + sum(hit.place >= seen for hit in held) >= self.limit or self.late:
                break
        else:
            seen = stopped
        held.sort(key=lambda hit: hit.place, reverse=True)
        self._take([hit for hit in held if hit.place >= seen], seen)

    def _in_wave(self, numbers: list[list[int]], low: Place) -> tuple[list[Hit], Place]:
        """A page of hits at most, and down to where all were looked at."""
        hits: list[Hit] = []
        place = self.place
        while True:
            rows = self._candidates(numbers, place, low)
            hits += self._hits(rows)
            if len(rows) < CANDIDATES:
                return hits, low
            place = _place(rows[-1])
            if len(self.hits) + len(hits) >= self.limit or self.late:
                return hits, place

    def _keys(self, low: Place) -> list[SearchKey]:
        first = low.at.date().replace(day=1)
        keys = search_keys(self.organization, self.conversations)
        return [key for key in keys if key.month >= first]

    def _candidates(self, numbers: list[list[int]], place: Place, low: Place) -> list[_Row]:
        values = {f"word_{at}": _array(row) for at, row in enumerate(numbers)}
        names = ", ".join(f"%({name})s::bigint[]" for name in values)
        columns = ", ".join(values)
        source = _OF_ONE_WORD if len(values) == 1 else _OF_MORE_WORDS
        source = source.replace("<names>", names).replace("<columns>", columns)
        return self._rows(source, place, low, CANDIDATES, values)

    def _rows(
        self, source: str, place: Place, low: Place, size: int, values: dict[str, Any] | None = None
    ) -> list[_Row]:
        authors = self.criteria.authors
        filtered = "" if authors is None else "AND author_id = ANY(%(authors)s::uuid[])"
        given = {
            "conversations": self.conversations,
            "authors": list(authors or ()),
            "at": place.at,
            "id": place.id,
            "low_at": low.at,
            "low_id": low.id,
            "size": size,
            **(values or {}),
        }
        with connection.cursor() as cursor:
            cursor.execute(source.replace("<authors>", filtered), given)
            rows: list[_Row] = cursor.fetchall()
        return rows

    def _hits(self, rows: list[_Row]) -> list[Hit]:
        """Those of the rows that say what is looked for."""
        # One text stands for all that were sent in its conversation and month.
        some = {(row[1], row[2].year, row[2].month): row[-1] for row in rows if row[-1]}
        prefetch_data_keys(list(some.values()))
        self.opened += len(rows)
        hits = []
        for row in rows:
            text = self._text(row)
            if text is not None and says(text, self.criteria.phrases):
                hits.append(Hit(UUID(row[0]), row[2], text))
        return hits

    def _text(self, row: _Row) -> str | None:
        _, room, _, revision, version, sealed = row
        conversation = self.allowed.get(room)
        # Of two words one in 2^64 has another conversation's number: not for these eyes.
        if sealed is None or conversation is None:
            return None

        def text() -> str:
            return open_token(
                sealed,
                organization=self.organization,
                table="chat_messageversion",
                column="body",
                pk=version,
                conversation=conversation,
                revision=revision,
            ).text

        return readable(text, version)

    def _take(self, hits: Sequence[Hit], place: Place) -> None:
        self.hits += hits
        self.place = place
        if len(self.hits) > self.limit:
            del self.hits[self.limit :]
            self.place = self.hits[-1].place


# ruff: noqa: S608 - put together from constants alone; what anybody wrote is a parameter
# Each names the columns of `_Row`. The latest first, and of equal times those with greater ids.
_BETWEEN = """(created_at, {id}) < (%(at)s, %(id)s::uuid)
        AND (created_at, {id}) >= (%(low_at)s, %(low_id)s::uuid) <authors>
    ORDER BY created_at DESC, {id} DESC LIMIT %(size)s"""
_MESSAGES = f"""
WITH newest AS MATERIALIZED (
    SELECT id, conversation_id, created_at, revision FROM chat_message
    WHERE conversation_id = ANY(%(conversations)s::uuid[]) AND deleted_at IS NULL
        AND {_BETWEEN.format(id="id")}
)
SELECT n.id::text, n.conversation_id::text, n.created_at, n.revision, v.id, v.body
FROM newest n JOIN chat_messageversion v ON v.message_id = n.id AND v.revision = n.revision
ORDER BY n.created_at DESC, n.id DESC
"""
# With thousands of numbers the planner would rather read the whole table: 89 s, not 62 ms, on a
# million messages. Materialised, or it would walk by time and compare each row on its way.
# Compiling (jit) takes longer than what it would speed up. Sent as one message, the statements
# are one transaction: what is set ends with it.
_NAMED = f"""
SET LOCAL enable_seqscan = off;
SET LOCAL jit = off;
WITH named AS MATERIALIZED (<named>), newest AS MATERIALIZED (
    SELECT message_id FROM named WHERE {_BETWEEN.format(id="message_id")}
)
SELECT m.id::text, m.conversation_id::text, m.created_at, m.revision, v.id, v.body
FROM newest n JOIN chat_message m ON m.id = n.message_id
JOIN chat_messageversion v ON v.message_id = m.id AND v.revision = m.revision
ORDER BY m.created_at DESC, m.id DESC
"""


_OF_ONE_WORD = _NAMED.replace(
    "<named>",
    "SELECT message_id, created_at, author_id FROM chat_searchtokens WHERE words && <names>",
)
# Key by key: what has both words is found before what has one of them is put together, which for
# two common words takes a sixth of the time. OFFSET 0 keeps the planner from merging the two.
_OF_MORE_WORDS = _NAMED.replace(
    "<named>",
    "SELECT t.* FROM unnest(<names>) AS key (<columns>) CROSS JOIN LATERAL ("
    "SELECT message_id, created_at, author_id FROM chat_searchtokens "
    "WHERE words @> ARRAY[<columns>] OFFSET 0) t",
)


def _array(numbers: list[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def _place(row: _Row) -> Place:
    return Place(row[2], UUID(row[0]))


def _start_of(moment: datetime) -> Place:
    return Place(moment, EARLIEST.id)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _sizes() -> Iterator[int]:
    first, then = CHUNKS
    yield first
    while True:
        yield then


def _waves(keys: Sequence[SearchKey]) -> Iterator[list[SearchKey]]:
    """Keys by whole months, the latest first: one month, then twice as much, up to WAVE."""
    wave: list[SearchKey] = []
    size = 1
    for _, month in groupby(keys, key=lambda key: key.month):
        wave += month
        if len(wave) >= size:
            yield wave
            wave, size = [], min(2 * len(wave), WAVE)
    if wave:
        yield wave
