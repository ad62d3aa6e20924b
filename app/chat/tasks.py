"""Jobs of the chat."""

from celery import shared_task

from app.chat import services


@shared_task(name="chat.tidy_attachments")
def tidy_attachments() -> None:
    """Every hour: delete the files that nobody sent, and what was erased, and make sure."""
    services.tidy_attachments()
