"""Calls, who took part in them, and how their connections were: the call record itself.

Rows of what is over are never changed or deleted (migrations 0002). Signals are in no table.
"""

import uuid
from typing import get_args

from django.db import models
from django.db.models import F, Q

from app.accounts.models import Organization, User
from app.chat.models import Conversation
from app.realtime.protocol import LeaveReason

REASONS: tuple[str, ...] = get_args(LeaveReason)


class CallPolicy(models.Model):
    """What an organization does with calls beside carrying them, by means of its own.

    Parley records no sound and listens to none; whoever is in a call is told all the same.
    """

    organization = models.OneToOneField(Organization, models.PROTECT, primary_key=True)
    recording = models.BooleanField(default=False)
    monitoring = models.BooleanField(default=False)
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "voice_policy"

    def __str__(self) -> str:
        return f"call policy {self.pk}"


class Media(models.TextChoices):
    MESH = "mesh", "From each to each"
    OFFERED = "offered", "From each to each, and soon through a server"
    SFU = "sfu", "Through a server"


class Call(models.Model):
    """From the first joining to the last leaving in a conversation's room."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="calls")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    notice = models.JSONField(default=list)
    """What everybody in the call was told last: see `protocol.Notice`."""
    media = models.CharField(max_length=8, choices=Media, default=Media.MESH)
    sfu_at = models.DateTimeField(null=True)
    """Since when members may have tokens for the server's room."""

    class Meta:
        db_table = "voice_call"
        constraints = [
            models.UniqueConstraint(
                fields=["conversation"],
                condition=Q(ended_at__isnull=True),
                name="voice_call_once",
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")),
                name="voice_call_ended_later",
            ),
        ]
        indexes = [
            models.Index(fields=["conversation", "-started_at"], name="voice_call_latest"),
        ]

    def __str__(self) -> str:
        return f"call {self.pk}"


class Participant(models.Model):
    """One stay of a device in a call, from joining to leaving. `pid` is made by the client."""

    pid = models.UUIDField(primary_key=True)
    call = models.ForeignKey(Call, models.PROTECT, related_name="participants")
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+", db_index=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    device = models.UUIDField()
    gen = models.PositiveIntegerField(default=1)
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=16, blank=True)
    by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    muted = models.BooleanField()
    muted_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", db_index=False)
    screen = models.BooleanField(default=False)
    video = models.BooleanField(default=False)
    key = models.CharField(max_length=87)
    fingerprint = models.CharField(max_length=95)
    signature = models.CharField(max_length=86)

    class Meta:
        db_table = "voice_participant"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "device"],
                condition=Q(left_at__isnull=True),
                name="voice_one_room_per_device",
            ),
            models.CheckConstraint(condition=Q(gen__gte=1), name="voice_participant_gen"),
            models.CheckConstraint(
                condition=Q(left_at__isnull=True, reason="", by__isnull=True)
                | Q(left_at__gte=F("joined_at"), reason__in=REASONS),
                name="voice_participant_left",
            ),
            models.CheckConstraint(
                condition=Q(muted_by__isnull=True) | Q(muted=True), name="voice_participant_muted"
            ),
        ]
        indexes = [
            models.Index(
                fields=["conversation"],
                condition=Q(left_at__isnull=True),
                name="voice_participant_now",
            ),
        ]

    def __str__(self) -> str:
        return f"participant {self.pid}"


class Connection(models.Model):
    """What a participant reported of the connection to one peer, until they left.

    Parts per million, microseconds: whole numbers, as the trail has no others. The mean is
    `…_sum` divided by `reports`.
    """

    participant = models.ForeignKey(Participant, models.PROTECT, related_name="connections")
    peer = models.UUIDField()
    candidate = models.CharField(max_length=8)
    reports = models.PositiveIntegerField(default=0)
    at = models.DateTimeField()
    loss_last = models.PositiveIntegerField(default=0)
    loss_worst = models.PositiveIntegerField(default=0)
    loss_sum = models.PositiveBigIntegerField(default=0)
    jitter_last = models.PositiveIntegerField(default=0)
    jitter_worst = models.PositiveIntegerField(default=0)
    jitter_sum = models.PositiveBigIntegerField(default=0)
    rtt_last = models.PositiveIntegerField(default=0)
    rtt_worst = models.PositiveIntegerField(default=0)
    rtt_sum = models.PositiveBigIntegerField(default=0)

    class Meta:
        db_table = "voice_connection"
        constraints = [
            models.UniqueConstraint("participant", "peer", name="voice_connection_once"),
            models.CheckConstraint(
                condition=Q(candidate__in=["host", "srflx", "prflx", "relay"]),
                name="voice_connection_candidate",
            ),
        ]

    def __str__(self) -> str:
        return f"connection {self.pk}"
