"""Finds messages, newest first: opens the newest, asks the index for older ones, opens the rest.

Whose conversations are given has been decided by the caller. Every hit was opened and really
says what is looked for: the index only says where to look. Work is bounded by SECONDS; where
it ends early, the answer says from where to go on.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from app.chat.access import leave_out
from app.chat.search.words import Phrase, listening_for, look_up
from app.encryption.blind import SearchMonth, blind_under, search_months
from app.encryption.column import open_column
from app.encryption.fields import SealError

SECONDS = 1.0
NEWEST = 100
"""So many messages are opened first: a common word is found sooner that way than by index."""
CHUNKS = (1000, 4000)
"""So many messages are then opened at a time, the second number again and again."""
CANDIDATES = 400
"""So many messages that the index names are opened at first, then twice as many."""
LOOKED_UP = 4
"""So many words of a query are looked up in the index; the others are compared after opening."""
DENSE = 1500
"""So many messages may be opened to fill a page, where the newest promise as much."""
WAVE = 800
"""About so many keys are asked for at a time, so that a page that is full ends it."""


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
    at: datetime
    message: UUID
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


_Row = tuple[str, str, str, int, str, str | None]
"""Message, conversation, time, revision, version, sealed text (none: deleted meanwhile).

Ids and times as texts: making more of them would cost as much as opening the message.
"""


@dataclass(slots=True)
class _Search:
    """A search under way: whatever stands at `place` or later has been seen."""

    organization: UUID
    conversations: list[UUID]
    criteria: Criteria
    limit: int
    place: Place
    allowed: dict[str, bytes] = field(default_factory=dict)
    hits: list[Hit] = field(default_factory=list)
    opened: int = 0
    bottom: Place = EARLIEST
    deadline: float = 0.0

    def __post_init__(self) -> None:
        self.allowed = {str(room): room.bytes for room in self.conversations}
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
        for first, dek_ids in _waves(self._months(low)):
            hits, wave_stopped = self._in_wave(blind_under(dek_ids, words), low)
            held += hits
            stopped = max(stopped, wave_stopped)
            # A text's key is of the month in which it was sent, or edited: what was sent since
            # the first month of this wave, is in this wave or one before it.
            seen = max(stopped, _start_of(_midnight(first)))
            if len(self.hits) + sum(hit.place >= seen for hit in held) >= self.limit or self.late:
                break
        else:
            seen = stopped
        held.sort(key=lambda hit: hit.place, reverse=True)
        self._take([hit for hit in held if hit.place >= seen], seen)

    def _in_wave(self, numbers: list[list[int]], low: Place) -> tuple[list[Hit], Place]:
        """A page of hits at most, and down to where all were looked at."""
        hits: list[Hit] = []
        place, size = self.place, self._hopeful()
        while True:
            rows = self._candidates(numbers, place, low, size)
            hits += self._hits(rows)
            if len(rows) < size:
                return hits, low
            place = _place(rows[-1])
            if len(self.hits) + len(hits) >= self.limit or self.late:
                return hits, place
            size *= 2  # asking again costs as much as opening some hundreds

    def _hopeful(self) -> int:
        """How many candidates may fill a page: nearly all that are named by words say them."""
        words = all(len(phrase) == 1 for phrase in self.criteria.phrases)
        return min(CANDIDATES, 2 * self.limit) if words else CANDIDATES

    def _months(self, low: Place) -> list[SearchMonth]:
        since = low.at.date().replace(day=1)
        return search_months(self.organization, self.conversations, since=since)

    def _candidates(
        self, numbers: list[list[int]], place: Place, low: Place, size: int
    ) -> list[_Row]:
        if not numbers[0]:  # all of these keys are gone
            return []
        # In the order of the numbers, so that the walk through the index goes one way: a third
        # less time, even with nothing to be read from the disk.
        columns = zip(*sorted(zip(*numbers, strict=True)), strict=True)
        values = {f"word_{at}": _array(column) for at, column in enumerate(columns)}
        names = ", ".join(f"%({name})s::bigint[]" for name in values)
        source = _NAMED.replace("<names>", names).replace("<columns>", ", ".join(values))
        return self._rows(source, place, low, size, values)

    def _rows(
        self, source: str, place: Place, low: Place, size: int, values: dict[str, Any] | None = None
    ) -> list[_Row]:
        given = {
            "conversations": self.conversations,
            "authors": list(self.criteria.authors or ()),
            "at": place.at,
            "id": place.id,
            "low_at": low.at,
            "low_id": low.id,
            "size": size,
            **(values or {}),
        }
        with connection.cursor() as cursor:
            cursor.execute(source.replace("<authors>", _by(self.criteria.authors)), given)
            rows: list[_Row] = cursor.fetchall()
        return rows

    def _hits(self, rows: list[_Row]) -> list[Hit]:
        """Those of the rows that say what is looked for."""
        self.opened += len(rows)
        cells, shown = [], []
        for row in rows:
            _, room, _, revision, version, sealed = row
            conversation = self.allowed.get(room)
            # Of two words one in 2^64 has another conversation's number: not for these eyes.
            if sealed is not None and conversation is not None:
                shown.append(row)
                pk = bytes.fromhex(version.replace("-", ""))
                cells.append((sealed, pk, conversation, revision))
        heard = listening_for(self.criteria.phrases)
        hits = []
        contents = open_column(
            cells, organization=self.organization, table="chat_messageversion", column="body"
        )
        for row, content in zip(shown, contents, strict=True):
            if isinstance(content, SealError):
                leave_out(content, UUID(row[4]))
            elif (text := heard(content)) is not None:
                hits.append(Hit(*_place(row), text))
        return hits

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
_COLUMNS = (
    """m.id::text, m.conversation_id::text, m.created_at::text, m.revision, v.id::text, v.body"""
)
_MESSAGES = f"""
SELECT {_COLUMNS} FROM (
    SELECT id, conversation_id, created_at, revision FROM chat_message
    WHERE conversation_id = ANY(%(conversations)s::uuid[]) AND deleted_at IS NULL
        AND {_BETWEEN.format(id="id")}
) m JOIN chat_messageversion v ON v.message_id = m.id AND v.revision = m.revision
ORDER BY m.created_at DESC, m.id DESC
"""
# Key by key, which in a GIN index takes half of what `words && (all numbers)` does, and of two
# common words a sixth: what has both is found before what has one of them is put together.
# OFFSET 0 keeps the planner from merging the two. Left free, it would rather read the whole
# table for thousands of numbers: 89 s, not 62 ms, on a million messages. Materialised, or it would
# walk by time and compare each row on its way. Compiling (jit) takes longer than what it would
# speed up. Sent as one message, the statements are one transaction: what is set ends with it.
_NAMED = f"""
SET LOCAL enable_seqscan = off;
SET LOCAL jit = off;
WITH named AS MATERIALIZED (
    SELECT t.* FROM unnest(<names>) AS key (<columns>) CROSS JOIN LATERAL (
        SELECT message_id, created_at, author_id FROM chat_searchtokens
        WHERE words @> ARRAY[<columns>] OFFSET 0
    ) t
), newest AS MATERIALIZED (
    SELECT message_id FROM named WHERE {_BETWEEN.format(id="message_id")}
)
SELECT {_COLUMNS} FROM newest n JOIN chat_message m ON m.id = n.message_id
JOIN chat_messageversion v ON v.message_id = m.id AND v.revision = m.revision
ORDER BY m.created_at DESC, m.id DESC
"""


def _by(authors: Collection[UUID] | None) -> str:
    """One author's messages are read in the order of an index; those of several are sorted."""
    if authors is None:
        return ""
    one = len(authors) == 1
    return f"AND author_id = {'(%(authors)s::uuid[])[1]' if one else 'ANY(%(authors)s::uuid[])'}"


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def _place(row: _Row) -> Place:
    return Place(datetime.fromisoformat(row[2]), UUID(row[0]))


def _start_of(moment: datetime) -> Place:
    return Place(moment, EARLIEST.id)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _sizes() -> Iterator[int]:
    first, then = CHUNKS
    yield first
    while True:
        yield then


def _waves(months: Iterable[SearchMonth]) -> Iterator[tuple[date, list[bytes]]]:
    """Keys by whole months, the latest first: one month, then twice as many keys, up to WAVE.

    With each the first month that is in it.
    """
    wave: list[bytes] = []
    size = 1
    for month, dek_ids in months:
        wave += dek_ids
        if len(wave) >= size:
            yield month, wave
            wave, size = [], min(2 * len(wave), WAVE)
    if wave:
        yield month, wave
