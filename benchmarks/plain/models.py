"""Rooms, who belongs to them, and what was said, in the clear.

Of another project than mypy's plugin looks at, which therefore finds no managers.
"""

import uuid

from auditlog.registry import auditlog
from django.conf import settings
from django.db import models


class Room(models.Model):
    name = models.CharField(max_length=80)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL)

    def __str__(self) -> str:
        return self.name


class Message(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    room = models.ForeignKey(Room, models.CASCADE)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    body = models.TextField()
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.id)


auditlog.register(Message)
