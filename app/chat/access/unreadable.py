"""What does not open is left out and told of: one row that was tampered with takes no page away."""

import logging
from collections.abc import Callable
from uuid import UUID

from app.chat.models import Conversation
from app.encryption.envelope import Fault
from app.encryption.fields import SealError
from app.errors import Unavailable

logger = logging.getLogger(__name__)


def readable(open_text: Callable[[], str | None], version: UUID) -> str | None:
    """What `open_text` returns, or None where nothing can be read any more.

    One row that was tampered with must not take the others' page away: it is logged, and
    `audit_verify` and exports name it. Raises Unavailable while keys are not to be had.
    """
    try:
        return open_text()
    except SealError as error:
        leave_out(error, version)
        return None


def leave_out(error: SealError, version: UUID) -> None:
    """What `readable` does about a text that does not open: tells of it, or raises Unavailable."""
    if error.code == Fault.KEY_UNAVAILABLE:
        raise Unavailable from error
    if not error.erased:
        told = {"version": str(version), "fault": str(error.code)}
        logger.error("message_unreadable", extra=told)


def label(conversation: Conversation, field: str) -> str:
    """Its name or topic; words instead, where that was tampered with. Raises Unavailable.

    As with `readable`: one row that does not open must not take the list away.
    """
    try:
        return str(getattr(conversation, field))
    except SealError as error:
        if error.code == Fault.KEY_UNAVAILABLE:
            raise Unavailable from error
        told = {"conversation": str(conversation.pk), "field": field, "fault": str(error.code)}
        logger.error("conversation_unreadable", extra=told)
        return f"(this {field} cannot be read)"
