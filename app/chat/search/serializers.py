"""What the search's REST API takes and gives; unknown fields are refused."""

from typing import Any
from zoneinfo import ZoneInfo

from rest_framework import serializers

from app.accounts.rest import StrictSerializer
from app.audit.leaves import timestamp
from app.chat.models import Message
from app.chat.search.access import MAX_PAGE, PAGE, Page
from app.chat.search.finding import Place
from app.chat.search.query import LONGEST
from app.chat.search.switch import Progress
from app.chat.search.words import Phrase, excerpt

MOST_NAMED = 100
LONGEST_ZONE = LONGEST_PLACE = 64  # characters


class ZoneField(serializers.CharField):
    """A time zone by its name, such as "Europe/Berlin": where `before:` a day begins."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return ZoneInfo(super().to_internal_value(data)[:LONGEST_ZONE])
        except (ValueError, OSError, KeyError):
            raise serializers.ValidationError("This is no time zone.") from None


class PlaceField(serializers.CharField):
    """The `next` of an earlier answer."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return Place.parse(super().to_internal_value(data)[:LONGEST_PLACE])
        except (ValueError, OverflowError):
            raise serializers.ValidationError("This is not from an earlier answer.") from None


class Search(StrictSerializer):
    query = serializers.CharField(allow_blank=True, max_length=LONGEST)
    people = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=MOST_NAMED
    )
    conversations = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=MOST_NAMED
    )
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    zone = ZoneField(required=False)
    next = PlaceField(required=False)
    limit = serializers.IntegerField(default=PAGE, min_value=1, max_value=MAX_PAGE)


class PieceOut(serializers.Serializer[Any]):
    text = serializers.CharField()
    hit = serializers.BooleanField()


class ResultOut(serializers.Serializer[Any]):
    """A message that was found; `pieces` are the part of its text around the first match."""

    message = serializers.UUIDField()
    conversation = serializers.UUIDField()
    author = serializers.UUIDField()
    at = serializers.CharField()
    edited_at = serializers.CharField(allow_null=True)
    offset = serializers.IntegerField()
    thread = serializers.UUIDField(allow_null=True)
    pieces = PieceOut(many=True)

    def to_representation(self, found: tuple[Message, str, list[Phrase]]) -> dict[str, Any]:
        row, text, phrases = found
        return {
            "message": str(row.pk),
            "conversation": str(row.conversation_id),
            "author": str(row.author_id),
            "at": timestamp(row.created_at),
            "edited_at": timestamp(row.edited_at) if row.edited_at else None,
            "offset": row.offset,
            "thread": str(row.thread_id) if row.thread_id else None,
            "pieces": [{"text": part, "hit": hit} for part, hit in excerpt(text, phrases)],
        }


class FoundOut(serializers.Serializer[Any]):
    """`next`: where to go on, for there may be more; `reached`: everything since was looked at.

    `indexed` is false while the organization keeps no index, or not yet of all messages: then
    they are opened and looked at, and an answer may end before it is full.
    """

    results = ResultOut(many=True)
    next = serializers.CharField(allow_null=True)
    reached = serializers.CharField(allow_null=True)
    indexed = serializers.BooleanField()

    def to_representation(self, found: tuple[Page, list[Phrase]]) -> dict[str, Any]:
        page, phrases = found
        results = [(row, text, phrases) for row, text in page.messages]
        return {
            "results": ResultOut(results, many=True).data,
            "next": str(page.next) if page.next else None,
            "reached": timestamp(page.next.at) if page.next else None,
            "indexed": page.indexed,
        }


class SwitchIndex(StrictSerializer):
    on = serializers.BooleanField()


class IndexOut(serializers.Serializer[Any]):
    """`done` of `total` messages are indexed, or cleared, while it is building or clearing."""

    on = serializers.BooleanField()
    state = serializers.CharField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()

    def to_representation(self, progress: Progress) -> dict[str, Any]:
        return {
            "on": progress.on,
            "state": progress.state.value,
            "done": progress.done,
            "total": progress.total,
        }
