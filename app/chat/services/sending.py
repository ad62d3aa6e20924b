"""Sending messages, in batches (group commit): one transaction, few statements, and for each
message its own outcome. An acknowledgement means: committed, sealed, in the trail."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import count
from time import perf_counter
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from msgspec import Struct
from msgspec.structs import replace

from app import metrics
from app.accounts.models import User
from app.accounts.permissions import Permission, require_of
from app.audit.actions import Action
from app.audit.context import Actor, Origin
from app.audit.leaves import timestamp
from app.audit.services import Record, Written, record_rows
from app.chat import access
from app.chat.access import Place, Standing
from app.chat.models import MessageVersion
from app.chat.search.indexing import words_under
from app.chat.services import carrying, rows, text
from app.chat.services.carrying import Files
from app.chat.services.rows import Row
from app.chat.services.versions import as_sent, says, state, target_of
from app.encryption.fields import Sealed, TextSealer
from app.encryption.unavailable import KeyUnavailable
from app.errors import Conflict, DomainError, Invalid, NotFound, Unauthenticated
from app.realtime import services as realtime
from app.realtime.protocol import Ack, MessageCreated
from app.realtime.services import Appended, Reserved, SealedBody, conversation_stream
from app.uuids import bytes_of, random_uuid


class Author(Struct, frozen=True, gc=False):
    """Who says something, where no more of them was read: whether they may is asked of the
    database, with everything else that a batch needs to know."""

    pk: UUID
    organization_id: UUID


class Draft(Struct, frozen=True, gc=False):
    """A message to be sent; `id` is the client's, so that the same one sent again is known: a
    UUID's text, as `str` prints it."""

    author: User | Author
    conversation: UUID
    id: str
    body: str
    thread: UUID | None = None
    origin: Origin | None = None
    attachments: tuple[UUID, ...] = ()
    """Files that the author has uploaded here, whole, in the order of showing."""

    def __repr__(self) -> str:  # without what somebody wrote
        return f"<draft {self.id}>"


def send_message(draft: Draft) -> Ack:
    """Send one message. Raises NotFound, Invalid, Denied or Conflict."""
    outcome = send_messages([draft])[0]
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def send_messages(drafts: Sequence[Draft]) -> list[Ack | DomainError]:
    """Send many in one transaction; one that is refused fails alone.

    A draft whose id was sent before, by the same author with the same text, gets the
    acknowledgement of then.
    """
    try:
        with transaction.atomic():
            began = perf_counter()
            # The first of those that are called after the commit, before anybody is told.
            transaction.on_commit(lambda: metrics.COMMIT.observe(perf_counter() - done))
            outcomes = _send(drafts)
            done = perf_counter()
            metrics.STATEMENTS.observe(done - began)
        metrics.SEND_BATCH.of().observe(len(drafts))
        return outcomes
    except (IntegrityError, KeyUnavailable) as error:
        # The same id in two places at the same time: one by one, the later sees the earlier.
        # And where one conversation's key is not to be had, the others go on.
        if len(drafts) == 1 and isinstance(error, KeyUnavailable):
            return [error]
        if len(drafts) == 1:
            return [Conflict("This message id is taken: make another one.")]
        return [outcome for draft in drafts for outcome in send_messages([draft])]


class _New(Struct, frozen=True, gc=False):
    """A draft that may be sent, where, and how its author stands there."""

    draft: Draft
    place: Place
    stream: str
    standing: Standing


class _Texts(dict[int, str]):
    """UUIDs as texts, by their numbers, each made once: hashing a UUID is done in Python."""

    def __missing__(self, number: int) -> str:
        text = self[number] = str(UUID(int=number))
        return text


def _send(drafts: Sequence[Draft]) -> list[Ack | DomainError]:
    texts = _Texts()
    places = [_place(draft, texts) for draft in drafts]
    streams = [conversation_stream(place.conversation) for place in places]
    # Under the streams' locks nobody leaves, and no other send of the same id goes on. The lock
    # is a write as well: turning the index on waits for whoever may have read that it was off.
    realtime.lock({*streams})
    files = carrying.lock_files({pk for draft in drafts for pk in draft.attachments})
    standings = access.standings(places)
    new: dict[str, _New] = {}
    earlier: list[str] = []
    taken: dict[UUID, str] = {}
    refused: list[DomainError | None] = []
    for draft, place, stream, standing in zip(drafts, places, streams, standings, strict=True):
        # As if those before it were committed already: a reply may follow on its message.
        root = new.get(place.thread) if place.thread else None
        refusal = _refusal(draft, _beside(standing, root), files, taken)
        refused.append(refusal)
        if refusal is None and standing.taken:
            earlier.append(draft.id)
        elif refusal is None and place.message not in new:
            new[place.message] = _New(draft, place, stream, standing)
            taken |= dict.fromkeys(draft.attachments, draft.id)
    kept = _earlier(earlier) | _insert(list(new.values()), files)
    return [
        refusal or _outcome(draft, place, kept[place.message])
        for draft, place, refusal in zip(drafts, places, refused, strict=True)
    ]


def _place(draft: Draft, texts: Mapping[int, str]) -> Place:
    return Place(
        texts[draft.author.pk.int],
        texts[draft.author.organization_id.int],
        texts[draft.conversation.int],
        draft.id,
        str(draft.thread) if draft.thread else None,
    )


def _beside(standing: Standing, root: _New | None) -> Standing:
    """The same for a reply to a message of this batch."""
    if root is None:
        return standing
    said = root.draft
    return replace(standing, root=said.conversation, is_reply=said.thread is not None)


def _refusal(
    draft: Draft, standing: Standing, files: Files, taken: Mapping[UUID, str]
) -> DomainError | None:
    """`taken` says which message of this batch carries a file."""
    try:
        if standing.role is None:
            raise Unauthenticated
        require_of(standing.role, Permission.MESSAGES_SEND)
        if not standing.member:
            raise NotFound
        if draft.body or not draft.attachments:
            text.body(draft.body)
        if draft.thread and standing.root != draft.conversation:
            raise NotFound
        if standing.is_reply:
            raise Invalid("A reply belongs to a message, not to another reply.")
        if draft.attachments:
            author, message, wanted = draft.author.pk, UUID(draft.id), draft.attachments
            carrying.may_carry(author, draft.conversation, message, wanted, files)
            if any(taken.get(pk, draft.id) != draft.id for pk in wanted):
                raise Conflict("One of the files was sent already.")
    except DomainError as refusal:
        return refusal
    return None


class _Kept(Struct, frozen=True, gc=False):
    """What there is under an id: it is acknowledged to whoever sends the same again."""

    place: Place
    attachments: tuple[UUID, ...]
    says: Callable[[str], bool]
    ack: Ack


def _outcome(draft: Draft, place: Place, kept: _Kept) -> Ack | DomainError:
    same = kept.place == place and kept.attachments == draft.attachments and kept.says(draft.body)
    return kept.ack if same else Conflict("This message id is taken already.")


def _earlier(ids: Collection[str]) -> dict[str, _Kept]:
    """Messages that were sent before under these ids, by their first versions."""
    if not ids:
        return {}
    messages = [UUID(one) for one in ids]
    versions = MessageVersion.objects.filter(message__in=messages, revision=1)
    carried = carrying.carried_by(messages)
    return {
        str(row.message_id): _Kept(
            _place_of(row),
            carried.get(row.message_id, ()),
            partial(says, row),
            as_sent(row.message, row).ack(),
        )
        for row in versions.select_related("message")
    }


def _place_of(version: MessageVersion) -> Place:
    message = version.message
    return Place(
        str(message.author_id),
        str(version.organization_id),
        str(message.conversation_id),
        str(message.pk),
        str(message.thread_id) if message.thread_id else None,
    )


class _Fresh(Struct, frozen=True, gc=False):
    """A draft at its offset, sealed as a version."""

    draft: Draft
    place: Place
    stream: str
    offset: int
    version: str
    sealed: Sealed
    key: bytes
    actor: Actor
    indexed: bool

    @property
    def body(self) -> SealedBody:
        sealed, organization = self.sealed, self.place.organization
        return SealedBody(sealed.token, organization, self.version, sealed.text)

    def kept(self, entry: Written, at: str) -> _Kept:
        ack = Ack(
            id=self.place.message,
            conversation=self.place.conversation,
            offset=self.offset,
            revision=1,
            at=at,
            entry=entry.id,
            leaf_hash=entry.leaf_hash.hex(),
        )
        return _Kept(self.place, self.draft.attachments, self.draft.body.__eq__, ack)


def _insert(new: Sequence[_New], files: Files) -> dict[str, _Kept]:
    """Give each its offset, seal it, and write message, version, words, entry and event."""
    if not new:
        return {}
    now = timezone.now()
    at = timestamp(now)
    places = realtime.reserve_many(Counter(one.stream for one in new))
    following = {stream: count(place.first) for stream, place in places.items()}
    with metrics.SEAL.timed():
        # One for each stream and author, however much they say.
        in_stream = {one.stream: one.draft for one in new}
        by_author = {one.place.author: one for one in new}
        sealers = {stream: _sealer(draft) for stream, draft in in_stream.items()}
        actors = {author: _actor(one) for author, one in by_author.items()}
        fresh = [
            _sealed(one, next(following[one.stream]), sealers[one.stream], actors[one.place.author])
            for one in new
        ]
    entries = record_rows([_sent(one, files) for one in fresh])
    rows.insert([_row(one, entry) for one, entry in zip(fresh, entries, strict=True)], now)
    with_files = [one.draft for one in fresh if one.draft.attachments]
    carrying.attach([(UUID(draft.id), draft.attachments) for draft in with_files], files)
    events = [_created(one, entry, at, files) for one, entry in zip(fresh, entries, strict=True)]
    _append(places, fresh, events)
    return {
        one.place.message: one.kept(entry, at) for one, entry in zip(fresh, entries, strict=True)
    }


def _append(
    places: Mapping[str, Reserved], fresh: Sequence[_Fresh], events: Sequence[MessageCreated]
) -> None:
    told: dict[str, tuple[list[MessageCreated], list[SealedBody]]]
    told = {stream: ([], []) for stream in places}
    for one, event in zip(fresh, events, strict=True):
        mine, bodies = told[one.stream]
        mine.append(event)
        bodies.append(one.body)
    realtime.append_many([Appended(places[stream], *both) for stream, both in told.items()])


def _sealer(draft: Draft) -> TextSealer:
    return TextSealer(
        organization=draft.author.organization_id,
        table=MessageVersion._meta.db_table,
        column="body",
        conversation=draft.conversation,
    )


def _actor(one: _New) -> Actor:
    return Actor("user", one.draft.author.pk, one.standing.role or "")


def _sealed(one: _New, offset: int, sealer: TextSealer, actor: Actor) -> _Fresh:
    draft, version = one.draft, random_uuid()
    sealed, key = sealer.seal(draft.body, pk=bytes_of(version), revision=1)
    return _Fresh(
        draft, one.place, one.stream, offset, version, sealed, key, actor, one.standing.indexed
    )


def _sent(one: _Fresh, files: Files) -> Record:
    draft = one.draft
    after: dict[str, Any] = state(one.version, 1, one.sealed.commitment.hex())
    if draft.attachments:
        after["attachments"] = carrying.committed(draft.attachments, files)
    return Record(
        Action.MESSAGE_SENT,
        organization=draft.author.organization_id,
        actor=one.actor,
        target=target_of(one.place.message, one.place.conversation),
        scope=draft.conversation,
        after=after,
        parameters={"offset": one.offset, "thread": one.place.thread},
        origin=draft.origin,
    )


def _row(one: _Fresh, entry: Written) -> Row:
    place, token = one.place, one.sealed.token
    words = words_under(one.key, one.draft.body) if one.indexed else None
    key = None if words is None else one.key.hex()
    return Row(
        place.message, place.conversation, place.author, place.thread, one.offset,
        one.version, place.organization, token, entry.id, key, words,
    )  # fmt: skip


def _created(one: _Fresh, entry: Written, at: str, files: Files) -> MessageCreated:
    return MessageCreated(
        id=one.place.message,
        author=one.place.author,
        body=None,
        thread=one.place.thread,
        at=at,
        revision=1,
        entry=entry.id,
        attachments=carrying.announced(one.draft.attachments, files),
    )
