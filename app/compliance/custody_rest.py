"""The REST API of holds, readings and erasures. Each method: parse, one call, respond."""

from typing import Any
from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.accounts.identity import user_of
from app.accounts.rest import StrictSerializer, parsed
from app.accounts.schema import answers
from app.compliance import custody, services
from app.compliance.custody import PAGE, Seen
from app.compliance.custody_files import opened_file
from app.compliance.models import Erasure, ErasureState, LegalHold, Reading
from app.compliance.services.holds import MOST_HELD
from app.compliance.services.reasons import LONGEST_MATTER, LONGEST_REASON

MOST_MESSAGES = 200
_BIGGEST_OFFSET = 2**63 - 1


def _reason() -> serializers.CharField:
    return serializers.CharField(
        max_length=LONGEST_REASON, help_text="Sealed; who decides reads it."
    )


def _matter() -> serializers.CharField:
    return serializers.CharField(
        max_length=LONGEST_MATTER, help_text="What it belongs to, such as a case number. Sealed."
    )


# Holds


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
    matter = _matter()
    reason = _reason()


class ReasonIn(StrictSerializer):
    reason = _reason()


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
        return Response({"holds": HoldAnswer(custody.holds(user_of(request)), many=True).data})

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
        return Response(HoldAnswer(custody.hold(user_of(request), hold)).data)


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


# Readings


class OfficerConversationAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # declared, not the attribute
    members = serializers.IntegerField()
    messages = serializers.IntegerField()
    last_at = serializers.DateTimeField(allow_null=True)
    held = serializers.BooleanField(help_text="Whether a legal hold keeps it.")


class OfficerConversationsAnswer(serializers.Serializer[Any]):
    conversations = OfficerConversationAnswer(many=True)


class ReadingIn(StrictSerializer):
    conversation = serializers.UUIDField()
    matter = _matter()
    reason = _reason()


class ReadingAnswer(serializers.ModelSerializer[Reading]):
    conversation = serializers.UUIDField(source="conversation_id")
    matter = serializers.CharField()
    reason = serializers.CharField()

    class Meta:
        model = Reading
        fields = ["id", "conversation", "matter", "reason", "opened_at", "closes_at"]


class ReadingRequest(StrictSerializer):
    before = serializers.IntegerField(
        required=False, min_value=1, max_value=_BIGGEST_OFFSET, help_text="An offset."
    )
    limit = serializers.IntegerField(min_value=1, max_value=MOST_MESSAGES, default=PAGE)


class VersionAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    revision = serializers.IntegerField()
    kind = serializers.CharField()
    editor = serializers.UUIDField()
    at = serializers.DateTimeField()
    entry = serializers.IntegerField(help_text="Its entry in the trail.")
    seen = serializers.ChoiceField(choices=[item.value for item in Seen])
    text = serializers.CharField(allow_null=True)


class FileAnswer(serializers.Serializer[Any]):
    """Name, type and SHA-256 are null where the file was erased or cannot be read."""

    id = serializers.UUIDField()
    size = serializers.IntegerField()
    name = serializers.CharField(allow_null=True)
    type = serializers.CharField(allow_null=True)
    sha256 = serializers.CharField(allow_null=True)


class DisclosedAnswer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    offset = serializers.IntegerField()
    author = serializers.UUIDField()
    thread = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()
    versions = VersionAnswer(many=True)
    files = FileAnswer(many=True)


class DisclosedPageAnswer(serializers.Serializer[Any]):
    messages = DisclosedAnswer(many=True)
    more = serializers.BooleanField(help_text="Whether there are earlier ones.")


class OfficerConversationsView(APIView):
    @extend_schema(
        operation_id="officer_conversations",
        responses=answers({200: OfficerConversationsAnswer}, 401, 403),
    )
    def get(self, request: Request) -> Response:
        """Every conversation of the organization, by name. The look is recorded."""
        found = services.conversation_list(user_of(request))
        return Response({"conversations": OfficerConversationAnswer(found, many=True).data})


class ReadingsView(APIView):
    @extend_schema(
        operation_id="open_conversation",
        request=ReadingIn,
        responses=answers({201: ReadingAnswer}, 400, 401, 403, 404, 413, 415),
    )
    def post(self, request: Request) -> Response:
        """Open a conversation to read it, with a reason that serves for an hour."""
        reading = services.open_conversation(user_of(request), **parsed(ReadingIn, request))
        return Response(ReadingAnswer(reading).data, status=201)


class ReadingView(APIView):
    @extend_schema(
        operation_id="read_conversation",
        parameters=[ReadingRequest],
        responses=answers({200: DisclosedPageAnswer}, 400, 401, 403, 404, 409, 503),
    )
    def get(self, request: Request, reading: UUID) -> Response:
        """Messages in every version, the last ones first. Each page is recorded as it is read."""
        given = ReadingRequest(data=request.query_params.dict())
        given.is_valid(raise_exception=True)
        page = services.read_page(user_of(request), reading, **given.validated_data)
        return Response(DisclosedPageAnswer(page).data)


class ReadingFileView(APIView):
    @extend_schema(
        operation_id="read_file",
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            **answers({}, 401, 403, 404, 409, 503),
        },
    )
    def get(self, request: Request, reading: UUID, attachment: UUID) -> HttpResponseBase:
        """A file of the conversation, of a deleted message too. Recorded before its first byte."""
        found = services.open_file(user_of(request), reading, attachment)
        return opened_file(request._request, found)


# Erasures


class MonthsIn(StrictSerializer):
    conversation = serializers.UUIDField()
    first = serializers.DateField(
        allow_null=True,
        default=None,
        help_text="The first day of a month; null: from the beginning.",
    )
    last = serializers.DateField(help_text="The first day of the last month, erased too.")


class ErasureIn(MonthsIn):
    reason = _reason()


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
        found = custody.erasures(user_of(request))
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
        return Response(ErasureAnswer(custody.erasure(user_of(request), erasure)).data)


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
