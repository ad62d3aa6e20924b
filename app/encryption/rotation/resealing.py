"""New data keys: all that the old ones sealed is sealed anew, then the old ones are destroyed.

A closed key seals nothing new, but a process may not know yet that it is closed, or may write
back a row that it read before. So a key goes only when a whole pass has found nothing under it,
every process has had time to forget it, all transactions of before have ended, and another pass
has found nothing either.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from app.audit.services import SYSTEM, Action, Target, record
from app.encryption import envelope, forgetting
from app.encryption.access import closed_keys, open_keys
from app.encryption.envelope import SealError
from app.encryption.fields import SealedModel
from app.encryption.holds import told_of_holds
from app.encryption.keyring import keyring
from app.encryption.models import DataKey
from app.encryption.rotation import columns
from app.encryption.rotation.progress import Tell, alone
from app.encryption.unavailable import KeyUnavailable
from app.errors import UnderHold

BATCH = 200


@dataclass
class Outcome:
    """What a run came to. `unreadable` and `held` keep their keys from being destroyed."""

    resealed: int = 0
    destroyed: int = 0
    unreadable: set[UUID] = field(default_factory=set)
    """Data keys with a row that does not open: each row is told of, by table, id and column."""
    held: set[UUID] = field(default_factory=set)


def rotate_data_keys(
    organization: UUID, *, tell: Tell, conversation: UUID | None = None
) -> Outcome:
    """Seal all that the organization (or one conversation) holds under new data keys.

    A rotation that was cut off is finished instead. Takes at least as long as a process may
    hold a key. Raises KeyUnavailable, and Conflict while another process rotates the same.
    """
    with alone(f"rotate-data/{organization}"):
        if not closed_keys(organization, conversation).exists():
            _close(open_keys(organization, conversation), tell)
        run = _Run(tell)
        while keys := run.remaining(organization, conversation):
            if run.pass_over(keys):
                continue
            _wait(tell)
            if not run.pass_over(keys):
                run.end(keys)
        return run.outcome


def _close(keys: QuerySet[DataKey], tell: Tell) -> None:
    ids = list(keys.values_list("id", flat=True))
    DataKey.objects.filter(pk__in=ids, closed_at=None).update(closed_at=timezone.now())
    forgetting.tell(ids)
    tell("closed", data_keys=len(ids))


class _Run:
    """One run: what it came to so far, and whom it tells."""

    def __init__(self, tell: Tell) -> None:
        self.outcome = Outcome()
        self._tell = tell
        self._unreadable_rows: set[tuple[str, str, str]] = set()

    def remaining(self, organization: UUID, conversation: UUID | None) -> list[DataKey]:
        """The closed keys that can still be emptied."""
        left_alone = self.outcome.unreadable | self.outcome.held
        return list(closed_keys(organization, conversation).exclude(pk__in=left_alone))

    def pass_over(self, keys: Sequence[DataKey]) -> int:
        """Look at every sealed row once; returns how many texts were sealed anew."""
        by_id = {key.id.bytes: key for key in keys}
        before = self.outcome.resealed
        for model in columns.sealed_models():
            for rows in columns.rows_under(model, [key.id for key in keys], batch=BATCH):
                self.outcome.resealed += self._reseal(model, rows, by_id)
                self._tell("resealed", table=model._meta.db_table, texts=self.outcome.resealed)
        return self.outcome.resealed - before

    def _reseal(
        self, model: type[SealedModel], rows: Sequence[SealedModel], keys: dict[bytes, DataKey]
    ) -> int:
        """Seal the rows' texts anew, in one transaction; returns the number of texts."""
        changes: dict[Any, list[tuple[Any, str, str]]] = defaultdict(list)
        used: set[UUID] = set()
        for row in rows:
            for one, old, dek_id in columns.tokens_under(row, keys):
                try:
                    new, successor = _anew(row, one, old, keys[dek_id])
                except KeyUnavailable:
                    raise
                except SealError as error:
                    self._note_unreadable(row, one, keys[dek_id], error)
                    continue
                used |= {keys[dek_id].id, successor}
                changes[one].append((row.pk, old, new))
        with transaction.atomic():
            # Destroyed meanwhile: what it sealed must not come back.
            if not changes or not _all_alive(used):
                return 0
            written = {one: columns.replace(model, one, found) for one, found in changes.items()}
            touched = {pk for pks in written.values() for pk in pks}
            for hear in columns.on_resealed:
                hear(model, touched)
        return sum(map(len, written.values()))

    def _note_unreadable(self, row: SealedModel, one: Any, key: DataKey, error: SealError) -> None:
        table, pk, column = where = (row._meta.db_table, str(row.pk), str(one.column))
        if error.erased or where in self._unreadable_rows:
            return
        self._unreadable_rows.add(where)
        self.outcome.unreadable.add(key.id)
        fault = str(error.code)
        self._tell("unreadable", table=table, row=pk, column=column, fault=fault, data_key=key.id)

    def end(self, keys: Sequence[DataKey]) -> None:
        """Destroy the keys that seal nothing any more."""
        for key in keys:
            if key.id in self.outcome.unreadable:
                continue
            try:
                self.outcome.destroyed += _end_one(key)
            except UnderHold:
                self.outcome.held.add(key.id)
                self._tell("held", data_key=key.id)
        self._tell("destroyed", data_keys=self.outcome.destroyed)


def _anew(row: SealedModel, one: Any, old: str, key: DataKey) -> tuple[str, UUID]:
    successor = keyring.to_seal(key.organization_id, key.conversation_id, key.month)
    cipher = keyring.to_open(key.id.bytes).cipher
    place, raw = one.place_of(row), envelope.decode(old)
    new = envelope.reseal(cipher, raw, place, successor.cipher, successor.dek_id)
    return new, UUID(bytes=successor.dek_id)


def _all_alive(keys: Collection[UUID]) -> bool:
    """Whoever destroys one of them waits for us; reserving uses does not (FOR KEY SHARE)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM encryption_data_key"
            " WHERE id = ANY(%s) AND destroyed_at IS NULL ORDER BY id FOR KEY SHARE",
            [list(keys)],
        )
        return bool(cursor.rowcount == len(keys))


def _wait(tell: Tell) -> None:
    """Until no process holds a key, or a row, from before now."""
    since, _ = _clock()
    until = since + timedelta(seconds=settings.DATA_KEY_SECONDS * 1.1)
    tell("waiting", until=until.isoformat(timespec="seconds"))
    while True:
        now, oldest = _clock()
        if now > until and oldest > since:
            return
        time.sleep(min(1.0, max(0.05, (until - now).total_seconds())))


def _clock() -> tuple[datetime, datetime]:
    """The database's time, and when the oldest transaction of a process like ours began."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT clock_timestamp(), coalesce(min(xact_start), clock_timestamp())"
            " FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        now, oldest = cursor.fetchone()
    return now, oldest


def _end_one(key: DataKey) -> int:
    with transaction.atomic(), told_of_holds():
        ended = DataKey.objects.filter(pk=key.pk, destroyed_at=None).update(
            wrapped=None, destroyed_at=timezone.now()
        )
        if ended:
            record(
                Action.DATA_KEY_ROTATED,
                organization=key.organization_id,
                scope=key.conversation_id,
                actor=SYSTEM,
                target=Target("data_key", str(key.pk), str(key.key_encryption_key_id)),
                before={"month": key.month.isoformat()},
            )
            for hear in columns.on_ended:
                hear(key.conversation_id, [key.pk])
    forgetting.tell([key.pk])
    return ended
