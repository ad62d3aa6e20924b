"""The errors that a person or a program may cause, and what they are told.

Every service raises one of these; the edges (REST, socket, pages) translate them once.
A message here must never carry what somebody wrote: it is logged and shown.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class DomainError(Exception):
    """A refusal with a stable `code`, an HTTP `status` and fields that are safe to show."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400
    default_message: ClassVar[str] = "The request could not be carried out."

    def __init__(
        self, message: str | None = None, *, fields: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.message = message or self.default_message
        self.fields = {name: list(texts) for name, texts in (fields or {}).items()}
        super().__init__(self.message)


class Invalid(DomainError):
    code, status = "invalid", 400
    default_message = "Something in the request is not right."


class Unauthenticated(DomainError):
    code, status = "unauthenticated", 401
    default_message = "Sign in first."


class Denied(DomainError):
    code, status = "denied", 403
    default_message = "Your role does not allow this."


class NotFound(DomainError):
    """Also raised where something exists that the asker may not know of."""

    code, status = "not_found", 404
    default_message = "There is nothing here, or not for you."


class Conflict(DomainError):
    code, status = "conflict", 409
    default_message = "Somebody was faster: load again and retry."


class UnderHold(Conflict):
    code = "under_hold"
    default_message = "This is under a legal hold: it is kept until the hold is released."


class RoomFull(Conflict):
    code = "room_full"
    default_message = "The room is full: wait until somebody leaves."


class StaleGeneration(Conflict):
    """The place in the room was given up, or taken over by another socket of the same device."""

    code = "stale_generation"
    default_message = "You are no longer in the room here: join again."


class TooLarge(DomainError):
    code, status = "too_large", 413
    default_message = "That is too large."


class RateLimited(DomainError):
    """`retry_after` is in seconds."""

    code, status = "rate_limited", 429
    default_message = "Too many attempts: wait a moment."

    def __init__(self, message: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(DomainError):
    code, status = "unavailable", 503
    default_message = "This cannot be done right now: try again in a moment."


class NotSigned(Unavailable):
    """What was done is recorded, but not under a signed checkpoint in time."""

    code: ClassVar[str] = "not_signed"
    retry_after: ClassVar[int] = 2
    default_message = (
        "Your looking is recorded, but the record is not signed yet, so nothing is shown. "
        "Try again in a moment."
    )
