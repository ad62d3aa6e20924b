"""Keys at rest: a key encryption key per organization, data keys wrapped by it.

No usable key is in the database: a data key is wrapped by a key encryption key that lives
elsewhere. Ids of organizations and conversations are plain: keys outlive what they sealed.
"""

from uuid import uuid4

from django.db import models
from django.db.models import Q

from app.encryption.secret import SecretTextField


class KeyEncryptionKey(models.Model):
    """Names the key, held by `provider`, that wraps an organization's data keys.

    In force, then superseded (it still unwraps what is not rewrapped yet), then retired (nothing
    needs it any more).
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organization_id = models.UUIDField()
    provider = models.CharField(max_length=32)
    # What the provider finds the key by; for "local" a fingerprint of the key file.
    reference = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)
    superseded_at = models.DateTimeField(null=True)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "encryption_key_encryption_key"
        constraints = [
            models.UniqueConstraint(
                fields=["organization_id"],
                condition=Q(superseded_at__isnull=True),
                name="one_kek_in_force_per_organization",
            ),
            models.CheckConstraint(
                condition=Q(retired_at__isnull=True) | Q(superseded_at__isnull=False),
                name="a_kek_is_superseded_before_it_retires",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class DataKey(models.Model):
    """Seals the texts of one conversation (or of the organization itself) in one month.

    Closed, it seals nothing new and still opens. Destroying it (`wrapped` emptied,
    `destroyed_at` set) erases what it sealed. `uses` counts blocks that processes reserved, so
    it is never below the true number.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organization_id = models.UUIDField()
    conversation_id = models.UUIDField(null=True)
    month = models.DateField()
    key_encryption_key = models.ForeignKey(KeyEncryptionKey, on_delete=models.PROTECT)
    wrapped = SecretTextField(null=True)
    uses = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True)
    destroyed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "encryption_data_key"
        constraints = [
            models.UniqueConstraint(
                fields=["organization_id", "conversation_id", "month"],
                condition=Q(closed_at__isnull=True, destroyed_at__isnull=True),
                nulls_distinct=False,
                name="one_data_key_per_conversation_and_month",
            ),
            models.CheckConstraint(
                condition=Q(destroyed_at__isnull=True, wrapped__isnull=False)
                | Q(destroyed_at__isnull=False, wrapped__isnull=True),
                name="a_destroyed_data_key_is_gone",
            ),
            models.CheckConstraint(
                condition=Q(month__day=1), name="a_data_key_month_is_its_first_day"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)
