"""Models that exist only here: ours beside the package's own, of an app that is not installed."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from encrypted_model_fields.fields import EncryptedTextField

from app.encryption.fields import SealedModel, SealedTextField, SealingContext, SecretTextField


class Letter(SealedModel):
    """As a message is: sealed for its conversation and revision."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organization_id = models.UUIDField(default=uuid4)
    conversation_id = models.UUIDField(null=True, default=uuid4)
    revision = models.PositiveIntegerField(default=1)
    body = SealedTextField()
    note = SealedTextField(null=True)
    mark = models.CharField(max_length=32, default="")

    class Meta:
        app_label = "sample"

    def __str__(self) -> str:
        return str(self.id)

    def sealing_context(self) -> SealingContext:
        return SealingContext(self.organization_id, self.conversation_id, self.revision)


class Plain(models.Model):
    """A letter without a seal, to compare with."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organization_id = models.UUIDField(default=uuid4)
    conversation_id = models.UUIDField(null=True, default=uuid4)
    revision = models.PositiveIntegerField(default=1)
    body = models.TextField()
    note = models.TextField(null=True)
    mark = models.CharField(max_length=32, default="")
    objects: ClassVar[models.Manager["Plain"]] = models.Manager()

    class Meta:
        app_label = "sample"

    def __str__(self) -> str:
        return str(self.id)


class Vault(models.Model):
    """A secret of the application itself."""

    secret = SecretTextField()

    objects: ClassVar[models.Manager["Vault"]] = models.Manager()

    class Meta:
        app_label = "sample"

    def __str__(self) -> str:
        return str(self.pk)


class Stock(models.Model):
    """The package as it is, so that a test can show what we are guarding against."""

    body = EncryptedTextField()

    objects: ClassVar[models.Manager["Stock"]] = models.Manager()

    class Meta:
        app_label = "sample"

    def __str__(self) -> str:
        return str(self.pk)
