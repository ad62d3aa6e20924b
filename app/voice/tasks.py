"""Jobs of voice."""

from uuid import UUID

from celery import shared_task

from app.voice import services
from app.voice.services import handover
from app.voice.sfu import SfuFailed


@shared_task(name="voice.tidy_sfu", autoretry_for=(SfuFailed,), retry_backoff=True, max_retries=6)
def tidy_sfu(call: str) -> None:
    """Put out of the SFU's room whoever has no place in the call any more."""
    handover.tidy(UUID(call))


@shared_task(name="voice.silence", autoretry_for=(SfuFailed,), retry_backoff=True, max_retries=6)
def silence(pid: str) -> None:
    """Mute somebody at the SFU whom a host has muted."""
    handover.silence(UUID(pid))


@shared_task(name="voice.tidy_all_sfu")
def tidy_all_sfu() -> None:
    """Regularly: the same for every call at the SFU, should a job have been lost."""
    handover.tidy_all()


@shared_task(name="voice.sweep")
def sweep() -> None:
    """Every few seconds, beside the gateways: put out of rooms who is gone or may not stay."""
    services.sweep()
