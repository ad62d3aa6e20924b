"""A new key encryption key: data keys are wrapped anew, what they sealed stays as it is."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from app.audit.services import SYSTEM, Action, Record, Target, record, record_many
from app.encryption.access import data_keys_wrapped_by, key_encryption_key_in_force, superseded_keys
from app.encryption.envelope import KEY_BYTES, SealError
from app.encryption.keys import configured_key_encryption
from app.encryption.models import DataKey, KeyEncryptionKey
from app.encryption.rotation.progress import Tell, alone
from app.encryption.services import (
    create_key_encryption_key,
    key_encryption_as_configured,
    unwrap_data_key,
    wrapped_data_key,
)
from app.encryption.unavailable import KeyUnavailable

BATCH = 100
_AT_ONCE = 8  # calls to a KMS; a local key needs none


def rotate_key_encryption_key(organization: UUID, *, tell: Tell, kms_key: str | None = None) -> int:
    """Put a new key encryption key in force, as the settings (or `kms_key`) choose, and retire
    the one before. Returns how many data keys could not be rewrapped; they are told of.

    A rotation that was cut off is finished instead. Raises KeyUnavailable when the new key does
    not work: nothing is changed then; Conflict while another process rotates the same.
    """
    with alone(f"rotate-kek/{organization}"):
        in_force = key_encryption_key_in_force(organization)
        if in_force is None:
            return 0
        unfinished = list(superseded_keys(organization))
        if not unfinished or not key_encryption_as_configured(in_force, kms_key=kms_key):
            unfinished.append(_supersede(in_force, kms_key, tell))
        return sum(_finish(old, tell) for old in unfinished)


def _supersede(old: KeyEncryptionKey, kms_key: str | None, tell: Tell) -> KeyEncryptionKey:
    _try_out(old.organization_id, kms_key)
    with transaction.atomic():
        # Waits for who is inserting a data key under it; who comes later finds the new one.
        KeyEncryptionKey.objects.filter(pk=old.pk).update(superseded_at=timezone.now())
        new = create_key_encryption_key(old.organization_id, kms_key=kms_key)
    tell("begun", organization=old.organization_id, old=old.pk, new=new.pk)
    return old


def _try_out(organization: UUID, kms_key: str | None) -> None:
    key, bare = configured_key_encryption(organization, uuid4(), kms_key=kms_key), os.urandom(32)
    if key.unwrap(key.wrap(bare, b"parley/try-out"), b"parley/try-out") != bare:
        raise KeyUnavailable(f"{key.reference} does not give back what it was given")


def _finish(old: KeyEncryptionKey, tell: Tell) -> int:
    """Rewrap batch by batch; a data key that cannot be is told of and left behind."""
    total, done, failed, last = data_keys_wrapped_by(old).count(), 0, 0, UUID(int=0)
    while keys := list(data_keys_wrapped_by(old).filter(id__gt=last)[:BATCH]):
        last = keys[-1].id
        new = key_encryption_key_in_force(old.organization_id)
        if new is None:
            raise KeyUnavailable("no key encryption key is in force")
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            wrapped = list(threads.map(lambda key, to=new: _rewrapped(key, to), keys))
        for key, result in zip(keys, wrapped, strict=True):
            if isinstance(result, SealError):
                failed += 1
                tell("failed", data_key=key.id, why=str(result))
        ready = [(key, one) for key, one in zip(keys, wrapped, strict=True) if isinstance(one, str)]
        done += _store(ready, old, new)
        tell("rewrapped", organization=old.organization_id, done=done, total=total)
    if not failed:
        _retire(old, tell)
    return failed


def _rewrapped(key: DataKey, new: KeyEncryptionKey) -> str | SealError:
    """Also unwrapped once more: what is written must open."""
    try:
        bare = unwrap_data_key(key)
        wrapped = wrapped_data_key(key, new, bare)
        check = DataKey(
            id=key.id,
            organization_id=key.organization_id,
            conversation_id=key.conversation_id,
            month=key.month,
            key_encryption_key=new,
            wrapped=wrapped,
        )
        if len(bare) != KEY_BYTES or unwrap_data_key(check) != bare:
            return KeyUnavailable(f"the data key {key.id} came back changed")
    except SealError as error:
        return error
    return wrapped


def _store(
    ready: Sequence[tuple[DataKey, str]], old: KeyEncryptionKey, new: KeyEncryptionKey
) -> int:
    with transaction.atomic():
        changed = [key for key, wrapped in ready if _replace(key, wrapped, old, new)]
        record_many([_entry(key, old, new) for key in changed])
    return len(changed)


def _replace(key: DataKey, wrapped: str, old: KeyEncryptionKey, new: KeyEncryptionKey) -> bool:
    """False where it was destroyed, or rewrapped by somebody else, since it was read."""
    same = DataKey.objects.filter(pk=key.pk, key_encryption_key=old, destroyed_at=None)
    return bool(same.update(wrapped=wrapped, key_encryption_key=new))


def _entry(key: DataKey, old: KeyEncryptionKey, new: KeyEncryptionKey) -> Record:
    return Record(
        Action.DATA_KEY_REWRAPPED,
        organization=key.organization_id,
        scope=key.conversation_id,
        actor=SYSTEM,
        target=Target("data_key", str(key.pk), str(new.pk)),
        before={"key_encryption_key": str(old.pk)},
        after={"key_encryption_key": str(new.pk)},
    )


@transaction.atomic
def _retire(old: KeyEncryptionKey, tell: Tell) -> None:
    KeyEncryptionKey.objects.select_for_update().get(pk=old.pk)
    if data_keys_wrapped_by(old).exists():
        return
    KeyEncryptionKey.objects.filter(pk=old.pk).update(retired_at=timezone.now())
    record(
        Action.KEY_ENCRYPTION_KEY_RETIRED,
        organization=old.organization_id,
        actor=SYSTEM,
        target=Target("key_encryption_key", str(old.pk)),
        before={"provider": old.provider, "reference": old.reference},
    )
    tell("retired", organization=old.organization_id, key=old.pk, reference=old.reference)
