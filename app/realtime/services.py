"""Writes to streams: reserve offsets under the row lock, append events, hint on commit."""

import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.utils import timezone
from msgspec import Struct

from app.audit import arrays
from app.audit.context import Origin
from app.errors import Invalid
from app.realtime import hints, protocol
from app.realtime.access import Place
from app.realtime.log import Event
from app.realtime.models import Ticket, new_epoch

TICKET_SECONDS = 30


def conversation_stream(conversation: UUID | str) -> str:
    """Return the name of a conversation's stream."""
    return f"conversation:{conversation}"


def user_stream(user: UUID) -> str:
    """Return the name of a user's own stream."""
    return f"user:{user}"


def voice_stream(conversation: UUID) -> str:
    """Return the name of the stream of a conversation's voice room."""
    return f"voice:{conversation}"


@dataclass(frozen=True, slots=True)
class Reserved:
    """Offsets `first` to `first + count - 1` of a stream: ours, if this transaction commits."""

    stream: str
    epoch: str
    first: int
    count: int


class SealedBody(Struct, frozen=True, gc=False):
    """A message's text as it stands in the database, and what is needed to open it; its repr
    shows no text."""

    token: str
    organization: str
    version: str
    text: str

    def __repr__(self) -> str:
        return f"<sealed body {self.version}>"


_Told = tuple[str, int, str, msgspec.Raw, Sequence[str] | None]
"""An event in a hint: epoch, offset, type, the data of its row, and the sealed text."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What is to stand at reserved offsets; see `append`."""

    at: Reserved
    events: Sequence[Struct]
    sealed: Sequence[SealedBody | None] = ()


def reserve(stream: str, count: int) -> Reserved:
    """Take the next `count` offsets of `stream` and keep it locked until the commit.

    To be called inside a transaction; who needs several streams calls `lock` first.
    """
    return reserve_many({stream: count})[stream]


def reserve_many(counts: Mapping[str, int]) -> dict[str, Reserved]:
    """The same for so many offsets of each stream, in one statement."""
    names = sorted(counts)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO realtime_stream AS s (name, epoch, top) "
            "SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) "
            "ON CONFLICT (name) DO UPDATE SET top = s.top + excluded.top "
            "RETURNING name, epoch, top",
            [names, [new_epoch() for _ in names], [counts[name] for name in names]],
        )
        found = cursor.fetchall()
    return {
        name: Reserved(name, epoch, top - counts[name] + 1, counts[name])
        for name, epoch, top in found
    }


def lock(streams: Collection[str]) -> dict[str, Place]:
    """Lock several streams until the commit, in an order that lets nobody wait in a circle;
    returns where those that there are stand."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, epoch, top FROM realtime_stream WHERE name = ANY(%s) "
            "ORDER BY name FOR UPDATE",
            [[*streams]],
        )
        return {name: Place(epoch, top) for name, epoch, top in cursor.fetchall()}


def append(
    reserved: Reserved, events: Sequence[Struct], *, sealed: Sequence[SealedBody | None] = ()
) -> None:
    """Write `events` at the reserved offsets and tell everyone once they are committed.

    What somebody wrote is not in the rows: a message event's `body` is None here, its
    sealed text rides along in the hint, and whoever reads the rows opens the version.
    """
    append_many([Appended(reserved, events, sealed)])


def append_many(appended: Sequence[Appended]) -> None:
    """The same for several streams, in one statement, one publication, and a hint for each."""
    rows: list[tuple[str, int, str, str]] = []
    batch: list[hints.Hint] = []
    for at, events, bodies in ((one.at, one.events, one.sealed) for one in appended):
        if len(events) != at.count:
            raise ValueError("as many events as were reserved")
        told: list[_Told] = []
        opened: list[Event] = []
        pairs = zip(events, bodies or [None] * at.count, strict=True)
        for offset, (event, body) in enumerate(pairs, start=at.first):
            kind, data = protocol.tag(event), protocol.event_data(event)
            encoded = msgspec.json.encode(data)
            rows.append((at.stream, offset, kind, encoded.decode()))
            opened.append(_opened(Event(at.stream, at.epoch, offset, kind, data), body))
            told.append((at.epoch, offset, kind, msgspec.Raw(encoded), opened[-1].sealed))
        payload = msgspec.json.encode(told)
        batch.append(hints.Hint(hints.STREAM_CHANNEL + at.stream, payload, opened))
    _insert(rows)
    transaction.on_commit(lambda: hints.publish(batch))


def _insert(rows: Sequence[tuple[str, int, str, str]]) -> None:
    """Stream, offset, type and data of each event."""
    if not rows:
        return
    streams, offsets, kinds, data = zip(*rows, strict=True)
    columns = (
        arrays.quoted(streams), arrays.plain(offsets), arrays.quoted(kinds), arrays.quoted(data)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            'INSERT INTO realtime_streamevent (stream, "offset", type, data, at) '
            "SELECT e.*, %s FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::jsonb[]) AS e",
            [timezone.now(), *columns],
        )


def emit(stream: str, *events: Struct) -> None:
    """Reserve and append in one go, for events that need not know their offset."""
    emit_many({stream: events})


def emit_many(events: Mapping[str, Sequence[Struct]]) -> None:
    """The same for several streams. Who emits to more than one has called `lock`."""
    places = reserve_many({stream: len(some) for stream, some in events.items()})
    append_many([Appended(places[stream], some) for stream, some in events.items()])


def _opened(event: Event, body: SealedBody | None) -> Event:
    """As hubs of this process get it; the data of its row is told as it is, without the text."""
    if body is not None:
        event.sealed = [body.token, body.organization, body.version]
        event.data["body"] = body.text
    # The names of files are read from their rows.
    event.opened = event.data.get("body", "") is not None and not event.data.get("attachments")
    return event


def issue_ticket(*, user: UUID, organization: UUID, session: UUID, origin: str) -> str:
    """Return a ticket (256 bits) that opens one socket from `origin` within TICKET_SECONDS."""
    if len(origin) > 255:
        raise Invalid("The Origin header is too long.")
    ticket = secrets.token_urlsafe(32)
    now = timezone.now()
    Ticket.objects.filter(expires_at__lt=now - timedelta(minutes=5)).delete()
    Ticket.objects.create(
        hash=_ticket_hash(ticket),
        user_id=user,
        organization_id=organization,
        session_id=session,
        origin=origin,
        expires_at=now + timedelta(seconds=TICKET_SECONDS),
    )
    return ticket


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is at the other end of a socket, and where they speak from."""

    user: UUID
    organization: UUID
    session: UUID
    whence: Origin


def redeem_tickets(brought: Sequence[tuple[str, str, Origin]]) -> list[Principal | None]:
    """Use up tickets, many at once; None for one that is unknown, used, expired or of another
    origin.

    Each comes with the Origin header of its handshake and with what the trail will say of the
    socket. A ticket that is brought twice is the first one's.
    """
    hashes = [_ticket_hash(ticket) for ticket, _, _ in brought]
    with connection.cursor() as cursor:
        # One statement: of two sockets that bring the same ticket, one finds it gone.
        cursor.execute(
            "DELETE FROM realtime_ticket WHERE hash = ANY(%s) "
            "RETURNING hash, user_id, organization_id, session_id, origin, expires_at",
            [hashes],
        )
        found = {bytes(row[0]): row[1:] for row in cursor.fetchall()}
    now = timezone.now()
    principals: list[Principal | None] = []
    for hash_, (_, origin, whence) in zip(hashes, brought, strict=True):
        user, organization, session, of_origin, expires = found.pop(hash_, (None,) * 5)
        good = user is not None and of_origin == origin and expires >= now
        here = replace(whence, session=str(session))
        principals.append(Principal(user, organization, session, here) if good else None)
    return principals


def _ticket_hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()


def revoke(*, sessions: Collection[UUID]) -> None:
    """Close the sockets of ended sessions, everywhere, once this transaction commits.

    A hint as well: each gateway also asks every few seconds which sessions still live.
    """
    ended = [str(session) for session in sessions]
    transaction.on_commit(lambda: hints.control(revoke=ended))
