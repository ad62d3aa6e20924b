"""Keeps the blind words beside the messages, in the transaction that changes what they say."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from django.db.models import Model

from app.chat.access import present_versions
from app.chat.models import Message, MessageVersion
from app.chat.search.models import IndexState, SearchIndex, SearchTokens
from app.chat.search.words import index_words
from app.encryption.blind import blind_words
from app.encryption.envelope import Fault, SealError, dek_id_in
from app.encryption.fields import token

_ON = (IndexState.COMPLETE, IndexState.BUILDING)
Said = tuple[Message, MessageVersion]


def add_to_index(said: Sequence[Said]) -> None:
    """Index new messages of organizations that have an index.

    To be called after the transaction's first write: turning the index on waits for every
    transaction that has written, and so for all that may have read that it was off.
    """
    off = _off({version.organization_id for _, version in said})
    wanted = [pair for pair in said if pair[1].organization_id not in off]
    SearchTokens.objects.bulk_create([_tokens(*pair) for pair in wanted])


def words_under(key: bytes, body: str) -> list[int]:
    """The blind words of a text that is sealed under the data key with this id."""
    return blind_words(key, index_words(body))


def change_in_index(message: Message, version: MessageVersion) -> None:
    """Index what the message says now; a deleted one says nothing any more."""
    SearchTokens.objects.filter(pk=message.pk).delete()
    if message.deleted_at is None:
        add_to_index([(message, version)])


def index_again(messages: Collection[UUID]) -> int:
    """Index messages that were sealed under other keys, or never indexed; returns how many.

    Locks them, so that nobody edits meanwhile. What cannot be read any more is left out;
    raises `SealError` (key_unavailable).
    """
    locked = Message.objects.filter(pk__in=messages, deleted_at=None)
    rows = list(locked.order_by("pk").select_for_update(no_key=True))
    present = present_versions({row.pk: row.revision for row in rows})
    SearchTokens.objects.filter(pk__in=messages).delete()
    made = SearchTokens.objects.bulk_create(_readable((row, present[row.pk]) for row in rows))
    return len(made)


def index_resealed(model: type[Model], pks: Collection[UUID]) -> None:
    """Index again what was in the index, where these rows were sealed under other keys."""
    if model is MessageVersion:
        indexed = SearchTokens.objects.filter(message__versions__in=pks).distinct()
        index_again(list(indexed.values_list("pk", flat=True)))


def forget_keys(conversation: UUID | None, keys: Collection[UUID]) -> None:
    """Delete what is indexed under destroyed keys: nobody could look it up any more."""
    if conversation is not None:
        SearchTokens.objects.filter(conversation_id=conversation, key_id__in=keys).delete()


def _off(organizations: Collection[UUID]) -> set[UUID]:
    found = SearchIndex.objects.filter(pk__in=organizations).exclude(state__in=_ON)
    return set(found.values_list("pk", flat=True))


def _readable(said: Iterable[Said]) -> Iterable[SearchTokens]:
    for message, version in said:
        try:
            yield _tokens(message, version)
        except SealError as error:
            if error.code == Fault.KEY_UNAVAILABLE:
                raise


def _tokens(message: Message, version: MessageVersion) -> SearchTokens:
    key = dek_id_in(token(version, "body")) or b""
    return SearchTokens(
        message=message,
        conversation_id=message.conversation_id,
        author_id=message.author_id,
        created_at=message.created_at,
        key_id=UUID(bytes=key),
        words=words_under(key, version.body or ""),
    )
