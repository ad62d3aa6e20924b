"""The REST API of officers' reading. Each method: parse, one call, respond."""

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
from app.compliance import services
from app.compliance.access.readings import PAGE, Seen
from app.compliance.disclosed_file import opened_file
from app.compliance.models import Reading
from app.compliance.views import fields

MOST_MESSAGES = 200
_BIGGEST_OFFSET = 2**63 - 1


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
    matter = fields.matter()
    reason = fields.reason()


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
