"""Erasing: destroys data keys, and with them all that they sealed.

The trail keeps salted commitments alone, so its proofs hold; what was written is gone.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from app.audit import disclosure
from app.audit.leaves import timestamp
from app.audit.services import SYSTEM, Action, Actor, Record, Target, record_many
from app.encryption import erasures, forgetting
from app.encryption.access import data_keys_of
from app.encryption.erasures import Listed
from app.encryption.holds import told_of_holds
from app.encryption.models import DataKey
from app.encryption.rotation.columns import on_ended

_MOST_ENTRIES = 10_000  # of one conversation's destroyed keys: one for a month, or a rotation


class Reason(StrEnum):
    """Why something is erased, in the trail. Free words would be content in the clear."""

    REQUEST = "request"  # somebody asked for it (GDPR 17)
    RETENTION = "retention"  # its time was over
    OPERATOR = "operator"  # by command, see the operator's own records
    REPLAY = "replay"  # erased before, and brought back by a backup


def destroy_data_keys(
    *,
    organization: UUID,
    conversation: UUID | None,
    months: Collection[date] | None = None,
    actor: Actor,
    reason: Reason,
    request: UUID | None = None,
) -> list[UUID]:
    """Erase what was written in a conversation: all of it, or in `months` (their first days).

    Returns the ids of the keys that were destroyed, none if there is nothing left. Each is an
    entry of the trail, with `request` (what was approved). Every process forgets them at once.
    What was destroyed for a request once is done: a job that died afterwards, and comes again,
    must not take the key of what was written since.

    In a transaction of its own, because the list of erasures must not name what is then rolled
    back: call it outside of any. Raises UnderHold, and ErasureListUnusable; nothing is erased
    then. What is written in the conversation from now on gets a new key.
    """
    with transaction.atomic(durable=True), told_of_holds():
        keys = _locked(organization, conversation, months)
        at = timezone.now()
        destroyed = [key for key in keys if key.destroyed_at is None]
        if request and _is_done(organization, conversation, request):
            destroyed = []
        if destroyed:
            _destroy(destroyed, at)
            record_many([_entry(key, actor, reason, request) for key in destroyed])
            _tell_of_ended(destroyed)
            _check_now()
            # Also those that a rotation emptied: a backup may hold them with their texts.
            known = erasures.listed()
            erasures.append([_listed(key, at, reason) for key in keys if key.id not in known])
    forgetting.tell(key.id for key in destroyed)
    return [key.id for key in destroyed]


def replay_erasures(*, despite_hold: bool = False) -> int:
    """Destroy again what the list names and a backup brought back; returns how many keys.

    A hold that was released before the erasure is in the backup, too: `despite_hold` goes past
    it, which only the owner of the tables can. Raises UnderHold, ErasureListUnusable.
    """
    with transaction.atomic(), told_of_holds():
        listed = erasures.listed()
        keys = list(DataKey.objects.filter(id__in=listed, destroyed_at=None).select_for_update())
        if keys:
            with _past_holds() if despite_hold else nullcontext():
                _destroy(keys, timezone.now())
            record_many([_entry(key, SYSTEM, Reason.REPLAY, None) for key in keys])
            _tell_of_ended(keys)
    forgetting.tell(key.id for key in keys)
    return len(keys)


@contextmanager
def _past_holds() -> Iterator[None]:
    """The trigger is the owner's to switch off, for this transaction alone."""
    switch = "ALTER TABLE encryption_data_key {} TRIGGER data_key_under_legal_hold"
    with connection.cursor() as cursor:
        cursor.execute(switch.format("DISABLE"))
        yield
        cursor.execute(switch.format("ENABLE ALWAYS"))


def _tell_of_ended(keys: list[DataKey]) -> None:
    conversations = {key.conversation_id for key in keys}
    for conversation in conversations:
        ended = [key.id for key in keys if key.conversation_id == conversation]
        for hear in on_ended:
            hear(conversation, ended)


def _locked(
    organization: UUID, conversation: UUID | None, months: Collection[date] | None
) -> list[DataKey]:
    """The keys, locked; read again until there is no other, since a rotation may be under way.

    It adds a key and fills it only while it holds the one before (see `rotation`).
    """
    found: list[DataKey] = []
    while True:
        keys = list(data_keys_of(organization, conversation, months).select_for_update(of=["self"]))
        if len(keys) == len(found):
            return keys
        found = keys


def _is_done(organization: UUID, conversation: UUID | None, request: UUID) -> bool:
    """Whether the trail has a destruction for this request.

    The keys are locked: whoever was faster has committed, keys and entries together.
    """
    entries = disclosure.page(
        organization,
        actions=[Action.DATA_KEY_DESTROYED],
        scope=conversation,
        outside=conversation is None,
        limit=_MOST_ENTRIES,
    )
    return any(entry.document["parameters"]["request"] == str(request) for entry in entries)


def _destroy(keys: list[DataKey], at: datetime) -> None:
    DataKey.objects.filter(pk__in=[key.pk for key in keys]).update(wrapped=None, destroyed_at=at)


def _entry(key: DataKey, actor: Actor, reason: Reason, request: UUID | None) -> Record:
    return Record(
        Action.DATA_KEY_DESTROYED,
        organization=key.organization_id,
        scope=key.conversation_id,
        actor=actor,
        target=Target("data_key", str(key.id), str(key.key_encryption_key_id)),
        before={"month": key.month.isoformat()},
        parameters={"reason": str(reason), "request": str(request) if request else None},
    )


def _check_now() -> None:
    """Let deferred constraints refuse before the list is written, not at the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _listed(key: DataKey, at: datetime, reason: Reason) -> Listed:
    return Listed(
        timestamp(at), key.organization_id, key.conversation_id, key.month, key.id, str(reason)
    )
