"""Jobs of the chat."""

from celery import shared_task

from app.chat import services
from app.chat.search import switch


@shared_task(name="chat.tidy_attachments")
def tidy_attachments() -> None:
    """Every hour: delete the files that nobody sent, and what was erased, and make sure."""
    services.tidy_attachments()


@shared_task(name=switch.WORK)
def work_on_search_indexes() -> None:
    """Every minute, and when one is turned on or off: build and clear what waits for it."""
    switch.work_on_indexes()
