"""Rows of participants, written together: each as it is when all changes have happened."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import connection

from app.voice.models import Call, Participant
from app.voice.rooms import Place

_CHANGING = {
    "gen": "int",
    "left_at": "timestamptz",
    "reason": "text",
    "by_id": "uuid",
    "muted": "boolean",
    "muted_by_id": "uuid",
    "screen": "boolean",
    "video": "boolean",
    "fingerprint": "text",
    "signature": "text",
}
"""Columns that may change while somebody is there, all of them under the room's lock."""

# Locked in one order: who grants leases anew locks these rows without their rooms.
_UPDATE = f"""
WITH held AS MATERIALIZED (
    SELECT pid FROM voice_participant WHERE pid = ANY(%s::uuid[]) ORDER BY pid FOR NO KEY UPDATE
)
UPDATE voice_participant AS p SET {", ".join(f"{name} = v.{name}" for name in _CHANGING)}
FROM held
JOIN unnest(%s::uuid[], {", ".join(f"%s::{kind}[]" for kind in _CHANGING.values())})
    AS v(pid, {", ".join(_CHANGING)}) ON v.pid = held.pid
WHERE p.pid = held.pid
"""  # noqa: S608 - constants


@dataclass
class Stays:
    """What is to be written of participants."""

    _begun: dict[UUID, Participant] = field(default_factory=dict)
    _changed: dict[UUID, Participant] = field(default_factory=dict)

    def begin(self, place: Place, call: Call, at: datetime) -> None:
        """A new row."""
        row = Participant(
            pid=place.pid,
            call=call,
            conversation_id=place.conversation,
            user_id=place.user,
            device=place.device,
            joined_at=at,
            key=place.identity.key,
        )
        self._begun[place.pid] = row
        self.change(place)

    def change(self, place: Place) -> Participant:
        """Let the row say what `place` says."""
        row = self._begun.get(place.pid) or self._changed.setdefault(
            place.pid, Participant(pid=place.pid)
        )
        row.gen, row.muted, row.muted_by_id = place.gen, place.muted, place.muted_by
        row.screen, row.video = place.screen, place.video
        row.fingerprint, row.signature = place.identity.fingerprint, place.identity.signature
        return row

    def end(self, place: Place, at: datetime, reason: str, by: UUID | None) -> None:
        row = self.change(place)
        row.left_at, row.reason, row.by_id = at, reason, by

    def write_changed(self) -> None:
        """Rows that were there before: first, as a device has one place at a time."""
        if self._changed:
            rows = list(self._changed.values())
            pids = [row.pid for row in rows]
            columns = [[getattr(row, name) for row in rows] for name in _CHANGING]
            with connection.cursor() as cursor:
                cursor.execute(_UPDATE, [pids, pids, *columns])

    def write_begun(self) -> None:
        Participant.objects.bulk_create(self._begun.values())

    def gone(self) -> Sequence[UUID]:
        """Whose stay ended."""
        rows = (*self._begun.values(), *self._changed.values())
        return [row.pid for row in rows if row.left_at is not None]
