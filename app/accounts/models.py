"""Who belongs where, and by which doors they came in.

Names and addresses are sealed; what is left in the clear (roles, times, network addresses)
is what the trail and the rate limits need. Nothing here is ever deleted: people are disabled,
sessions end, invitations run out, so that the trail always points at something.
"""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models, transaction
from django.db.models import Q

from app.accounts.emails import email_index, normalised
from app.audit.context import Actor
from app.encryption.fields import SealedManager, SealedModel, SealedTextField, SealingContext


class Role(models.TextChoices):
    MEMBER = "member", "Member"
    OFFICER = "officer", "Officer"
    ADMINISTRATOR = "administrator", "Administrator"


class SessionKind(models.TextChoices):
    BROWSER = "browser", "Browser"
    API = "api", "API"


class Organization(SealedModel):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=64, unique=True)
    name = SealedTextField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"organization {self.pk}"

    def sealing_context(self) -> SealingContext:
        return SealingContext(organization=self.pk, conversation=None, revision=0)


class UserManager(SealedManager["User"], BaseUserManager["User"]):
    def create_user(
        self,
        *,
        organization: Organization,
        email: str,
        display_name: str,
        role: str = Role.MEMBER,
        password: str | None = None,
    ) -> "User":
        """Insert a user; without a password nobody can sign in as them.

        Checks neither the asker's permission nor the password's strength, and records nothing:
        `services.register` does. Raises IntegrityError where the address is taken.
        """
        user = self.model(
            organization=organization,
            email=normalised(email),
            email_index=email_index(email),
            display_name=display_name,
            role=Role(role),
        )
        user.set_password(password)
        with transaction.atomic():  # the row is watched by the trail
            user.save(force_insert=True)
        return user

    def with_email(self, email: str) -> "User | None":
        """The user that signs in with this address, found without knowing any address."""
        found = self.filter(email_index=email_index(email))
        return found.select_related("organization").first()


class User(SealedModel, AbstractBaseUser):
    """One person in one organization. An address belongs to one user of the installation."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="users")
    email = SealedTextField()
    email_index = models.BinaryField(max_length=32, unique=True, editable=False)
    display_name = SealedTextField()
    revision = models.PositiveIntegerField(default=0, db_default=0)
    """Counts changes of name and address, so that an old one cannot be put back."""
    role = models.CharField(max_length=16, choices=Role, default=Role.MEMBER)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_login = None  # the sessions tell, and more truly

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email_index"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(role__in=Role.values), name="accounts_user_role")
        ]
        indexes = [models.Index(fields=["organization", "role"])]

    def __str__(self) -> str:
        return f"user {self.pk}"

    def sealing_context(self) -> SealingContext:
        return SealingContext(
            organization=self.organization_id, conversation=None, revision=self.revision
        )

    @property
    def actor(self) -> Actor:
        """Who the trail says it was."""
        return Actor("user", self.pk, self.role)


class Session(models.Model):
    """One sign-in: a browser, or a family of API tokens. It is alive until `ended_at`.

    `access.live` is what says whether a session still opens a door: besides not being ended
    it must be neither idle nor old, and its user must be active.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="sessions")
    kind = models.CharField(max_length=8, choices=SessionKind)
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(auto_now_add=True)
    address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=256, blank=True)
    ended_at = models.DateTimeField(null=True)
    ended_reason = models.CharField(max_length=32, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=SessionKind.values), name="accounts_session_kind"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_reason="")
                | Q(ended_at__isnull=False) & ~Q(ended_reason=""),
                name="accounts_session_end_has_a_reason",
            ),
        ]
        indexes = [
            models.Index(
                fields=["user"], condition=Q(ended_at__isnull=True), name="accounts_session_open"
            )
        ]

    def __str__(self) -> str:
        return f"session {self.pk}"


class Invitation(SealedModel):
    """A way in for whoever holds the code, of which only a hash is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="invitations")
    code_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    label = SealedTextField(null=True)
    role = models.CharField(max_length=16, choices=Role)
    expires_at = models.DateTimeField()
    uses_left = models.PositiveSmallIntegerField()
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(role__in=Role.values), name="accounts_invitation_role"
            )
        ]
        indexes = [models.Index(fields=["organization", "-created_at"])]

    def __str__(self) -> str:
        return f"invitation {self.pk}"

    def sealing_context(self) -> SealingContext:
        return SealingContext(organization=self.organization_id, conversation=None, revision=0)


class Limit(models.Model):
    """The state of one rate limit for one subject, which is kept as a keyed hash alone.

    `arrival` is the theoretical arrival time of the generic cell rate algorithm
    (ITU-T I.371, annex A.2): see `limits`.
    """

    key = models.BinaryField(primary_key=True, max_length=32)
    arrival = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return "limit"


def label_of(role: Any) -> str:
    """The role's name for people."""
    return str(Role(role).label)
