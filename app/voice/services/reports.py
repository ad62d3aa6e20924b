"""How connections are, for the call record: added up while somebody is there, then fixed."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from app.accounts.models import User
from app.errors import NotFound, StaleGeneration
from app.realtime.protocol import VoiceReportData
from app.voice import access
from app.voice.models import Connection


@transaction.atomic
def report(*, user: User, told: VoiceReportData) -> None:
    """Note one report. Not in the trail by itself: the entry of the leaving has them all.

    Raises NotFound (also for a peer that was not in this call), StaleGeneration.
    """
    pid, peer = UUID(told.pid), UUID(told.peer)
    access.own(user, pid)
    row = access.there(pid, lock=True)
    if row is None or row.gen != told.gen:
        raise StaleGeneration
    if peer == pid or not access.in_call(row.call_id, peer):
        raise NotFound
    found, _ = Connection.objects.get_or_create(
        participant=row, peer=peer, defaults={"candidate": told.candidate, "at": timezone.now()}
    )
    _add(found, told)
    found.save()


def _add(row: Connection, told: VoiceReportData) -> None:
    row.reports += 1
    row.candidate, row.at = told.candidate, timezone.now()
    figures = {
        "loss": round(told.loss * 1_000_000),
        "jitter": round(told.jitter_ms * 1_000),
        "rtt": round(told.rtt_ms * 1_000),
    }
    for name, figure in figures.items():
        setattr(row, f"{name}_last", figure)
        setattr(row, f"{name}_worst", max(figure, getattr(row, f"{name}_worst")))
        setattr(row, f"{name}_sum", figure + getattr(row, f"{name}_sum"))
