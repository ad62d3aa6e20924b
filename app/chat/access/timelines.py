"""Messages with all that is shown of them, in pages and one by one; their versions and proofs."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Max, Q

from app.accounts.models import User
from app.audit import access as trail
from app.audit import disclosure
from app.chat.access.files import attached, shown
from app.chat.access.memberships import membership, mine
from app.chat.access.overviews import place
from app.chat.access.unreadable import readable
from app.chat.models import Message, MessageVersion, Reaction
from app.encryption.fields import prefetch_data_keys, token
from app.errors import NotFound
from app.realtime import protocol
from app.realtime.access import Place

PAGE = 50
MAX_PAGE = 200


@dataclass(slots=True)
class MessageView:
    """A message with its present text; `body` is None where it was deleted or erased.

    `log_index` is the place in the log of the present version's entry, None until it is sealed.
    """

    message: Message
    body: str | None
    entry_id: int
    log_index: int | None = None
    attachments: list[protocol.Attachment] = field(default_factory=list)
    replies: int = 0
    last_reply_at: datetime | None = None
    reactions: dict[str, list[UUID]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """Messages in ascending offset; `more` tells of further ones in the direction asked for."""

    messages: list[MessageView]
    position: Place
    more: bool


def message(user: User, message_id: UUID) -> Message:
    """A message in a conversation that the user belongs to now. Raises NotFound."""
    found = (
        Message.objects.filter(pk=message_id)
        .filter(mine("conversation__", user))
        .select_related("conversation")
        .first()
    )
    if found is None:
        raise NotFound
    return found


def message_view(user: User, message_id: UUID) -> MessageView:
    """The same, with text, reactions and its place in the log."""
    return _views([message(user, message_id)])[0]


def timeline(
    user: User,
    conversation_id: UUID,
    *,
    before: int | None = None,
    after: int | None = None,
    thread: UUID | None = None,
    limit: int = PAGE,
) -> Page:
    """A page of messages by offset: the last ones, those before, or those after an offset.

    `thread` gives that message and its replies; without it replies are left out.
    """
    membership(user, conversation_id)
    # Read before the messages: a client that subscribes from here on misses nothing.
    position = place(conversation_id)
    found = Message.objects.filter(conversation=conversation_id)
    found = found.filter(Q(thread=thread) | Q(pk=thread)) if thread else found.filter(thread=None)
    if after is not None:
        rows = list(found.filter(offset__gt=after).order_by("offset")[: limit + 1])
        return Page(_views(rows[:limit]), position, len(rows) > limit)
    if before is not None:
        found = found.filter(offset__lt=before)
    rows = list(found.order_by("-offset")[: limit + 1])
    return Page(_views(rows[:limit][::-1]), position, len(rows) > limit)


def versions(user: User, message_id: UUID) -> list[MessageVersion]:
    """All versions of one's own message, oldest first. Raises NotFound for another's."""
    found = message(user, message_id)
    if found.author_id != user.pk:
        raise NotFound
    result = list(found.versions.order_by("revision"))
    prefetch_data_keys(list(_tokens(result)))
    return result


def receipt(user: User, message_id: UUID) -> tuple[MessageVersion, trail.Receipt]:
    """The message's present version and what proves that it is in the log."""
    found = message(user, message_id)
    version = found.versions.get(revision=found.revision)
    return version, trail.receipt(version.entry_id)


def log_key(user: User) -> str | None:
    """The public key of the organization’s log as a verifier key; None before there is one."""
    return disclosure.verifier_key(user.organization_id)


def _views(messages: Sequence[Message]) -> list[MessageView]:
    """The messages' present texts, files, reactions, replies and places, in five queries."""
    ids = [row.pk for row in messages]
    present = present_versions({row.pk: row.revision for row in messages})
    views = {
        row.pk: MessageView(row, text_of(present[row.pk]), present[row.pk].entry_id)
        for row in messages
    }
    indexes = trail.leaf_indexes([view.entry_id for view in views.values()])
    for view in views.values():
        view.log_index = indexes.get(view.entry_id)
    for row in attached(ids):
        if row.message_id in views and views[row.message_id].message.deleted_at is None:
            views[row.message_id].attachments.append(shown(row))
    for reaction in Reaction.objects.filter(message__in=ids).order_by("pk"):
        views[reaction.message_id].reactions.setdefault(reaction.emoji, []).append(reaction.user_id)
    replied = (
        Message.objects.filter(thread__in=ids, deleted_at=None)
        .values_list("thread")
        .annotate(count=Count("pk"), last=Max("created_at"))
    )
    for pk, count, last in replied:
        views[pk].replies, views[pk].last_reply_at = count, last
    return list(views.values())


def present_versions(revisions: dict[UUID, int]) -> dict[UUID, MessageVersion]:
    """The versions of `revisions` (message to revision), their data keys fetched at once."""
    found = {
        row.message_id: row
        for row in MessageVersion.objects.filter(message__in=revisions)
        if revisions[row.message_id] == row.revision
    }
    prefetch_data_keys(list(_tokens(found.values())))
    return found


def text_of(version: MessageVersion) -> str | None:
    """What the version says; None where it is a deletion, or cannot be read: see `readable`."""
    return readable(lambda: version.body, version.pk)


def _tokens(rows: Iterable[MessageVersion]) -> list[str]:
    found = []
    for row in rows:
        # A row that somebody emptied shows nothing; it must not take the others' page away.
        with suppress(ValueError):
            found.append(token(row, "body"))
    return found
