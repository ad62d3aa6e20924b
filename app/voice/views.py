"""The REST API of voice: looking. What changes a room needs a socket to hold the place."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.accounts.identity import user_of
from app.accounts.rest import parsed
from app.accounts.schema import answers
from app.voice import access, services
from app.voice import serializers as shapes


class RoomView(APIView):
    @extend_schema(responses=answers({200: shapes.RoomOut}, 401, 404))
    def get(self, request: Request, conversation: UUID) -> Response:
        """Who is in the conversation's voice room now."""
        return Response(shapes.RoomOut(access.room(user_of(request), conversation)).data)


class PolicyView(APIView):
    @extend_schema(responses=answers({200: shapes.PolicyOut}, 401))
    def get(self, request: Request) -> Response:
        """Whether the organization says that calls are recorded or monitored."""
        return Response(shapes.PolicyOut(access.policy(user_of(request))).data)

    @extend_schema(
        request=shapes.PolicyIn,
        responses=answers({200: shapes.PolicyOut}, 400, 401, 403, 413, 415),
    )
    def put(self, request: Request) -> Response:
        """Say it (administrators). Whoever is in a call is told at once, by `voice.notice`."""
        asked = parsed(shapes.PolicyIn, request)
        return Response(shapes.PolicyOut(services.set_policy(by=user_of(request), **asked)).data)


class CallsView(APIView):
    @extend_schema(
        operation_id="conversations_calls_list", responses=answers({200: shapes.CallsOut}, 401, 404)
    )
    def get(self, request: Request, conversation: UUID) -> Response:
        """The conversation's last calls and who took part, the latest first."""
        found = access.calls(user_of(request), conversation)
        return Response({"calls": shapes.CallOut(found, many=True).data})
