"""What the compliance API takes and gives. Unknown fields are refused."""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from app.accounts.rest import StrictSerializer
from app.audit.actions import Action
from app.audit.services import Entry
from app.compliance.access import PAGE, TrailFilter, TrailPage
from app.compliance.models import RECIPIENT, ExportRequest, Format, Stage, State
from app.compliance.scope import Scope
from app.compliance.services.requests import LONGEST_REASON, MOST_NAMED

SUBJECTS = sorted({action.value.partition(":")[0] for action in Action})
MOST_ENTRIES = 200
_BIGGEST_ID = 2**63 - 1
# The field's own message would repeat what was sent.
_ACTION_ERRORS: dict[str, Any] = {"invalid_choice": "There is no such action."}


class ScopeRequest(StrictSerializer):
    """What an export covers; an empty list and null do not narrow."""

    conversations = serializers.ListField(
        child=serializers.UUIDField(), max_length=MOST_NAMED, default=list
    )
    people = serializers.ListField(
        child=serializers.UUIDField(), max_length=MOST_NAMED, default=list
    )
    since = serializers.DateTimeField(allow_null=True, default=None)
    until = serializers.DateTimeField(
        allow_null=True, default=None, help_text="Exclusive; null: until the package is built."
    )


class ExportRequestIn(ScopeRequest):
    reason = serializers.CharField(max_length=LONGEST_REASON)
    formats = serializers.ListField(
        child=serializers.ChoiceField(choices=Format.choices),
        max_length=len(Format),
        default=lambda: [Format.CSV.value],
        help_text="Views for people beside messages.jsonl, which is always there.",
    )
    recipient = serializers.CharField(
        max_length=RECIPIENT,
        default="",
        allow_blank=True,
        help_text="An age key, age1…: the package is encrypted to it. Empty: it is not.",
    )


def scope_from(given: dict[str, Any]) -> Scope:
    """The scope in a checked request."""
    return Scope(
        tuple(sorted(set(given["conversations"]))),
        tuple(sorted(set(given["people"]))),
        given["since"],
        given["until"],
    )


class ScopeAnswer(serializers.Serializer[Any]):
    conversations = serializers.ListField(child=serializers.UUIDField())
    people = serializers.ListField(child=serializers.UUIDField())
    since = serializers.CharField(allow_null=True)
    until = serializers.CharField(allow_null=True)


class PreviewAnswer(serializers.Serializer[Any]):
    """Numbers of entries that would be in the package now."""

    entries = serializers.IntegerField()
    versions = serializers.IntegerField()
    sent = serializers.IntegerField()
    edited = serializers.IntegerField()
    deleted = serializers.IntegerField()
    membership = serializers.IntegerField()
    reactions = serializers.IntegerField()
    attachments = serializers.IntegerField()
    calls = serializers.IntegerField()
    reads = serializers.IntegerField()
    other = serializers.IntegerField()


class ExportAnswer(serializers.ModelSerializer[ExportRequest]):
    scope = ScopeAnswer()
    reason = serializers.CharField()
    requester = serializers.UUIDField(source="requester_id")
    decider = serializers.UUIDField(source="decider_id", allow_null=True)
    state = serializers.ChoiceField(choices=State.choices)
    stage = serializers.ChoiceField(choices=Stage.choices)
    percent = serializers.IntegerField(read_only=True)
    counts = serializers.DictField(child=serializers.IntegerField())
    formats = serializers.ListField(child=serializers.ChoiceField(choices=Format.choices))
    partial_items = serializers.ListField(
        child=serializers.DictField(), help_text="Conversations that are not complete, and why."
    )

    class Meta:
        model = ExportRequest
        fields = [
            "id", "state", "scope", "reason", "requester", "requested_at", "decider", "decided_at",
            "stage", "done", "total", "percent", "failure", "finished_at", "expires_at", "size",
            "sha256", "manifest_sha256", "checkpoint", "counts", "formats",
            "recipient", "partial_items",
        ]  # fmt: skip


class ExportsAnswer(serializers.Serializer[Any]):
    exports = ExportAnswer(many=True)


class TrailRequest(StrictSerializer):
    """Filters of the trail, in the address."""

    actor = serializers.UUIDField(required=False, help_text="Who did it.")
    action = serializers.ChoiceField(
        choices=[*SUBJECTS, *(action.value for action in Action)],
        error_messages=_ACTION_ERRORS,
        required=False,
        help_text="An action (`message:sent`) or a subject (`message`).",
    )
    conversation = serializers.UUIDField(required=False)
    outside = serializers.BooleanField(
        default=False, help_text="Only what happened outside of conversations."
    )
    target = serializers.CharField(required=False, max_length=255, help_text="The target's id.")
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    before = serializers.IntegerField(required=False, min_value=1, max_value=_BIGGEST_ID)
    limit = serializers.IntegerField(min_value=1, max_value=MOST_ENTRIES, default=PAGE)

    def validate_target(self, value: str) -> str:
        if "\0" in value:
            raise serializers.ValidationError("An id has no NUL.")
        return value


def filter_from(given: dict[str, Any]) -> TrailFilter:
    """The filter in a checked request."""
    names = ("actor", "action", "conversation", "target", "since", "until")
    narrowing: dict[str, Any] = {name: given.get(name) for name in names}
    return TrailFilter(outside=given["outside"], **narrowing)


class EntryAnswer(serializers.Serializer[Any]):
    id = serializers.IntegerField(help_text="For paging: pass the last one as `before`.")
    index = serializers.IntegerField(
        allow_null=True, help_text="Its place in the log; null while it is not sealed."
    )
    leaf = serializers.CharField(help_text="The line that the log holds.")
    leaf_hash = serializers.CharField()
    body = serializers.DictField(help_text="The entry as it was logged.")


class TrailAnswer(serializers.Serializer[Any]):
    entries = EntryAnswer(many=True)
    more = serializers.BooleanField()


def entry_document(entry: Entry, index: int | None) -> dict[str, Any]:
    return {
        "id": entry.pk,
        "index": index,
        "leaf": bytes(entry.leaf).decode(),
        "leaf_hash": entry.leaf_hash.hex(),
        "body": entry.document,
    }


def trail_document(page: TrailPage) -> dict[str, Any]:
    entries = [entry_document(entry, page.indexes.get(entry.pk)) for entry in page.entries]
    return {"entries": entries, "more": page.more}


def as_text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
