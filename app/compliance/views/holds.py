"""The REST API of legal holds. Each method: parse, one call, respond."""

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
from app.compliance.access import holds
from app.compliance.models import LegalHold
from app.compliance.services.holds import MOST_HELD
from app.compliance.views import fields


class HoldIn(StrictSerializer):
    """At least one conversation or person."""

    conversations = serializers.ListField(
        child=serializers.UUIDField(), max_length=MOST_HELD, default=list
    )
    people = serializers.ListField(
        child=serializers.UUIDField(),
        max_length=MOST_HELD,
        default=list,
        help_text="Every conversation that they were ever in is held, later ones too.",
    )
    matter = fields.matter()
    reason = fields.reason()


class ReasonIn(StrictSerializer):
    reason = fields.reason()


class HoldAnswer(serializers.ModelSerializer[LegalHold]):
    conversations = serializers.SerializerMethodField()
    people = serializers.SerializerMethodField()
    matter = serializers.CharField()
    reason = serializers.CharField()
    release_reason = serializers.CharField(allow_null=True)
    placed_by = serializers.UUIDField(source="placed_by_id")
    release_asked_by = serializers.UUIDField(source="release_asked_by_id", allow_null=True)
    released_by = serializers.UUIDField(source="released_by_id", allow_null=True)
    in_force = serializers.BooleanField(read_only=True)

    class Meta:
        model = LegalHold
        fields = [
            "id", "in_force", "matter", "reason", "conversations", "people", "placed_by",
            "placed_at", "release_reason", "release_asked_by", "release_asked_at", "released_by",
            "released_at",
        ]  # fmt: skip

    def get_conversations(self, hold: LegalHold) -> list[UUID]:
        return [item.conversation_id for item in hold.held_conversations.all()]

    def get_people(self, hold: LegalHold) -> list[UUID]:
        return [item.person_id for item in hold.held_people.all()]


class HoldsAnswer(serializers.Serializer[Any]):
    holds = HoldAnswer(many=True)


class HoldsView(APIView):
    @extend_schema(operation_id="holds", responses=answers({200: HoldsAnswer}, 401, 403))
    def get(self, request: Request) -> Response:
        """The organization's legal holds, those in force first."""
        return Response({"holds": HoldAnswer(holds.holds(user_of(request)), many=True).data})

    @extend_schema(
        operation_id="place_hold",
        request=HoldIn,
        responses=answers({201: HoldAnswer}, 400, 401, 403, 413, 415),
    )
    def post(self, request: Request) -> Response:
        """Place a legal hold: from now on nothing that it covers is destroyed."""
        placed = services.place_hold(user_of(request), **parsed(HoldIn, request))
        return Response(HoldAnswer(placed).data, status=201)


class HoldView(APIView):
    @extend_schema(operation_id="hold", responses=answers({200: HoldAnswer}, 401, 403, 404))
    def get(self, request: Request, hold: UUID) -> Response:
        """One legal hold."""
        return Response(HoldAnswer(holds.hold(user_of(request), hold)).data)


_CHANGED = answers({200: HoldAnswer}, 400, 401, 403, 404, 409, 413, 415)


class AskReleaseView(APIView):
    @extend_schema(operation_id="ask_release", request=ReasonIn, responses=_CHANGED)
    def post(self, request: Request, hold: UUID) -> Response:
        """Ask to release a hold. It stays in force until another officer agrees."""
        given = parsed(ReasonIn, request)
        asked = services.ask_release(user_of(request), hold, reason=given["reason"])
        return Response(HoldAnswer(asked).data)


_DECIDED = answers({200: HoldAnswer}, 401, 403, 404, 409)


class ReleaseView(APIView):
    @extend_schema(operation_id="release_hold", request=None, responses=_DECIDED)
    def post(self, request: Request, hold: UUID) -> Response:
        """Agree to the release that another officer asked for."""
        return Response(HoldAnswer(services.release_hold(user_of(request), hold)).data)


class KeepView(APIView):
    @extend_schema(operation_id="keep_hold", request=None, responses=_DECIDED)
    def post(self, request: Request, hold: UUID) -> Response:
        """Refuse the release that was asked for, or take one's own request back."""
        return Response(HoldAnswer(services.keep_hold(user_of(request), hold)).data)
