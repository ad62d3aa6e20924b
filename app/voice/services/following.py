"""What follows at the SFU from a change of a room, once that is committed: jobs, by ids."""

import logging
from functools import partial
from uuid import UUID

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from app.voice import sfu
from app.voice.models import Call, Media

TIDY = "voice.tidy_sfu"
SILENCE = "voice.silence"
logger = logging.getLogger(__name__)


def media_after(*, to_sfu: bool, force: bool) -> Media:
    """Where a call's media goes after a hand-over."""
    if not to_sfu:
        return Media.MESH
    return Media.SFU if force else Media.OFFERED


def tidy_afterwards(call: Call) -> None:
    """Have whoever has no place in the call put out of the server's room too."""
    _afterwards(call, TIDY, call.pk)


def silence_afterwards(call: Call, pid: UUID) -> None:
    """Have them muted at the server too."""
    _afterwards(call, SILENCE, pid)


def _afterwards(call: Call, job: str, identity: UUID) -> None:
    if sfu.configured() and call.sfu_at is not None:
        transaction.on_commit(partial(_send, job, identity))


def _send(job: str, identity: UUID) -> None:
    try:
        current_app.send_task(job, args=[str(identity)])
    except OperationalError:  # the schedule makes up for it
        logger.warning("sfu_job_not_sent", extra={"job": job})
