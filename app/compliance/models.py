"""Exports: what an officer asked for, who agreed, and how far the package is.

The trail is the record of all this; these rows are what the work needs. The database itself
refuses an export that its requester approved, and a package without its hashes.
"""

import uuid
from typing import Any

from django.db import models
from django.db.models import F, Q

from app.accounts.models import Organization, User
from app.compliance.scope import Scope
from app.encryption.fields import SealedModel, SealedTextField, SealingContext


class State(models.TextChoices):
    REQUESTED = "requested", "Waiting for approval"
    APPROVED = "approved", "Waiting to be built"
    REFUSED = "refused", "Refused"
    WITHDRAWN = "withdrawn", "Withdrawn"
    BUILDING = "building", "Being built"
    READY = "ready", "Ready"
    PARTIAL = "partial", "Ready, but partial"
    FAILED = "failed", "Failed"
    EXPIRED = "expired", "Deleted after its time"


FINISHED = (State.READY, State.PARTIAL)
UNDER_WAY = (State.APPROVED, State.BUILDING)


class Stage(models.TextChoices):
    """What a build is doing; `done` of `total` counts in the stage's own units."""

    NONE = "", "Not begun"
    SEALING = "sealing", "Waiting until the log has sealed the approval"
    READING = "reading", "Reading the log"
    LOGGING = "logging", "Waiting until the log holds the manifest"
    CHECKING = "checking", "Checking the package"


class ExportRequest(SealedModel):
    """One export, from the request to its end."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    conversations = models.JSONField(default=list)
    """Ids; empty: all conversations, and what happened outside of them."""
    people = models.JSONField(default=list)
    """Ids of those who acted; empty: everybody."""
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    reason = SealedTextField()
    requester = models.ForeignKey(User, models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(auto_now_add=True)
    request_entry = models.BigIntegerField()
    state = models.CharField(max_length=16, choices=State, default=State.REQUESTED)
    decider = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decision_entry = models.BigIntegerField(null=True)

    stage = models.CharField(max_length=16, choices=Stage, default=Stage.NONE, blank=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    lease = models.UUIDField(null=True)
    """The worker that builds; it is lost when `heartbeat` is older than LEASE."""
    heartbeat = models.DateTimeField(null=True)
    failure = models.CharField(max_length=500, blank=True)

    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    size = models.BigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    manifest_sha256 = models.CharField(max_length=64, blank=True)
    checkpoint = models.TextField(blank=True)
    counts = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=State.values), name="compliance_export_state"
            ),
            models.CheckConstraint(
                # Whoever refuses or withdraws may be the requester; who approves may not.
                condition=Q(state__in=[State.REQUESTED, State.REFUSED, State.WITHDRAWN])
                | (Q(decider__isnull=False) & ~Q(decider=F("requester"))),
                name="compliance_export_two_people",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=FINISHED)
                | (Q(size__isnull=False, expires_at__isnull=False) & ~Q(sha256="")),
                name="compliance_export_finished",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-requested_at"], name="compliance_export_recent"),
            models.Index(
                fields=["heartbeat"],
                condition=Q(state__in=UNDER_WAY),
                name="compliance_export_under_way",
            ),
        ]

    def __str__(self) -> str:
        return f"export {self.pk}"

    def sealing_context(self) -> SealingContext:
        return SealingContext(organization=self.organization_id, conversation=None, revision=0)

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    @property
    def is_under_way(self) -> bool:
        return self.state in UNDER_WAY

    @property
    def percent(self) -> int:
        """Of the present stage, 0 to 100."""
        return min(100, 100 * self.done // self.total) if self.total else 0

    @property
    def scope(self) -> dict[str, Any]:
        """As the trail and the manifest say it."""
        return Scope.of(self).document()
