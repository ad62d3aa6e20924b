"""The blind words of messages, and how far each organization's index reaches."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q


class SearchTokens(models.Model):
    """The blind words of a message's present text, under the data key that seals it.

    Can be deleted and made again at will. Author and time are the message's own, so that a
    search need not look at messages that its filters refuse.
    """

    message = models.OneToOneField("chat.Message", models.PROTECT, primary_key=True)
    conversation_id = models.UUIDField()
    author_id = models.UUIDField()
    created_at = models.DateTimeField()
    key_id = models.UUIDField()
    words = ArrayField(models.BigIntegerField())

    class Meta:
        indexes = [
            # What waits in a GIN index's pending list is read whole by every search.
            GinIndex(fields=["words"], name="chat_search_words", fastupdate=False),
            models.Index(fields=["conversation_id", "key_id"], name="chat_search_key"),
        ]

    def __str__(self) -> str:
        return f"search tokens of message {self.pk}"


class IndexState(models.TextChoices):
    COMPLETE = "complete"
    BUILDING = "building"
    CLEARING = "clearing"
    OFF = "off"


class SearchIndex(models.Model):
    """How far an organization's messages are in the index; without a row, all of them are.

    It is built from the newest message backwards, down to (`reached_at`, `reached_id`): what
    is older is opened and looked at. `done` of `total` messages are built, or cleared.
    """

    organization = models.OneToOneField("accounts.Organization", models.PROTECT, primary_key=True)
    state = models.CharField(max_length=8, choices=IndexState)
    reached_at = models.DateTimeField(null=True)
    reached_id = models.UUIDField(null=True)
    total = models.BigIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=IndexState.values), name="chat_search_index_state"
            ),
            models.CheckConstraint(
                condition=Q(reached_at__isnull=True, reached_id__isnull=True)
                | Q(reached_at__isnull=False, reached_id__isnull=False),
                name="chat_search_index_reached",
            ),
        ]

    def __str__(self) -> str:
        return f"search index of organization {self.pk}"
