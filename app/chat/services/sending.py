"""Sending messages, in batches (group commit): one transaction, few statements, and for each
message its own outcome. An acknowledgement means: committed, sealed, in the trail."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.context import Origin
from app.audit.leaves import timestamp
from app.audit.services import Record, record_many
from app.chat import access
from app.chat.models import Message, MessageVersion, VersionKind
from app.chat.search.indexing import add_to_index
from app.chat.services import carrying, text
from app.chat.services.carrying import Files
from app.chat.services.versions import Sent, as_sent, says, sealed_body, state_of, target_of
from app.encryption.unavailable import KeyUnavailable
from app.errors import Conflict, DomainError, Invalid, NotFound
from app.realtime import protocol
from app.realtime import services as realtime
from app.realtime.protocol import Ack
from app.realtime.services import conversation_stream


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
            return _send(drafts)
    except (IntegrityError, KeyUnavailable) as error:
        # The same id in two places at the same time: one by one, the later sees the earlier.
        # And where one conversation's key is not to be had, the others go on.
        if len(drafts) == 1 and isinstance(error, KeyUnavailable):
            return [error]
        if len(drafts) == 1:
            return [Conflict("This message id is taken: make another one.")]
        return [outcome for draft in drafts for outcome in send_messages([draft])]


def _send(drafts: Sequence[Draft]) -> list[Ack | DomainError]:
    # Under the streams' locks nobody leaves, and no other send of the same id goes on.
    realtime.lock({conversation_stream(draft.conversation) for draft in drafts})
    files = carrying.lock_files({pk for draft in drafts for pk in draft.attachments})
    refused = _refusals(drafts, files)
    fresh: dict[UUID, Draft] = {}
    for draft, refusal in zip(drafts, refused, strict=True):
        if refusal is None:
            fresh.setdefault(draft.id, draft)
    sent = _earlier(list(fresh))
    carried = carrying.carried_by(sent)
    new = [draft for draft in fresh.values() if draft.id not in sent]
    carried |= {draft.id: draft.attachments for draft in new}
    sent |= {one.message.pk: one for one in _insert(new, files)}
    return [
        refusal or _outcome(draft, sent[draft.id], carried.get(draft.id, ()))
        for draft, refusal in zip(drafts, refused, strict=True)
    ]


def _refusals(drafts: Sequence[Draft], files: Files) -> list[DomainError | None]:
    members = access.may_listen([(draft.author, draft.conversation) for draft in drafts])
    roots = {
        root.pk: root
        for root in Message.objects.filter(pk__in=[d.thread for d in drafts if d.thread])
    }
    taken: dict[UUID, UUID] = {}
    return [_refusal(draft, members, roots, files, taken) for draft in drafts]


def _refusal(
    draft: Draft,
    members: set[tuple[UUID, UUID]],
    roots: dict[UUID, Message],
    files: Files,
    taken: dict[UUID, UUID],
) -> DomainError | None:
    """`taken` grows: which message of this batch carries a file."""
    try:
        require(draft.author, Permission.MESSAGES_SEND)
        if (draft.author.pk, draft.conversation) not in members:
            raise NotFound
        if draft.body or not draft.attachments:
            text.body(draft.body)
        root = roots.get(draft.thread) if draft.thread else None
        if draft.thread and (root is None or root.conversation_id != draft.conversation):
            raise NotFound
        if root is not None and root.thread_id is not None:
            raise Invalid("A reply belongs to a message, not to another reply.")
        carrying.may_carry(draft.author, draft.conversation, draft.id, draft.attachments, files)
        if any(taken.setdefault(pk, draft.id) != draft.id for pk in draft.attachments):
            raise Conflict("One of the files was sent already.")
    except DomainError as refusal:
        return refusal
    return None


def _earlier(ids: list[UUID]) -> dict[UUID, Sent]:
    """Messages that were sent before under these ids, with their first versions."""
    messages = {row.pk: row for row in Message.objects.filter(pk__in=ids)}
    versions = MessageVersion.objects.filter(message__in=messages, revision=1)
    return {row.message_id: as_sent(messages[row.message_id], row) for row in versions}


def _outcome(draft: Draft, sent: Sent, carried: tuple[UUID, ...]) -> Ack | DomainError:
    message = sent.message
    same = (
        message.author_id == draft.author.pk
        and message.conversation_id == draft.conversation
        and message.thread_id == draft.thread
        and carried == draft.attachments
        and says(sent.version, draft.body)
    )
    return sent.ack() if same else Conflict("This message id is taken already.")


def _insert(drafts: Sequence[Draft], files: Files) -> list[Sent]:
    """Give each its offset, seal it, and write message, version, entry and event."""
    now = timezone.now()
    places = _reserve(drafts)
    following = {conversation: count(place.first) for conversation, place in places.items()}
    messages = [_message(draft, next(following[draft.conversation]), now) for draft in drafts]
    versions = [
        _version(message, draft, now) for message, draft in zip(messages, drafts, strict=True)
    ]
    pairs = list(zip(messages, versions, strict=True))
    entries = record_many(
        [_sent(*pair, draft, files) for pair, draft in zip(pairs, drafts, strict=True)]
    )
    for version, entry in zip(versions, entries, strict=True):
        version.entry_id = entry.pk
    Message.objects.bulk_create(messages)
    MessageVersion.objects.bulk_create(versions)
    add_to_index(pairs)
    carrying.attach([(draft.id, draft.attachments) for draft in drafts], files)
    announced = {draft.id: carrying.announced(draft.attachments, files) for draft in drafts}
    for conversation, place in places.items():
        mine = [pair for pair in pairs if pair[0].conversation_id == conversation]
        bodies = [sealed_body(version) for _, version in mine]
        realtime.append(
            place, [_created(*pair, announced[pair[0].pk]) for pair in mine], sealed=bodies
        )
    return [Sent(*pair, entry.leaf_hash) for pair, entry in zip(pairs, entries, strict=True)]


def _reserve(drafts: Sequence[Draft]) -> dict[UUID, realtime.Reserved]:
    counts = Counter(draft.conversation for draft in drafts)
    return {
        conversation: realtime.reserve(conversation_stream(conversation), number)
        for conversation, number in counts.items()
    }


def _message(draft: Draft, offset: int, now: datetime) -> Message:
    return Message(
        id=draft.id,
        conversation_id=draft.conversation,
        author=draft.author,
        thread_id=draft.thread,
        offset=offset,
        created_at=now,
    )


def _version(message: Message, draft: Draft, now: datetime) -> MessageVersion:
    return MessageVersion(
        message=message,
        organization_id=draft.author.organization_id,
        conversation_id=message.conversation_id,
        revision=1,
        kind=VersionKind.CREATED,
        body=draft.body,
        editor=draft.author,
        at=now,
    )


def _sent(message: Message, version: MessageVersion, draft: Draft, files: Files) -> Record:
    attached = carrying.committed(draft.attachments, files)
    return Record(
        Action.MESSAGE_SENT,
        organization=draft.author.organization_id,
        actor=draft.author.actor,
        target=target_of(message),
        scope=message.conversation_id,
        after=state_of(version) | ({"attachments": attached} if attached else {}),
        parameters={
            "offset": message.offset,
            "thread": str(message.thread_id) if message.thread_id else None,
        },
        origin=draft.origin,
    )


def _created(
    message: Message, version: MessageVersion, attachments: list[protocol.Attachment]
) -> protocol.MessageCreated:
    return protocol.MessageCreated(
        id=str(message.pk),
        author=str(message.author_id),
        body=None,
        thread=str(message.thread_id) if message.thread_id else None,
        at=timestamp(message.created_at),
        revision=1,
        entry=version.entry_id,
        attachments=attachments,
    )
