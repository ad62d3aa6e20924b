"""Reads streams back from PostgreSQL: what a hub or a socket has not seen yet."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from msgspec import Struct

from app.realtime import protocol
from app.realtime.frames import text_frame
from app.realtime.models import Stream, StreamEvent

MAX_RECOVERY = 1_000
"""Events of one stream that are worth replaying; after more, loading the state is cheaper."""

PORTION = 64
"""Events that are read at once for a slow reader, after the first."""

KEPT_FOR = timedelta(days=7)
"""How long events are kept for recovery; the messages themselves are elsewhere."""


class Event(Struct, gc=False):
    """An event as it was committed; `data["body"]` is filled in when its text is opened. Its repr
    shows no text.

    `sealed` is (token, organization, version) if the hint brought the sealed text along;
    `opened` if there is nothing to be opened any more.
    """

    stream: str
    epoch: str
    offset: int
    type: str
    data: dict[str, Any]
    sealed: Sequence[str] | None = None
    opened: bool = False
    _frame: bytes = b""

    def __repr__(self) -> str:
        return f"<event {self.type} {self.stream} {self.offset}>"

    def frame(self) -> bytes:
        """Return the push as a WebSocket frame: made once, however many sockets get it."""
        if not self._frame:
            push = protocol.Durable(self.stream, self.epoch, self.offset, self.type, self.data)
            self._frame = text_frame(protocol.encode(push))
        return self._frame


@dataclass(frozen=True, slots=True)
class Wanted:
    """Somebody has `stream` up to `offset` of `epoch`; -1 for nothing, and wants only the top."""

    stream: str
    epoch: str
    offset: int


@contextmanager
def snapshot() -> Iterator[None]:
    """What is read within belongs together: top, events, and what others read beside them."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def read_log(wanted: Collection[Wanted]) -> dict[str, tuple[str, int, list[Event]]]:
    """Return for each stream its epoch, its top and the events after the lowest wanted offset.

    Within a `snapshot`: else an event could lie above the top that was read. Of a stream that
    is too far ahead (MAX_RECOVERY), of another epoch, or already pruned, the events are
    missing: the caller sees that they do not reach the position.
    """
    if not wanted:
        return {}
    names = sorted({want.stream for want in wanted})
    tops = {
        stream.name: (stream.epoch, stream.top) for stream in Stream.objects.filter(name__in=names)
    }
    floors = _floors(wanted, tops)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.stream, e.offset, e.type, e.data FROM unnest(%s::text[], %s::bigint[]) "
            "AS w(stream, floor) JOIN realtime_streamevent e "
            'ON e.stream = w.stream AND e."offset" > w.floor ORDER BY e.stream, e.offset',
            [list(floors), list(floors.values())],
        )
        rows = cursor.fetchall()
    found: dict[str, tuple[str, int, list[Event]]] = {
        name: (*tops.get(name, ("", 0)), []) for name in names
    }
    for name, offset, kind, data in rows:
        epoch, _, events = found[name]
        events.append(Event(name, epoch, offset, kind, json.loads(data)))
    return found


def read_portion(stream: str, epoch: str, offset: int) -> list[Event]:
    """Return the next events of that history after `offset`, PORTION at most.

    None of another epoch, and with a hole where they were pruned: the caller sees it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.offset, e.type, e.data FROM realtime_stream s "
            "JOIN realtime_streamevent e ON e.stream = s.name "
            'WHERE s.name = %s AND s.epoch = %s AND e."offset" > %s ORDER BY e.offset LIMIT %s',
            [stream, epoch, offset, PORTION],
        )
        rows = cursor.fetchall()
    return [Event(stream, epoch, at, kind, json.loads(data)) for at, kind, data in rows]


def _floors(wanted: Collection[Wanted], tops: dict[str, tuple[str, int]]) -> dict[str, int]:
    floors: dict[str, int] = {}
    for want in wanted:
        epoch, top = tops.get(want.stream, ("", 0))
        if want.offset < 0 or want.epoch != epoch or top - want.offset > MAX_RECOVERY:
            continue
        floors[want.stream] = min(want.offset, floors.get(want.stream, top))
    return floors


def ensure_streams(names: Collection[str]) -> None:
    """Make the streams that have had no event yet, so that they have an epoch to hold on to."""
    if names:
        missing = set(names) - set(
            Stream.objects.filter(name__in=names).values_list("name", flat=True)
        )
        # In one order: of two that make the same streams at once, the later waits for the other.
        rows = [Stream(name=name) for name in sorted(missing)]
        Stream.objects.bulk_create(rows, ignore_conflicts=True)


def prune_events() -> int:
    """Delete events that nobody will recover from any more; return how many."""
    deleted, _ = StreamEvent.objects.filter(at__lt=timezone.now() - KEPT_FOR).delete()
    return deleted
