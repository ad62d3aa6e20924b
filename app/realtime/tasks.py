"""Housekeeping of streams."""

from celery import shared_task

from app.realtime.log import prune_events


@shared_task(name="realtime.prune")
def prune() -> None:
    """Drop events that nobody recovers from any more; the messages themselves are elsewhere."""
    prune_events()
