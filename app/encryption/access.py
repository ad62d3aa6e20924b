"""Reads of keys. For services of the system alone: no person ever sees a key."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db.models import Count, Max, Q, QuerySet, Sum

from app.encryption.models import DataKey, KeyEncryptionKey


def data_keys(ids: Collection[UUID]) -> list[DataKey]:
    """The data keys with these ids, with their key encryption keys; one query."""
    return list(DataKey.objects.select_related("key_encryption_key").filter(id__in=ids))


def data_keys_of(
    organization: UUID, conversation: UUID | None, months: Collection[date] | None = None
) -> QuerySet[DataKey]:
    """All data keys of a conversation there ever were, of all months or of these, by id."""
    keys = DataKey.objects.filter(organization_id=organization, conversation_id=conversation)
    return (keys if months is None else keys.filter(month__in=months)).order_by("id")


def conversations_with_destroyed_keys() -> set[UUID]:
    """Where something may have been erased."""
    found = DataKey.objects.filter(destroyed_at__isnull=False, conversation_id__isnull=False)
    return {pk for pk in found.values_list("conversation_id", flat=True) if pk}


def data_key_in_force(organization: UUID, conversation: UUID | None, month: date) -> DataKey | None:
    """The data key that seals for this conversation in this month, if there is one."""
    return (
        DataKey.objects.select_related("key_encryption_key")
        .filter(
            organization_id=organization,
            conversation_id=conversation,
            month=month,
            closed_at__isnull=True,
            destroyed_at__isnull=True,
        )
        .first()
    )


def key_encryption_key_in_force(organization: UUID) -> KeyEncryptionKey | None:
    """The key encryption key that wraps this organization's new data keys, if there is one."""
    return KeyEncryptionKey.objects.filter(
        organization_id=organization, superseded_at__isnull=True
    ).first()


def open_keys(organization: UUID, conversation: UUID | None = None) -> QuerySet[DataKey]:
    """The data keys in force, of one conversation or of all; a `conversation` of None is all."""
    return _alive(organization, conversation).filter(closed_at=None)


def closed_keys(organization: UUID, conversation: UUID | None = None) -> QuerySet[DataKey]:
    """Likewise those that seal nothing new and still open what they sealed."""
    return _alive(organization, conversation).filter(closed_at__isnull=False)


def _alive(organization: UUID, conversation: UUID | None) -> QuerySet[DataKey]:
    keys = DataKey.objects.filter(organization_id=organization, destroyed_at=None).order_by("id")
    return keys if conversation is None else keys.filter(conversation_id=conversation)


def organizations_with_keys() -> list[UUID]:
    """Every organization that has a key encryption key."""
    found = KeyEncryptionKey.objects.order_by("organization_id").distinct()
    return list(found.values_list("organization_id", flat=True))


def erased_but_alive(listed: Collection[UUID]) -> int:
    """How many of the data keys on the list of erasures are there: a backup was restored."""
    return DataKey.objects.filter(id__in=listed, destroyed_at=None).count()


def superseded_keys(organization: UUID) -> QuerySet[KeyEncryptionKey]:
    """Key encryption keys that have a successor and are still needed, the oldest first."""
    return KeyEncryptionKey.objects.filter(
        organization_id=organization, superseded_at__isnull=False, retired_at=None
    ).order_by("created_at", "id")


def data_keys_wrapped_by(kek: KeyEncryptionKey) -> QuerySet[DataKey]:
    """The data keys that need this key encryption key to be unwrapped, by id."""
    return (
        DataKey.objects.select_related("key_encryption_key")
        .filter(key_encryption_key=kek, destroyed_at=None)
        .order_by("id")
    )


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """What an operator may know of one key encryption key."""

    organization: UUID
    key: KeyEncryptionKey
    data_keys: int
    closed: int
    destroyed: int
    uses: int
    most_used: int


def key_status() -> list[KeyStatus]:
    """Every key encryption key with its data keys in numbers, by organization."""
    rows = KeyEncryptionKey.objects.annotate(
        total=Count("datakey"),
        closed=Count(
            "datakey",
            filter=Q(datakey__closed_at__isnull=False, datakey__destroyed_at__isnull=True),
        ),
        destroyed=Count("datakey", filter=Q(datakey__destroyed_at__isnull=False)),
        used=Sum("datakey__uses", default=0),
        most=Max("datakey__uses", default=0),
    ).order_by("organization_id", "created_at")
    return [
        KeyStatus(
            row.organization_id, row, row.total, row.closed, row.destroyed, row.used, row.most
        )
        for row in rows
    ]
