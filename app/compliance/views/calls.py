"""The REST API of the officer's look at call records. Each method: parse, one call, respond."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.accounts.identity import user_of
from app.accounts.rest import StrictSerializer
from app.accounts.schema import answers
from app.audit.leaves import timestamp
from app.audit.services import Entry
from app.compliance.access.calls import PAGE, CallFilter
from app.compliance.services.calls import look_at_call, look_at_calls
from app.voice.models import Call, Connection, Participant
from app.voice.serializers import StayOut
from app.voice.services.entries import quality

MOST_CALLS = 200


class CallsRequest(StrictSerializer):
    conversation = serializers.UUIDField(required=False)
    person = serializers.UUIDField(required=False, help_text="Who took part.")
    since = serializers.DateTimeField(required=False, help_text="When the call began.")
    until = serializers.DateTimeField(required=False)
    before = serializers.UUIDField(required=False, help_text="The last call of the page before.")
    limit = serializers.IntegerField(min_value=1, max_value=MOST_CALLS, default=PAGE)


class FiguresAnswer(serializers.Serializer[Any]):
    mean = serializers.IntegerField()
    worst = serializers.IntegerField()
    last = serializers.IntegerField()


class ConnectionAnswer(serializers.Serializer[Any]):
    """Loss in parts per million, times in microseconds, as the participant's device said."""

    peer = serializers.UUIDField(help_text="The `pid` of whom it led to.")
    candidate = serializers.CharField()
    reports = serializers.IntegerField()
    loss_ppm = FiguresAnswer()
    jitter_us = FiguresAnswer()
    rtt_us = FiguresAnswer()

    def to_representation(self, row: Connection) -> dict[str, Any]:
        return quality(row)


class StayAnswer(StayOut):
    """What members see, and the rest of the record."""

    device = serializers.UUIDField()
    muted = serializers.BooleanField()
    muted_by = serializers.UUIDField(allow_null=True)
    connections = ConnectionAnswer(many=True)

    def to_representation(self, row: Participant) -> dict[str, Any]:
        return super().to_representation(row) | {
            "device": str(row.device),
            "muted": row.muted,
            "muted_by": str(row.muted_by_id) if row.muted_by_id else None,
            "connections": ConnectionAnswer(row.connections.all(), many=True).data,
        }


class CallAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    conversation = serializers.UUIDField()
    started_at = serializers.CharField()
    ended_at = serializers.CharField(allow_null=True)
    participants = StayAnswer(many=True)

    def to_representation(self, row: Call) -> dict[str, Any]:
        return {
            "id": str(row.pk),
            "conversation": str(row.conversation_id),
            "started_at": timestamp(row.started_at),
            "ended_at": timestamp(row.ended_at) if row.ended_at else None,
            "participants": StayAnswer(row.participants.all(), many=True).data,
        }


class EventAnswer(serializers.Serializer[Any]):
    """An entry of the trail about the call; all of it: `GET api/compliance/trail/<entry>`."""

    entry = serializers.IntegerField()
    at = serializers.CharField()
    action = serializers.CharField()
    actor = serializers.UUIDField(allow_null=True)
    pid = serializers.UUIDField(allow_null=True)

    def to_representation(self, entry: Entry) -> dict[str, Any]:
        body = entry.document
        target = body["target"]
        return {
            "entry": entry.pk,
            "at": body["time"],
            "action": body["action"],
            "actor": body["actor"]["id"],
            "pid": target["id"] if target["type"] == "participant" else None,
        }


class CallsAnswer(serializers.Serializer[Any]):
    calls = CallAnswer(many=True)
    more = serializers.BooleanField()


class CallRecordAnswer(serializers.Serializer[Any]):
    call = CallAnswer()
    events = EventAnswer(many=True)


class CallsView(APIView):
    @extend_schema(
        operation_id="officer_calls",
        parameters=[CallsRequest],
        responses=answers({200: CallsAnswer}, 400, 401, 403, 404),
    )
    def get(self, request: Request) -> Response:
        """Who talked with whom, the latest calls first. The look is recorded, with its filter."""
        given = CallsRequest(data=request.query_params.dict())
        given.is_valid(raise_exception=True)
        before, limit = (given.validated_data.pop(name, None) for name in ("before", "limit"))
        wanted = CallFilter(**given.validated_data)
        page = look_at_calls(user_of(request), wanted, before=before, limit=limit)
        return Response({"calls": CallAnswer(page.calls, many=True).data, "more": page.more})


class CallView(APIView):
    @extend_schema(
        operation_id="officer_call",
        responses=answers({200: CallRecordAnswer}, 401, 403, 404),
    )
    def get(self, request: Request, call: UUID) -> Response:
        """One call and what happened in it. The look is recorded."""
        found = look_at_call(user_of(request), call)
        told = {"call": CallAnswer(found.call).data}
        return Response(told | {"events": EventAnswer(found.events, many=True).data})
