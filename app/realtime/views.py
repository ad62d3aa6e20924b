"""The ticket with which a page or a program opens its socket."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.realtime.services import TICKET_SECONDS, issue_ticket


class TicketSerializer(serializers.Serializer[object]):
    ticket = serializers.CharField()
    expires_in = serializers.IntegerField()


class TicketView(APIView):
    @extend_schema(request=None, responses={201: TicketSerializer})
    def post(self, request: Request) -> Response:
        """Issue a ticket: single use, seconds to live, bound to session and origin."""
        ticket = issue_ticket(
            user=request.user.pk,
            organization=request.user.organization_id,  # type: ignore[union-attr]
            session=request.auth_session.pk,  # type: ignore[attr-defined]
            origin=request.headers.get("Origin", ""),
        )
        return Response({"ticket": ticket, "expires_in": TICKET_SECONDS}, status=201)
