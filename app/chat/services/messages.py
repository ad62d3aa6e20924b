"""Sending, editing and deleting messages, and reacting to them.

Sends come in batches (group commit): one transaction, few statements, and for each
message its own outcome. An acknowledgement means: committed, sealed, in the trail.
"""

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
from app.audit import access as trail
from app.audit.actions import Action
from app.audit.context import Origin
from app.audit.leaves import timestamp
from app.audit.services import Record, Target, record, record_many
from app.chat import access
from app.chat.models import Message, MessageVersion, Reaction, VersionKind
from app.chat.services import text
from app.encryption.fields import SealError, opened, seal_now
from app.errors import Conflict, DomainError, Invalid, NotFound
from app.realtime import protocol
from app.realtime import services as realtime
from app.realtime.protocol import Ack
from app.realtime.services import SealedBody, conversation_stream


@dataclass(frozen=True, slots=True)
class Sent:
    """A version that is in the database, with the hash of its leaf in the log."""

    message: Message
    version: MessageVersion
    leaf_hash: bytes

    def ack(self) -> Ack:
        return Ack(
            id=str(self.message.pk),
            conversation=str(self.message.conversation_id),
            offset=self.message.offset,
            revision=self.version.revision,
            at=timestamp(self.version.at),
            entry=self.version.entry_id,
            leaf_hash=self.leaf_hash.hex(),
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be sent; `id` is the client's, so that the same one sent again is known."""

    author: User
    conversation: UUID
    id: UUID
    body: str
    thread: UUID | None = None
    origin: Origin | None = None


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
    except IntegrityError:
        # The same id in two places at the same time: one by one, the later sees the earlier.
        if len(drafts) == 1:
            return [Conflict("This message id is taken: make another one.")]
        return [outcome for draft in drafts for outcome in send_messages([draft])]


def _send(drafts: Sequence[Draft]) -> list[Ack | DomainError]:
    # Under the streams' locks nobody leaves, and no other send of the same id goes on.
    realtime.lock({conversation_stream(draft.conversation) for draft in drafts})
    refused = _refusals(drafts)
    fresh: dict[UUID, Draft] = {}
    for draft, refusal in zip(drafts, refused, strict=True):
        if refusal is None:
            fresh.setdefault(draft.id, draft)
    sent = _earlier(list(fresh))
    new = [draft for draft in fresh.values() if draft.id not in sent]
    sent |= {one.message.pk: one for one in _insert(new)}
    return [
        refusal or _outcome(draft, sent[draft.id])
        for draft, refusal in zip(drafts, refused, strict=True)
    ]


def _refusals(drafts: Sequence[Draft]) -> list[DomainError | None]:
    members = access.may_listen([(draft.author, draft.conversation) for draft in drafts])
    roots = {
        root.pk: root
        for root in Message.objects.filter(pk__in=[d.thread for d in drafts if d.thread])
    }
    return [_refusal(draft, members, roots) for draft in drafts]


def _refusal(
    draft: Draft, members: set[tuple[UUID, UUID]], roots: dict[UUID, Message]
) -> DomainError | None:
    try:
        require(draft.author, Permission.MESSAGES_SEND)
        if (draft.author.pk, draft.conversation) not in members:
            raise NotFound
        text.body(draft.body)
        root = roots.get(draft.thread) if draft.thread else None
        if draft.thread and (root is None or root.conversation_id != draft.conversation):
            raise NotFound
        if root is not None and root.thread_id is not None:
            raise Invalid("A reply belongs to a message, not to another reply.")
    except DomainError as refusal:
        return refusal
    return None


def _earlier(ids: list[UUID]) -> dict[UUID, Sent]:
    """Messages that were sent before under these ids, with their first versions."""
    messages = {row.pk: row for row in Message.objects.filter(pk__in=ids)}
    versions = MessageVersion.objects.filter(message__in=messages, revision=1)
    return {row.message_id: _as_sent(messages[row.message_id], row) for row in versions}


def _as_sent(message: Message, version: MessageVersion) -> Sent:
    return Sent(message, version, trail.leaf_hash(version.entry_id))


def _outcome(draft: Draft, sent: Sent) -> Ack | DomainError:
    message = sent.message
    same = (
        message.author_id == draft.author.pk
        and message.conversation_id == draft.conversation
        and message.thread_id == draft.thread
        and _says(sent.version, draft.body)
    )
    return sent.ack() if same else Conflict("This message id is taken already.")


def _says(version: MessageVersion, body: str) -> bool:
    try:
        return version.body == body
    except SealError as error:
        if error.erased:
            return False
        raise


def _insert(drafts: Sequence[Draft]) -> list[Sent]:
    """Give each its offset, seal it, and write message, version, entry and event."""
    now = timezone.now()
    places = _reserve(drafts)
    following = {conversation: count(place.first) for conversation, place in places.items()}
    messages = [_message(draft, next(following[draft.conversation]), now) for draft in drafts]
    versions = [
        _version(message, draft, now) for message, draft in zip(messages, drafts, strict=True)
    ]
    pairs = list(zip(messages, versions, strict=True))
    entries = record_many([_sent(*pair, draft) for pair, draft in zip(pairs, drafts, strict=True)])
    for version, entry in zip(versions, entries, strict=True):
        version.entry_id = entry.pk
    Message.objects.bulk_create(messages)
    MessageVersion.objects.bulk_create(versions)
    for conversation, place in places.items():
        mine = [pair for pair in pairs if pair[0].conversation_id == conversation]
        bodies = [_sealed_body(version) for _, version in mine]
        realtime.append(place, [_created(*pair) for pair in mine], sealed=bodies)
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


def _sent(message: Message, version: MessageVersion, draft: Draft) -> Record:
    return Record(
        Action.MESSAGE_SENT,
        organization=draft.author.organization_id,
        actor=draft.author.actor,
        target=_target(message),
        scope=message.conversation_id,
        after=_state(version),
        parameters={
            "offset": message.offset,
            "thread": str(message.thread_id) if message.thread_id else None,
        },
        origin=draft.origin,
    )


def _target(message: Message) -> Target:
    return Target("message", str(message.pk), str(message.conversation_id))


def _state(version: MessageVersion) -> dict[str, str | int | None]:
    """What the trail keeps of a version: its number and the salted commitment to its text."""
    deleted = version.kind == VersionKind.DELETED
    commitment = None if deleted else seal_now(version, "body").commitment.hex()
    return {"version": str(version.pk), "revision": version.revision, "content": commitment}


def _sealed_body(version: MessageVersion) -> SealedBody:
    sealed = seal_now(version, "body")
    return SealedBody(sealed.token, str(version.organization_id), str(version.pk))


def _created(message: Message, version: MessageVersion) -> protocol.MessageCreated:
    return protocol.MessageCreated(
        id=str(message.pk),
        author=str(message.author_id),
        body=None,
        thread=str(message.thread_id) if message.thread_id else None,
        at=timestamp(message.created_at),
        revision=1,
        entry=version.entry_id,
    )


@transaction.atomic
def edit_message(*, editor: User, message_id: UUID, body: str, revision: int) -> Ack:
    """Give one's own message another text; the earlier one stays, sealed.

    `revision` is the one that the editor saw. Raises NotFound, Invalid, or Conflict when
    it was edited or deleted since; the same edit again gets the same acknowledgement.
    """
    text.body(body)
    message = _own_message(editor, message_id)
    if message.deleted_at is not None:
        raise Conflict("This message was deleted.")
    current = message.versions.get(revision=message.revision)
    if message.revision == revision + 1 and _says(current, body):
        return _as_sent(message, current).ack()
    if message.revision != revision:
        raise Conflict("This message was edited since: load it again.")
    sent = _add_version(message, editor, VersionKind.EDITED, body, Action.MESSAGE_EDITED)
    version = sent.version
    event = protocol.MessageEdited(
        id=str(message.pk),
        revision=version.revision,
        body=None,
        by=str(editor.pk),
        at=timestamp(version.at),
    )
    place = realtime.reserve(conversation_stream(message.conversation_id), 1)
    realtime.append(place, [event], sealed=[_sealed_body(version)])
    return sent.ack()


@transaction.atomic
def delete_message(*, editor: User, message_id: UUID) -> None:
    """Take one's own message away; its versions stay, sealed. Deleting again changes nothing."""
    message = _own_message(editor, message_id)
    if message.deleted_at is not None:
        return
    version = _add_version(
        message, editor, VersionKind.DELETED, None, Action.MESSAGE_DELETED
    ).version
    event = protocol.MessageDeleted(
        id=str(message.pk), revision=version.revision, by=str(editor.pk), at=timestamp(version.at)
    )
    realtime.emit(conversation_stream(message.conversation_id), event)


def _own_message(editor: User, message_id: UUID) -> Message:
    """The editor's message, under its stream's lock. Raises NotFound for anybody else's."""
    require(editor, Permission.MESSAGES_SEND)
    found = access.message(editor, message_id)
    realtime.lock([conversation_stream(found.conversation_id)])
    found = access.message(editor, message_id)
    if found.author_id != editor.pk:
        raise NotFound
    return found


def _add_version(
    message: Message, editor: User, kind: VersionKind, body: str | None, action: Action
) -> Sent:
    before = message.versions.get(revision=message.revision)
    now = timezone.now()
    version = MessageVersion(
        message=message,
        organization_id=editor.organization_id,
        conversation_id=message.conversation_id,
        revision=message.revision + 1,
        kind=kind,
        body=body,
        editor=editor,
        at=now,
    )
    entry = record(
        action,
        organization=editor.organization_id,
        actor=editor.actor,
        target=_target(message),
        scope=message.conversation_id,
        before=_kept_state(before),
        after=_state(version),
    )
    version.entry_id = entry.pk
    version.save(force_insert=True)
    message.revision = version.revision
    if kind == VersionKind.DELETED:
        message.deleted_at = now
    else:
        message.edited_at = now
    message.save(update_fields=["revision", "edited_at", "deleted_at"])
    return Sent(message, version, entry.leaf_hash)


def _kept_state(version: MessageVersion) -> dict[str, str | int | None]:
    try:
        commitment = opened(version, "body").commitment.hex()
    except SealError as error:
        if not error.erased:
            raise
        commitment = None
    return {"version": str(version.pk), "revision": version.revision, "content": commitment}


@transaction.atomic
def react(*, user: User, message_id: UUID, emoji: str, on: bool) -> None:
    """Add or take back a reaction; doing so again changes nothing. Raises NotFound, Invalid."""
    require(user, Permission.MESSAGES_SEND)
    text.emoji(emoji)
    message = access.message(user, message_id)
    realtime.lock([conversation_stream(message.conversation_id)])
    message = access.message(user, message_id)
    if on and message.deleted_at is not None:
        raise Conflict("This message was deleted.")
    changed = _set_reaction(message, user, emoji, on)
    if not changed:
        return
    record(
        Action.REACTION_ADDED if on else Action.REACTION_REMOVED,
        organization=user.organization_id,
        actor=user.actor,
        target=Target("reaction", str(message.pk), str(message.conversation_id)),
        scope=message.conversation_id,
        parameters={"emoji": emoji},
    )
    kind = protocol.ReactionAdded if on else protocol.ReactionRemoved
    event = kind(id=str(message.pk), user=str(user.pk), emoji=emoji)
    realtime.emit(conversation_stream(message.conversation_id), event)


def _set_reaction(message: Message, user: User, emoji: str, on: bool) -> bool:
    mine = Reaction.objects.filter(message=message, user=user, emoji=emoji)
    if on:
        _, made = Reaction.objects.get_or_create(message=message, user=user, emoji=emoji)
        return made
    deleted, _ = mine.delete()
    return bool(deleted)
