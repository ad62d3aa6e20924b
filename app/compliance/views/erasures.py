"""The REST API of erasures. Each method: parse, one call, respond."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.accounts.identity import user_of
from app.accounts.rest import StrictSerializer, parsed
from app.accounts.schema import answers
from app.compliance import services
from app.compliance.access import erasures
from app.compliance.models import Erasure, ErasureState
from app.compliance.views import fields


class MonthsIn(StrictSerializer):
    conversation = serializers.UUIDField()
    first = serializers.DateField(
        allow_null=True,
        default=None,
        help_text="The first day of a month; null: from the beginning.",
    )
    last = serializers.DateField(help_text="The first day of the last month, erased too.")


class ErasureIn(MonthsIn):
    reason = fields.reason()


class ErasableAnswer(serializers.Serializer[Any]):
    """Numbers of what would be erased now."""

    months = serializers.ListField(child=serializers.DateField())
    messages = serializers.IntegerField()
    versions = serializers.IntegerField()
    authors = serializers.IntegerField()
    first_at = serializers.DateTimeField(allow_null=True)
    last_at = serializers.DateTimeField(allow_null=True)
    holds = serializers.ListField(
        child=serializers.UUIDField(), source="hold_ids", help_text="Legal holds that forbid it."
    )


class ErasureAnswer(serializers.ModelSerializer[Erasure]):
    conversation = serializers.UUIDField(source="conversation_id")
    first = serializers.DateField(source="first_month", allow_null=True)
    last = serializers.DateField(source="last_month")
    reason = serializers.CharField()
    state = serializers.ChoiceField(choices=ErasureState.choices)
    requester = serializers.UUIDField(source="requester_id")
    decider = serializers.UUIDField(source="decider_id", allow_null=True)

    class Meta:
        model = Erasure
        fields = [
            "id", "state", "conversation", "first", "last", "reason", "requester", "requested_at",
            "decider", "decided_at", "finished_at", "keys_destroyed", "failure",
        ]  # fmt: skip


class ErasuresAnswer(serializers.Serializer[Any]):
    erasures = ErasureAnswer(many=True)


class ErasuresView(APIView):
    @extend_schema(operation_id="erasures", responses=answers({200: ErasuresAnswer}, 401, 403))
    def get(self, request: Request) -> Response:
        """The organization's erasures, newest first."""
        found = erasures.erasures(user_of(request))
        return Response({"erasures": ErasureAnswer(found, many=True).data})

    @extend_schema(
        operation_id="request_erasure",
        request=ErasureIn,
        responses=answers({201: ErasureAnswer}, 400, 401, 403, 404, 409, 413, 415),
    )
    def post(self, request: Request) -> Response:
        """Ask to erase what was written in some months. Another officer must approve it."""
        asked = services.request_erasure(user_of(request), **parsed(ErasureIn, request))
        return Response(ErasureAnswer(asked).data, status=201)


class ErasurePreviewView(APIView):
    @extend_schema(
        operation_id="preview_erasure",
        request=MonthsIn,
        responses=answers({200: ErasableAnswer}, 400, 401, 403, 404, 413, 415),
    )
    def post(self, request: Request) -> Response:
        """How much would be erased, and what forbids it. The look is recorded."""
        found = services.preview_erasure(user_of(request), **parsed(MonthsIn, request))
        return Response(ErasableAnswer(found).data)


class ErasureView(APIView):
    @extend_schema(operation_id="erasure", responses=answers({200: ErasureAnswer}, 401, 403, 404))
    def get(self, request: Request, erasure: UUID) -> Response:
        """One erasure."""
        return Response(ErasureAnswer(erasures.erasure(user_of(request), erasure)).data)


_ERASURE_DECIDED = answers({200: ErasureAnswer}, 401, 403, 404, 409)


class ApproveErasureView(APIView):
    @extend_schema(operation_id="approve_erasure", request=None, responses=_ERASURE_DECIDED)
    def post(self, request: Request, erasure: UUID) -> Response:
        """Approve what another officer asked for; it is erased at once and for good."""
        return Response(ErasureAnswer(services.approve_erasure(user_of(request), erasure)).data)


class RefuseErasureView(APIView):
    @extend_schema(operation_id="refuse_erasure", request=None, responses=_ERASURE_DECIDED)
    def post(self, request: Request, erasure: UUID) -> Response:
        """Refuse what another officer asked for."""
        return Response(ErasureAnswer(services.refuse_erasure(user_of(request), erasure)).data)


class WithdrawErasureView(APIView):
    @extend_schema(operation_id="withdraw_erasure", request=None, responses=_ERASURE_DECIDED)
    def post(self, request: Request, erasure: UUID) -> Response:
        """Take back my own request before it is decided."""
        return Response(ErasureAnswer(services.withdraw_erasure(user_of(request), erasure)).data)
