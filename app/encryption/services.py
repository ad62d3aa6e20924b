"""Creates keys and counts their uses. Each call commits by itself (see `apart`)."""

import base64
import os
from datetime import date
from functools import partial
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import F

from app.audit.actions import Action
from app.audit.services import SYSTEM, Target, record
from app.encryption import erasures
from app.encryption.access import data_key_in_force, key_encryption_key_in_force
from app.encryption.apart import apart
from app.encryption.envelope import KEY_BYTES, Fault, SealError, prefixed
from app.encryption.keys import configured_key_encryption, key_encryption
from app.encryption.models import DataKey, KeyEncryptionKey
from app.encryption.unavailable import KeyUnavailable

# Random 96-bit nonces: below 2^32 uses of a key NIST SP 800-38D (8.3) is content; 2^28 keeps
# the chance of any two equal nonces under 2^-41.
USE_LIMIT = 2**28
USE_BLOCK = 1024
_TRIES = 3


def reserve_data_key(*, organization: UUID, conversation: UUID | None, month: date) -> DataKey:
    """The data key that seals here and now, made if need be, with USE_BLOCK uses reserved.

    Raises `SealError` (exhausted) when no uses are left, KeyUnavailable without its key
    encryption key, and `Unavailable` when the database keeps us waiting.
    """
    for _ in range(_TRIES):
        found = apart(lambda: _reserved_or_wrapping(organization, conversation, month))
        if isinstance(found, DataKey):
            return found
        key = DataKey(
            id=uuid4(),
            organization_id=organization,
            conversation_id=conversation,
            month=month,
            key_encryption_key=found,
        )
        # Between two transactions: it may be a call over the network.
        key.wrapped = wrapped_data_key(key, found, os.urandom(KEY_BYTES))
        made = apart(partial(_insert_and_reserve, key))
        if made is not None:
            return made
    raise KeyUnavailable("keys of this organization change too quickly to use them")


def _reserved_or_wrapping(
    organization: UUID, conversation: UUID | None, month: date
) -> DataKey | KeyEncryptionKey:
    """The data key in force, with uses; where there is none, the key that is to wrap a new one."""
    key = data_key_in_force(organization, conversation, month)
    if key is not None:
        return _reserve(key)
    kek = key_encryption_key_in_force(organization)
    return kek or create_key_encryption_key(organization)


def _reserve(key: DataKey) -> DataKey:
    key_encryption(key.key_encryption_key)  # no use is counted for a key we cannot use
    reserved = DataKey.objects.filter(
        id=key.id,
        uses__lte=USE_LIMIT - USE_BLOCK,
        closed_at__isnull=True,
        destroyed_at__isnull=True,
    ).update(uses=F("uses") + USE_BLOCK)
    if not reserved:
        raise SealError(Fault.EXHAUSTED, f"the data key {key.id} has no uses left")
    return key


def unwrap_data_key(key: DataKey) -> bytes:
    """The 32 bytes of `key`; raises `SealError` (erased) and KeyUnavailable.

    Raises ErasureListUnusable where it cannot be told whether the key was erased.
    """
    # On the list, but alive: a backup was restored, and the list was not replayed yet.
    if key.destroyed_at is not None or key.id in erasures.listed():
        raise SealError(Fault.ERASED, "the data key of this text was destroyed")
    try:
        wrapped = base64.b64decode(key.wrapped or "")
        return key_encryption(key.key_encryption_key).unwrap(wrapped, _binding(key))
    except KeyUnavailable as error:
        raise KeyUnavailable(f"the data key {key.id} is not to be had: {error}") from error


def wrapped_data_key(key: DataKey, kek: KeyEncryptionKey, bare: bytes) -> str:
    """The 32 bytes of `key` wrapped by `kek`, in base64. Raises KeyUnavailable."""
    return base64.b64encode(key_encryption(kek).wrap(bare, _binding(key))).decode("ascii")


def _insert_and_reserve(key: DataKey) -> DataKey | None:
    """Insert a new data key, or read the one that another process was faster to insert.

    ON CONFLICT waits for a rival's transaction, which is as short as this one: it holds
    nothing that we hold, so there is no cycle. None where the wrapping key was superseded.
    """
    kek = key.key_encryption_key
    if not _stays_in_force(kek):
        return None
    DataKey.objects.bulk_create([key], ignore_conflicts=True)
    in_force = data_key_in_force(key.organization_id, key.conversation_id, key.month)
    if in_force is None:
        return None
    if in_force.id == key.id:
        record(
            Action.DATA_KEY_CREATED,
            organization=key.organization_id,
            scope=key.conversation_id,
            actor=SYSTEM,
            target=Target("data_key", str(key.id), str(kek.id)),
            after={"month": key.month.isoformat()},
        )
    return _reserve(in_force)


def _stays_in_force(kek: KeyEncryptionKey) -> bool:
    """Lock it so that it is not superseded before the commit: a retired key wraps nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM encryption_key_encryption_key"
            " WHERE id = %s AND superseded_at IS NULL FOR SHARE",
            [kek.id],
        )
        return bool(cursor.rowcount)


def key_encryption_as_configured(kek: KeyEncryptionKey, *, kms_key: str | None = None) -> bool:
    """Whether the settings (or `kms_key`) would choose this key today."""
    chosen = configured_key_encryption(kek.organization_id, kek.id, kms_key=kms_key)
    return (chosen.provider, chosen.reference) == (kek.provider, kek.reference)


def create_key_encryption_key(
    organization: UUID, *, kms_key: str | None = None
) -> KeyEncryptionKey:
    """Insert what the settings choose, or `kms_key`; the first to insert wins, and is returned.

    To be called inside a transaction.
    """
    kek_id = uuid4()
    chosen = configured_key_encryption(organization, kek_id, kms_key=kms_key)
    kek = KeyEncryptionKey(
        id=kek_id,
        organization_id=organization,
        provider=chosen.provider,
        reference=chosen.reference,
    )
    KeyEncryptionKey.objects.bulk_create([kek], ignore_conflicts=True)
    in_force = key_encryption_key_in_force(organization)
    if in_force is None:
        raise KeyUnavailable("the new key encryption key was superseded at once")
    if in_force.id == kek.id:
        record(
            Action.KEY_ENCRYPTION_KEY_CREATED,
            organization=organization,
            actor=SYSTEM,
            target=Target("key_encryption_key", str(kek.id)),
            after={"provider": kek.provider, "reference": kek.reference},
        )
    return in_force


def _binding(key: DataKey) -> bytes:
    """What a wrapped data key is bound to, so that no row can hold another row's key."""
    conversation = b"" if key.conversation_id is None else key.conversation_id.bytes
    parts = (
        b"parley/data-key/v1",
        key.organization_id.bytes,
        conversation,
        key.month.isoformat().encode(),
        key.id.bytes,
    )
    return b"".join(map(prefixed, parts))
