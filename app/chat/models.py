"""Conversations, who belongs to them, and what was said, in every version.

Names, topics and texts are sealed. Rows of messages and versions are never deleted.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from app.accounts.models import Organization, User
from app.chat.search.models import SearchIndex, SearchTokens  # noqa: F401 - Django looks here
from app.encryption.fields import SealedModel, SealedTextField, SealingContext


class Kind(models.TextChoices):
    PUBLIC = "public"
    PRIVATE = "private"
    DIRECT = "direct"


class MemberRole(models.TextChoices):
    OWNER = "owner"
    MEMBER = "member"


class VersionKind(models.TextChoices):
    CREATED = "created"
    EDITED = "edited"
    DELETED = "deleted"


class Conversation(SealedModel):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    name = SealedTextField()
    topic = SealedTextField()
    revision = models.PositiveIntegerField(default=0, db_default=0)
    """Counts changes of name and topic, so that an old one cannot be put back."""
    direct_key = models.BinaryField(null=True, max_length=32)
    """Of a direct conversation: SHA-256 of its people's ids, so that there is only one."""
    created_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("organization", "direct_key", name="chat_direct_once"),
            models.CheckConstraint(
                condition=Q(kind=Kind.DIRECT, direct_key__isnull=False)
                | Q(kind__in=[Kind.PUBLIC, Kind.PRIVATE], direct_key__isnull=True),
                name="chat_conversation_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"conversation {self.pk}"

    def sealing_context(self) -> SealingContext:
        # In the organization's scope: a list of a hundred names opens with one data key.
        return SealingContext(
            organization=self.organization_id, conversation=None, revision=self.revision
        )


class Membership(models.Model):
    """One stay of somebody in a conversation; who comes back gets another row."""

    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="memberships")
    user = models.ForeignKey(User, models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=8, choices=MemberRole, default=MemberRole.MEMBER)
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True)
    read_offset = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "user"],
                condition=Q(left_at__isnull=True),
                name="chat_member_once",
            ),
            models.CheckConstraint(
                condition=Q(role__in=MemberRole.values), name="chat_membership_role"
            ),
        ]
        indexes = [
            models.Index(
                fields=["user"], condition=Q(left_at__isnull=True), name="chat_membership_now"
            )
        ]

    def __str__(self) -> str:
        return f"membership {self.pk}"


class Message(models.Model):
    """A message's place and state. Its id is made by the client, so that a resend is known."""

    id = models.UUIDField(primary_key=True)
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="messages")
    author = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    thread = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="replies", db_index=False
    )
    offset = models.BigIntegerField()
    created_at = models.DateTimeField()
    revision = models.PositiveIntegerField(default=1)
    edited_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("conversation", "offset", name="chat_message_offset"),
            models.CheckConstraint(condition=Q(revision__gte=1), name="chat_message_revision"),
            models.CheckConstraint(
                condition=Q(deleted_at__isnull=True) | Q(deleted_at__gte=F("created_at")),
                name="chat_message_deleted_later",
            ),
        ]
        indexes = [
            models.Index(
                fields=["thread", "offset"],
                condition=Q(thread__isnull=False),
                name="chat_message_thread",
            ),
            models.Index(
                fields=["conversation", "offset"],
                condition=Q(thread__isnull=True),
                name="chat_message_timeline",
            ),
            models.Index(fields=["created_at", "id"], name="chat_message_newest"),
            models.Index(fields=["author", "created_at", "id"], name="chat_message_author"),
        ]

    def __str__(self) -> str:
        return f"message {self.pk}"


class MessageVersion(SealedModel):
    """What a message said at one revision; a deletion is a version without a text.

    `entry_id` is its entry in the trail. The database refuses to commit a version whose
    entry the same transaction did not write.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    message = models.ForeignKey(Message, models.PROTECT, related_name="versions", db_index=False)
    organization_id = models.UUIDField()
    conversation_id = models.UUIDField()
    revision = models.PositiveIntegerField()
    kind = models.CharField(max_length=8, choices=VersionKind)
    body = SealedTextField(null=True)
    editor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()
    entry_id = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint("message", "revision", name="chat_version_once"),
            models.CheckConstraint(
                condition=Q(kind=VersionKind.DELETED, body__isnull=True)
                | Q(kind__in=[VersionKind.CREATED, VersionKind.EDITED], body__isnull=False),
                name="chat_version_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"version {self.revision} of message {self.message_id}"

    def sealing_context(self) -> SealingContext:
        return SealingContext(
            organization=self.organization_id,
            conversation=self.conversation_id,
            revision=self.revision,
        )


class Attachment(SealedModel):
    """A file of a conversation: first an upload, then part of a message, for good.

    Its bytes are in a storage, sealed under `key` (base64), which is sealed here: whoever
    destroys the conversation's data key erases the file with it. `description` says what the
    finished file is (JSON: see `attachments.description`); the trail commits to it.
    """

    id = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField()
    conversation = models.ForeignKey(Conversation, models.PROTECT, related_name="+")
    uploader = models.ForeignKey(User, models.PROTECT, related_name="+")
    message = models.ForeignKey(Message, models.PROTECT, null=True, related_name="attachments")
    position = models.PositiveSmallIntegerField(default=0)
    size = models.BigIntegerField()
    key = SealedTextField(null=True)
    name = SealedTextField(null=True)
    description = SealedTextField(null=True)
    entry_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    """It was never sent, and its key is gone from here."""
    gone_at = models.DateTimeField(null=True)
    """The storage was asked, and has nothing of it any more."""

    class Meta:
        constraints = [
            models.UniqueConstraint("message", "position", name="chat_attachment_position"),
            models.CheckConstraint(condition=Q(size__gte=0), name="chat_attachment_size"),
            models.CheckConstraint(
                condition=Q(completed_at__isnull=True, description__isnull=True, entry_id=None)
                | Q(completed_at__isnull=False, entry_id__isnull=False),
                name="chat_attachment_completed",
            ),
            models.CheckConstraint(
                condition=Q(message__isnull=True)
                | Q(completed_at__isnull=False, deleted_at__isnull=True, key__isnull=False),
                name="chat_attachment_sent",
            ),
            models.CheckConstraint(
                condition=Q(deleted_at__isnull=True)
                | Q(key__isnull=True, name__isnull=True, description__isnull=True),
                name="chat_attachment_deleted",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(message__isnull=True, gone_at__isnull=True),
                name="chat_attachment_unsent",
            ),
        ]

    def __str__(self) -> str:
        return f"attachment {self.pk}"

    def sealing_context(self) -> SealingContext:
        return SealingContext(
            organization=self.organization_id, conversation=self.conversation_id, revision=0
        )


class Reaction(models.Model):
    message = models.ForeignKey(Message, models.PROTECT, related_name="reactions")
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    emoji = models.CharField(max_length=16)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("message", "user", "emoji", name="chat_reaction_once")
        ]

    def __str__(self) -> str:
        return f"reaction {self.pk}"
