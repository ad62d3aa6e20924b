"""Sending messages, in batches (group commit): one transaction, few statements, and for each
message its own outcome. An acknowledgement means: committed, sealed, in the trail."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone

from app import metrics
from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.context import Origin
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
from app.encryption.fields import Sealed, seal_text
from app.encryption.unavailable import KeyUnavailable
from app.errors import Conflict, DomainError, Invalid, NotFound
from app.realtime import services as realtime
from app.realtime.protocol import Ack, MessageCreated
from app.realtime.services import Appended, Reserved, SealedBody, conversation_stream


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be sent; `id` is the client's, so that the same one sent again is known."""

    author: User
    conversation: UUID
    id: UUID
    body: str
    thread: UUID | None = None
    origin: Origin | None = None
    attachments: tuple[UUID, ...] = ()
    """Files that the author has uploaded here, whole, in the order of showing."""


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


def _send(drafts: Sequence[Draft]) -> list[Ack | DomainError]:
    # Under the streams' locks nobody leaves, and no other send of the same id goes on. The lock
    # is a write as well: turning the index on waits for whoever may have read that it was off.
    realtime.lock({conversation_stream(draft.conversation) for draft in drafts})
    files = carrying.lock_files({pk for draft in drafts for pk in draft.attachments})
    standings = access.standings(
        Place(draft.author, draft.conversation, draft.id, draft.thread) for draft in drafts
    )
    new: dict[UUID, tuple[Draft, bool]] = {}
    earlier: set[UUID] = set()
    taken: dict[UUID, UUID] = {}
    refused: list[DomainError | None] = []
    for draft, standing in zip(drafts, standings, strict=True):
        # As if those before it were committed already: a reply may follow on its message.
        root = new.get(draft.thread) if draft.thread else None
        refusal = _refusal(draft, _beside(standing, root and root[0]), files, taken)
        refused.append(refusal)
        if refusal is None and standing.taken:
            earlier.add(draft.id)
        elif refusal is None and draft.id not in new:
            new[draft.id] = draft, standing.indexed
            taken |= dict.fromkeys(draft.attachments, draft.id)
    kept = _earlier(earlier) | _insert(list(new.values()), files)
    return [
        refusal or _outcome(draft, kept[draft.id])
        for draft, refusal in zip(drafts, refused, strict=True)
    ]


def _beside(standing: Standing, root: Draft | None) -> Standing:
    """The same for a reply to a message of this batch."""
    if root is None:
        return standing
    return standing._replace(root=root.conversation, is_reply=root.thread is not None)


def _refusal(
    draft: Draft, standing: Standing, files: Files, taken: Mapping[UUID, UUID]
) -> DomainError | None:
    """`taken` says which message of this batch carries a file."""
    try:
        require(draft.author, Permission.MESSAGES_SEND)
        if not standing.member:
            raise NotFound
        if draft.body or not draft.attachments:
            text.body(draft.body)
        if draft.thread and standing.root != draft.conversation:
            raise NotFound
        if standing.is_reply:
            raise Invalid("A reply belongs to a message, not to another reply.")
        if draft.attachments:
            carrying.may_carry(draft.author, draft.conversation, draft.id, draft.attachments, files)
            if any(taken.get(pk, draft.id) != draft.id for pk in draft.attachments):
                raise Conflict("One of the files was sent already.")
    except DomainError as refusal:
        return refusal
    return None


class _Kept(NamedTuple):
    """What there is under an id: it is acknowledged to whoever sends the same again."""

    author: UUID
    conversation: UUID
    thread: UUID | None
    attachments: tuple[UUID, ...]
    says: Callable[[str], bool]
    ack: Callable[[], Ack]


def _outcome(draft: Draft, kept: _Kept) -> Ack | DomainError:
    same = (
        kept.author == draft.author.pk
        and kept.conversation == draft.conversation
        and kept.thread == draft.thread
        and kept.attachments == draft.attachments
        and kept.says(draft.body)
    )
    return kept.ack() if same else Conflict("This message id is taken already.")


def _earlier(ids: Collection[UUID]) -> dict[UUID, _Kept]:
    """Messages that were sent before under these ids, by their first versions."""
    if not ids:
        return {}
    carried = carrying.carried_by(ids)
    versions = MessageVersion.objects.filter(message__in=ids, revision=1).select_related("message")
    return {
        row.message_id: _Kept(
            row.message.author_id,
            row.message.conversation_id,
            row.message.thread_id,
            carried.get(row.message_id, ()),
            partial(says, row),
            as_sent(row.message, row).ack,
        )
        for row in versions
    }


class _Fresh(NamedTuple):
    """A draft at its offset, sealed; with its ids as texts, which are needed often."""

    draft: Draft
    stream: str
    offset: int
    version: str
    sealed: Sealed
    id: str
    conversation: str
    author: str
    thread: str | None

    @property
    def body(self) -> SealedBody:
        organization = str(self.draft.author.organization_id)
        return SealedBody(self.sealed.token, organization, self.version, self.sealed.text)

    def kept(self, entry: Written, at: str) -> _Kept:
        draft = self.draft
        ack = Ack(
            id=self.id,
            conversation=self.conversation,
            offset=self.offset,
            revision=1,
            at=at,
            entry=entry.id,
            leaf_hash=entry.leaf_hash.hex(),
        )
        return _Kept(
            draft.author.pk,
            draft.conversation,
            draft.thread,
            draft.attachments,
            draft.body.__eq__,
            lambda: ack,
        )


def _insert(drafts: Sequence[tuple[Draft, bool]], files: Files) -> dict[UUID, _Kept]:
    """Give each its offset, seal it, and write message, version, words, entry and event.

    Beside each draft: whether its words are indexed.
    """
    if not drafts:
        return {}
    now = timezone.now()
    at = timestamp(now)
    streams = [conversation_stream(draft.conversation) for draft, _ in drafts]
    places = realtime.reserve_many(Counter(streams))
    following = {stream: count(place.first) for stream, place in places.items()}
    with metrics.SEAL.timed():
        fresh = [
            _sealed(draft, stream, next(following[stream]))
            for stream, (draft, _) in zip(streams, drafts, strict=True)
        ]
    entries = record_rows([_sent(one, files) for one in fresh])
    rows.insert(
        [
            _row(one, entry, indexed)
            for one, entry, (_, indexed) in zip(fresh, entries, drafts, strict=True)
        ],
        now,
    )
    carrying.attach([(draft.id, draft.attachments) for draft, _ in drafts], files)
    events = [_created(one, entry, at, files) for one, entry in zip(fresh, entries, strict=True)]
    _append(places, fresh, events)
    return {one.draft.id: one.kept(entry, at) for one, entry in zip(fresh, entries, strict=True)}


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


def _sealed(draft: Draft, stream: str, offset: int) -> _Fresh:
    version, author = uuid4(), draft.author
    sealed = seal_text(
        draft.body,
        organization=author.organization_id,
        table=MessageVersion._meta.db_table,
        column="body",
        pk=version,
        conversation=draft.conversation,
        revision=1,
    )
    thread = str(draft.thread) if draft.thread else None
    return _Fresh(
        draft, stream, offset, str(version), sealed,
        str(draft.id), str(draft.conversation), str(author.pk), thread,
    )  # fmt: skip


def _sent(one: _Fresh, files: Files) -> Record:
    draft = one.draft
    after: dict[str, Any] = state(one.version, 1, one.sealed.commitment.hex())
    if draft.attachments:
        after["attachments"] = carrying.committed(draft.attachments, files)
    return Record(
        Action.MESSAGE_SENT,
        organization=draft.author.organization_id,
        actor=draft.author.actor,
        target=target_of(one.id, one.conversation),
        scope=draft.conversation,
        after=after,
        parameters={"offset": one.offset, "thread": one.thread},
        origin=draft.origin,
    )


def _row(one: _Fresh, entry: Written, indexed: bool) -> Row:
    draft, token = one.draft, one.sealed.token
    key, words = words_under(token, draft.body) if indexed else (None, None)
    return Row(
        one.id, one.conversation, one.author, one.thread, one.offset,
        one.version, draft.author.organization_id, token, entry.id, key, words,
    )  # fmt: skip


def _created(one: _Fresh, entry: Written, at: str, files: Files) -> MessageCreated:
    return MessageCreated(
        id=one.id,
        author=one.author,
        body=None,
        thread=one.thread,
        at=at,
        revision=1,
        entry=entry.id,
        attachments=carrying.announced(one.draft.attachments, files),
    )
