"""Jobs of voice."""

from celery import shared_task

from app.voice import services


@shared_task(name="voice.sweep")
def sweep() -> None:
    """Every few seconds, beside the gateways: put out of rooms who is gone or may not stay."""
    services.sweep()
