"""The REST API of voice: looking. What changes a room needs a socket to hold the place."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.accounts.identity import user_of
from app.accounts.schema import answers
from app.voice import access
from app.voice import serializers as shapes


class RoomView(APIView):
    @extend_schema(responses=answers({200: shapes.RoomOut}, 401, 404))
    def get(self, request: Request, conversation: UUID) -> Response:
        """Who is in the conversation's voice room now."""
        return Response(shapes.RoomOut(access.room(user_of(request), conversation)).data)


class CallsView(APIView):
    @extend_schema(
        operation_id="conversations_calls_list", responses=answers({200: shapes.CallsOut}, 401, 404)
    )
    def get(self, request: Request, conversation: UUID) -> Response:
        """The conversation's last calls and who took part, the latest first."""
        found = access.calls(user_of(request), conversation)
        return Response({"calls": shapes.CallOut(found, many=True).data})
