"""The REST API of the officer's look at the trail. Each method: parse, one call, respond."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.accounts.identity import user_of
from app.accounts.schema import answers
from app.audit import access as audit
from app.compliance import serializers, services


class TrailView(APIView):
    @extend_schema(
        operation_id="trail",
        parameters=[serializers.TrailRequest],
        responses=answers({200: serializers.TrailAnswer}, 400, 401, 403),
    )
    def get(self, request: Request) -> Response:
        """The organization's trail, newest first. The look is recorded, with its filter."""
        given = serializers.TrailRequest(data=request.query_params.dict())
        given.is_valid(raise_exception=True)
        page = services.look_at_trail(
            user_of(request),
            serializers.filter_from(given.validated_data),
            before_id=given.validated_data.get("before"),
            limit=given.validated_data["limit"],
        )
        return Response(serializers.trail_document(page))


class EntryView(APIView):
    @extend_schema(
        operation_id="trail_entry",
        responses=answers({200: serializers.EntryAnswer}, 401, 403, 404),
    )
    def get(self, request: Request, entry: int) -> Response:
        """One entry of the trail. The look is recorded."""
        found = services.look_at_entry(user_of(request), entry)
        index = audit.leaf_indexes([found.pk]).get(found.pk)
        return Response(serializers.entry_document(found, index))
