"""Streams: the ordered log of what happened in a conversation or to a user.

The row lock on `Stream` makes the order of commits the order of offsets; a sequence
would leave gaps and show later offsets before earlier ones.
"""

import secrets

from django.db import models


def new_epoch() -> str:
    """Return a name for a stream's history; another one means that offsets start anew."""
    return secrets.token_hex(8)


class Stream(models.Model):
    """`top` is the offset of the last event; offsets begin at 1."""

    name = models.CharField(max_length=64, primary_key=True)
    epoch = models.CharField(max_length=32, default=new_epoch)
    top = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class StreamEvent(models.Model):
    """One event. `data` holds ids and times, never what somebody wrote."""

    pk = models.CompositePrimaryKey("stream_id", "offset")
    stream = models.ForeignKey(Stream, models.CASCADE, db_column="stream")
    offset = models.BigIntegerField()
    type = models.CharField(max_length=32)
    data = models.JSONField()
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self) -> str:
        return f"{self.stream_id}@{self.offset}"


class Ticket(models.Model):
    """The right to open one socket, once, within seconds; only its hash is kept."""

    hash = models.BinaryField(primary_key=True, max_length=32)
    user_id = models.UUIDField()
    organization_id = models.UUIDField()
    session_id = models.UUIDField()
    origin = models.CharField(max_length=255)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"ticket of session {self.session_id}"
