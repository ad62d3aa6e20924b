"""What officers ask for and decide: exports, legal holds, readings, erasures.

The trail is the record of all this; these rows are what the work needs. The database itself
refuses what its requester approved, and a package without its hashes.
"""

import uuid
from typing import Any

from django.db import models
from django.db.models import F, Q

from app.accounts.models import Organization, User
from app.chat.models import Conversation
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


class Format(models.TextChoices):
    """Shapes of the messages beside messages.jsonl, which is the evidence."""

    CSV = "csv", "Table (CSV)"
    XLSX = "xlsx", "Workbook (Excel)"
    PDF = "pdf", "Pages (PDF)"
    EML = "eml", "Mails, one a conversation and day (EML)"


RECIPIENT = 100
"""Characters at most of an age recipient; one of X25519 has 62."""
FINISHED = (State.READY, State.PARTIAL)
UNDER_WAY = (State.APPROVED, State.BUILDING)


class Stage(models.TextChoices):
    """What a build is doing; `done` of `total` counts in the stage's own units."""

    NONE = "", "Not begun"
    SEALING = "sealing", "Waiting until the log has sealed the approval"
    READING = "reading", "Reading the log"
    FORMATTING = "formatting", "Writing the tables and pages"
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
    formats = models.JSONField(default=list)
    """Views beside the evidence: names of FORMATS."""
    recipient = models.CharField(max_length=RECIPIENT, blank=True)
    """The age key that the package is encrypted to; empty: it is not."""
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
    partial_items = models.JSONField(default=list)
    """Of the conversations that are not complete, the first: as items.jsonl says them."""

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


class LegalHold(SealedModel):
    """Nothing of its conversations, and of those its people were ever in, is destroyed.

    In force until another officer agrees to the release that one asked for. What it covers never
    changes: to cover more, place another.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    matter = SealedTextField()
    reason = SealedTextField()
    placed_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    placed_at = models.DateTimeField(auto_now_add=True)
    place_entry = models.BigIntegerField()
    release_reason = SealedTextField(null=True)
    release_asked_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    release_asked_at = models.DateTimeField(null=True)
    released_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(released_at__isnull=True, released_by__isnull=True)
                | (
                    Q(released_at__isnull=False, released_by__isnull=False)
                    & Q(release_asked_at__isnull=False, release_reason__isnull=False)
                    & Q(release_asked_by__isnull=False)
                    & ~Q(released_by=F("release_asked_by"))
                ),
                name="compliance_hold_two_people",
            ),
        ]
        indexes = [
            models.Index(
                fields=["organization"],
                condition=Q(released_at__isnull=True),
                name="compliance_hold_in_force",
            )
        ]

    def __str__(self) -> str:
        return f"hold {self.pk}"

    def sealing_context(self) -> SealingContext:
        return SealingContext(organization=self.organization_id, conversation=None, revision=0)

    @property
    def in_force(self) -> bool:
        return self.released_at is None

    @property
    def release_is_asked(self) -> bool:
        """A release that was refused leaves who asked and why, but not when."""
        return self.in_force and self.release_asked_at is not None


class HeldConversation(models.Model):
    hold = models.ForeignKey(LegalHold, models.PROTECT, related_name="held_conversations")
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint("hold", "conversation", name="compliance_held_conversation")
        ]

    def __str__(self) -> str:
        return f"held conversation {self.pk}"


class HeldPerson(models.Model):
    """A custodian: every conversation that they were ever a member of is held."""

    hold = models.ForeignKey(LegalHold, models.PROTECT, related_name="held_people")
    person = models.ForeignKey(User, models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint("hold", "person", name="compliance_held_person")]

    def __str__(self) -> str:
        return f"held person {self.pk}"


class Reading(SealedModel):
    """An officer's leave to read one conversation for a while, taken by giving a reason."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+")
    officer = models.ForeignKey(User, models.PROTECT, related_name="+")
    matter = SealedTextField()
    reason = SealedTextField()
    opened_at = models.DateTimeField(auto_now_add=True)
    closes_at = models.DateTimeField()
    open_entry = models.BigIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["officer", "-opened_at"], name="compliance_reading_recent"),
        ]

    def __str__(self) -> str:
        return f"reading {self.pk}"

    def sealing_context(self) -> SealingContext:
        return SealingContext(organization=self.organization_id, conversation=None, revision=0)


class OfficerSearch(SealedModel):
    """An officer's leave to look for something in all conversations, taken by giving a reason."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    officer = models.ForeignKey(User, models.PROTECT, related_name="+")
    query = SealedTextField()
    matter = SealedTextField()
    reason = SealedTextField()
    begun_at = models.DateTimeField(auto_now_add=True)
    closes_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"search {self.pk}"

    def sealing_context(self) -> SealingContext:
        return SealingContext(organization=self.organization_id, conversation=None, revision=0)


class ErasureState(models.TextChoices):
    REQUESTED = "requested", "Waiting for approval"
    APPROVED = "approved", "Being erased"
    REFUSED = "refused", "Refused"
    WITHDRAWN = "withdrawn", "Withdrawn"
    DONE = "done", "Erased"
    STOPPED = "stopped", "Stopped"


class Erasure(SealedModel):
    """What was written in a conversation in some months is to be erased, or was."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+")
    first_month = models.DateField(null=True)
    """The first day of a month; null: from the beginning."""
    last_month = models.DateField()
    """The first day of the last month, which is erased too."""
    reason = SealedTextField()
    requester = models.ForeignKey(User, models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(auto_now_add=True)
    request_entry = models.BigIntegerField()
    state = models.CharField(max_length=16, choices=ErasureState, default=ErasureState.REQUESTED)
    decider = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    keys_destroyed = models.PositiveIntegerField(default=0)
    failure = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=ErasureState.values), name="compliance_erasure_state"
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        ErasureState.REQUESTED,
                        ErasureState.REFUSED,
                        ErasureState.WITHDRAWN,
                    ]
                )
                | (Q(decider__isnull=False) & ~Q(decider=F("requester"))),
                name="compliance_erasure_two_people",
            ),
            models.CheckConstraint(
                condition=Q(last_month__day=1)
                & (Q(first_month__isnull=True) | Q(first_month__day=1)),
                name="compliance_erasure_months",
            ),
        ]
        indexes = [
            models.Index(
                fields=["organization", "-requested_at"], name="compliance_erasure_recent"
            ),
        ]

    def __str__(self) -> str:
        return f"erasure {self.pk}"

    def sealing_context(self) -> SealingContext:
        return SealingContext(organization=self.organization_id, conversation=None, revision=0)
