"""Creates keys and counts their uses. Each call commits by itself (see `apart`)."""

import base64
import os
from datetime import date
from uuid import UUID, uuid4

from django.db.models import F

from app.audit.actions import Action
from app.audit.services import SYSTEM, Target, record
from app.encryption import erasures
from app.encryption.access import data_key_in_force, key_encryption_key_in_force
from app.encryption.apart import apart
from app.encryption.envelope import KEY_BYTES, Fault, SealError, prefixed
from app.encryption.keys import LocalKeyEncryption, key_encryption
from app.encryption.models import DataKey, KeyEncryptionKey

# Random 96-bit nonces: below 2^32 uses of a key NIST SP 800-38D (8.3) is content; 2^28 keeps
# the chance of any two equal nonces under 2^-41.
USE_LIMIT = 2**28
USE_BLOCK = 1024


def reserve_data_key(*, organization: UUID, conversation: UUID | None, month: date) -> DataKey:
    """The data key that seals here and now, made if need be, with USE_BLOCK uses reserved.

    Raises `SealError` (exhausted) when no uses are left, (key_unavailable) without its key
    encryption key, and `Unavailable` when the database keeps us waiting.
    """

    def work() -> DataKey:
        key = data_key_in_force(organization, conversation, month) or _create_data_key(
            organization, conversation, month
        )
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

    return apart(work)


def unwrap_data_key(key: DataKey) -> bytes:
    """The 32 bytes of `key`; raises `SealError` (erased, key_unavailable, refused).

    Raises ErasureListUnusable where it cannot be told whether the key was erased.
    """
    # On the list, but alive: a backup was restored, and the list was not replayed yet.
    if key.destroyed_at is not None or key.id in erasures.listed():
        raise SealError(Fault.ERASED, "the data key of this text was destroyed")
    wrapped = base64.b64decode(key.wrapped or "")
    return key_encryption(key.key_encryption_key).unwrap(wrapped, _binding(key))


def _create_data_key(organization: UUID, conversation: UUID | None, month: date) -> DataKey:
    """Insert a new data key, or read the one that another process was faster to insert.

    ON CONFLICT waits for a rival's transaction, which is as short as this one: it holds
    nothing that we hold, so there is no cycle.
    """
    kek = key_encryption_key_in_force(organization) or _create_key_encryption_key(organization)
    key = DataKey(
        id=uuid4(),
        organization_id=organization,
        conversation_id=conversation,
        month=month,
        key_encryption_key=kek,
    )
    wrapped = key_encryption(kek).wrap(os.urandom(KEY_BYTES), _binding(key))
    key.wrapped = base64.b64encode(wrapped).decode("ascii")
    DataKey.objects.bulk_create([key], ignore_conflicts=True)
    in_force = data_key_in_force(organization, conversation, month)
    if in_force is None:
        raise SealError(Fault.UNKNOWN_KEY, "the new data key was destroyed at once")
    if in_force.id == key.id:
        record(
            Action.DATA_KEY_CREATED,
            organization=organization,
            scope=conversation,
            actor=SYSTEM,
            target=Target("data_key", str(key.id), str(kek.id)),
            after={"month": month.isoformat()},
        )
    return in_force


def _create_key_encryption_key(organization: UUID) -> KeyEncryptionKey:
    """As `_create_data_key`: the first to insert wins, everyone uses the winner's."""
    kek_id = uuid4()
    local = LocalKeyEncryption(organization, kek_id)
    kek = KeyEncryptionKey(
        id=kek_id,
        organization_id=organization,
        provider=local.provider,
        reference=local.reference,
    )
    KeyEncryptionKey.objects.bulk_create([kek], ignore_conflicts=True)
    in_force = key_encryption_key_in_force(organization)
    if in_force is None:
        raise SealError(Fault.KEY_UNAVAILABLE, "the new key encryption key was retired at once")
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
