"""Every read of conversations and messages: the asker comes first, loading is authorising.

Who is not a member gets NotFound, as if there were nothing: existence is information.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery

from app.accounts.models import User
from app.audit import access as trail
from app.audit import disclosure
from app.chat.attachments.description import load
from app.chat.models import (
    Attachment,
    Conversation,
    Kind,
    Membership,
    Message,
    MessageVersion,
    Reaction,
)
from app.encryption.envelope import Fault
from app.encryption.fields import SealError, prefetch_data_keys, token
from app.errors import NotFound, Unavailable
from app.realtime import protocol
from app.realtime.access import Place, places
from app.realtime.services import conversation_stream

logger = logging.getLogger(__name__)

PAGE = 50
MAX_PAGE = 200


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation as one person sees it in their list."""

    conversation: Conversation
    membership: Membership | None
    size: int
    people: list[UUID]
    position: Place
    unread: int
    last_at: datetime | None


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


def membership(user: User, conversation: UUID) -> Membership:
    """The user's present membership. Raises NotFound for anybody else's conversation."""
    found = (
        _present(Membership.objects.filter(conversation=conversation, user=user))
        .select_related("conversation")
        .first()
    )
    if found is None:
        raise NotFound
    return found


def joinable(user: User, conversation: UUID) -> Conversation:
    """A public conversation of the user's organization. Raises NotFound."""
    found = Conversation.objects.filter(
        pk=conversation, organization=user.organization_id, kind=Kind.PUBLIC
    ).first()
    if found is None:
        raise NotFound
    return found


def message(user: User, message_id: UUID) -> Message:
    """A message in a conversation that the user belongs to now. Raises NotFound."""
    found = (
        Message.objects.filter(pk=message_id)
        .filter(_mine("conversation__", user))
        .select_related("conversation")
        .first()
    )
    if found is None:
        raise NotFound
    return found


def message_view(user: User, message_id: UUID) -> MessageView:
    """The same, with text, reactions and its place in the log."""
    return _views([message(user, message_id)])[0]


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


def members(user: User, conversation: UUID) -> list[Membership]:
    """Who belongs to the conversation now, in the order of joining."""
    membership(user, conversation)
    return list(
        _present(Membership.objects.filter(conversation=conversation)).order_by("joined_at")
    )


def conversations(user: User) -> list[ConversationView]:
    """The user's conversations and those that are open to them, the latest first."""
    mine = {
        row.conversation_id: row
        for row in _present(Membership.objects.filter(user=user)).select_related("conversation")
    }
    public = Conversation.objects.filter(
        organization=user.organization_id, kind=Kind.PUBLIC
    ).exclude(pk__in=mine)
    found = [row.conversation for row in mine.values()] + list(public)
    return sorted(_overviews(user, found, mine), key=_recency, reverse=True)


def conversation(user: User, conversation_id: UUID) -> ConversationView:
    """One of them. Raises NotFound for a conversation that the user cannot see."""
    found = Conversation.objects.filter(pk=conversation_id).first()
    mine = _present(Membership.objects.filter(conversation=conversation_id, user=user)).first()
    if found is None or (mine is None and not _open_to(user, found)):
        raise NotFound
    return _overviews(user, [found], {found.pk: mine} if mine else {})[0]


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


def attachment_for(user: User, attachment_id: UUID) -> Attachment:
    """A file that the user may fetch: of a message that is there, where they are a member now;
    or their own, before it is sent. Raises NotFound.
    """
    sent = Q(message__isnull=False, message__deleted_at=None)
    own = Q(message=None, uploader=user, completed_at__isnull=False, deleted_at=None)
    found = (
        Attachment.objects.filter(sent | own, pk=attachment_id)
        .filter(_mine("conversation__", user))
        .first()
    )
    if found is None:
        raise NotFound
    return found


def upload(user: User, attachment_id: UUID, *, lock: bool = False) -> Attachment:
    """The user's own file that is not deleted, in a conversation that they are in now.

    `lock`: until the end of the transaction. Raises NotFound.
    """
    rows = Attachment.objects.select_for_update(of=("self",)) if lock else Attachment.objects
    found = (
        rows.filter(pk=attachment_id, uploader=user, deleted_at=None)
        .filter(_mine("conversation__", user))
        .first()
    )
    if found is None or readable(lambda: found.key, found.pk) is None:
        raise NotFound  # also where its data key was destroyed meanwhile
    return found


def unsent_uploads(user: User) -> int:
    """How many files of the user no message carries."""
    return Attachment.objects.filter(uploader=user, message=None, deleted_at=None).count()


def unsent(attachment_id: UUID, *, made_before: datetime | None = None) -> Attachment | None:
    """For services of the system: a file that no message carries, locked until the commit."""
    rows = Attachment.objects.select_for_update().filter(
        pk=attachment_id, message=None, deleted_at=None
    )
    if made_before is not None:
        rows = rows.filter(created_at__lt=made_before)
    return rows.first()


def abandoned(*, made_before: datetime) -> list[UUID]:
    """For the job: files that no message carries, begun before that time."""
    rows = Attachment.objects.filter(message=None, deleted_at=None, created_at__lt=made_before)
    return list(rows.order_by("created_at").values_list("pk", flat=True))


def to_remove(*, deleted_before: datetime, erased_in: Collection[UUID]) -> list[Attachment]:
    """For the job: what the storage should have no more of, as far as rows can tell.

    Files deleted before that time; and those sent in conversations of which some data key was
    destroyed: whether theirs was, their own key tells.
    """
    deleted = Q(deleted_at__lt=deleted_before)
    doubtful = Q(message__isnull=False, conversation__in=erased_in)
    return list(Attachment.objects.filter(deleted | doubtful, gone_at=None).order_by("created_at"))


def may_listen(pairs: Collection[tuple[User, UUID]]) -> set[tuple[UUID, UUID]]:
    """Of (user, conversation) pairs, those where the user is a member now; one query."""
    found = _present(
        Membership.objects.filter(
            user__in={user.pk for user, _ in pairs},
            conversation__in={conversation for _, conversation in pairs},
        )
    ).values_list("user_id", "conversation_id")
    return set(found)


def unread(membership: Membership) -> int:
    """How many messages of others the member has not read."""
    return _unread([membership.pk]).get(membership.conversation_id, 0)


def place(conversation: UUID) -> Place:
    """Where the conversation's stream stands."""
    stream = conversation_stream(conversation)
    return places([stream])[stream]


def _present(found: QuerySet[Membership]) -> QuerySet[Membership]:
    return found.filter(left_at=None)


def _mine(prefix: str, user: User) -> Q:
    return Q(**{f"{prefix}memberships__user": user, f"{prefix}memberships__left_at": None})


def _open_to(user: User, conversation: Conversation) -> bool:
    return conversation.organization_id == user.organization_id and conversation.kind == Kind.PUBLIC


def _recency(view: ConversationView) -> tuple[datetime, str]:
    return (view.last_at or view.conversation.created_at, str(view.conversation.pk))


def _overviews(
    user: User, found: Sequence[Conversation], mine: dict[UUID, Membership]
) -> list[ConversationView]:
    ids = [conversation.pk for conversation in found]
    prefetch_data_keys([token(row, "name") for row in found])
    at = places([conversation_stream(pk) for pk in ids])
    unread_counts = _unread([row.pk for row in mine.values()])
    last = dict(
        Message.objects.filter(conversation__in=ids, thread=None)
        .values_list("conversation")
        .annotate(last=Max("created_at"))
    )
    direct = [row.pk for row in found if row.kind == Kind.DIRECT]
    people: dict[UUID, list[UUID]] = defaultdict(list)
    for pk, person in _present(Membership.objects.filter(conversation__in=direct)).values_list(
        "conversation_id", "user_id"
    ):
        people[pk].append(person)
    sizes = dict(
        _present(Membership.objects.filter(conversation__in=ids))
        .values_list("conversation")
        .annotate(size=Count("pk"))
    )
    return [
        ConversationView(
            row,
            mine.get(row.pk),
            sizes.get(row.pk, 0),
            people[row.pk],
            at[conversation_stream(row.pk)],
            unread_counts.get(row.pk, 0),
            last.get(row.pk),
        )
        for row in found
    ]


def _unread(memberships: Collection[int]) -> dict[UUID, int]:
    others = (
        Message.objects.filter(
            conversation=OuterRef("conversation"),
            offset__gt=OuterRef("read_offset"),
            thread=None,
            deleted_at=None,
        )
        .exclude(author=OuterRef("user"))
        .order_by()
        .values("conversation")
        .annotate(count=Count("pk"))
        .values("count")
    )
    stays = Membership.objects.filter(pk__in=memberships).annotate(unread=Subquery(others))
    return {pk: count or 0 for pk, count in stays.values_list("conversation_id", "unread")}


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


def attached(messages: Collection[UUID]) -> list[Attachment]:
    """The files of these messages, in order, their data keys fetched at once."""
    found = list(Attachment.objects.filter(message__in=messages).order_by("position"))
    prefetch_data_keys([token(row, "description") for row in found])
    return found


def shown(attachment: Attachment) -> protocol.Attachment:
    """What a member sees of a file; without its name where it was erased or cannot be read."""
    known = protocol.Attachment(id=str(attachment.pk), size=attachment.size)
    described = readable(lambda: attachment.description, attachment.pk)
    if described is not None:
        description = load(described)
        known.name, known.type = description.name, description.type
        known.sha256 = description.sha256
        if description.picture:
            known.width, known.height = description.picture.width, description.picture.height
    return known


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


def readable(open_text: Callable[[], str | None], version: UUID) -> str | None:
    """What `open_text` returns, or None where nothing can be read any more.

    One row that was tampered with must not take the others' page away: it is logged, and
    `audit_verify` and exports name it. Raises Unavailable while keys are not to be had.
    """
    try:
        return open_text()
    except SealError as error:
        leave_out(error, version)
        return None


def leave_out(error: SealError, version: UUID) -> None:
    """What `readable` does about a text that does not open: tells of it, or raises Unavailable."""
    if error.code == Fault.KEY_UNAVAILABLE:
        raise Unavailable from error
    if not error.erased:
        told = {"version": str(version), "fault": str(error.code)}
        logger.error("message_unreadable", extra=told)


def label(conversation: Conversation, field: str) -> str:
    """Its name or topic; words instead, where that was tampered with. Raises Unavailable.

    As with `readable`: one row that does not open must not take the list away.
    """
    try:
        return str(getattr(conversation, field))
    except SealError as error:
        if error.code == Fault.KEY_UNAVAILABLE:
            raise Unavailable from error
        told = {"conversation": str(conversation.pk), "field": field, "fault": str(error.code)}
        logger.error("conversation_unreadable", extra=told)
        return f"(this {field} cannot be read)"


def _tokens(rows: Iterable[MessageVersion]) -> list[str]:
    found = []
    for row in rows:
        # A row that somebody emptied shows nothing; it must not take the others' page away.
        with suppress(ValueError):
            found.append(token(row, "body"))
    return found
