"""The REST API of officers' searches. Each method: parse, one call, respond."""

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
from app.audit.leaves import timestamp
from app.chat.search.finding import LATEST
from app.chat.search.query import LONGEST
from app.chat.search.serializers import FoundOut, PlaceField
from app.compliance.models import OfficerSearch
from app.compliance.services.reasons import LONGEST_MATTER, LONGEST_REASON
from app.compliance.services.searches import begin_search, search_page


class BeginSearch(StrictSerializer):
    query = serializers.CharField(max_length=LONGEST)
    matter = serializers.CharField(max_length=LONGEST_MATTER)
    reason = serializers.CharField(max_length=LONGEST_REASON)


class SearchQuery(StrictSerializer):
    next = PlaceField(required=False)


class SearchOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    closes_at = serializers.CharField()

    def to_representation(self, search: OfficerSearch) -> dict[str, Any]:
        return {"id": str(search.pk), "closes_at": timestamp(search.closes_at)}


class SearchesView(APIView):
    @extend_schema(
        request=BeginSearch, responses=answers({201: SearchOut}, 400, 401, 403, 404, 409, 413, 415)
    )
    def post(self, request: Request) -> Response:
        """Say what to look for, and why; nothing is shown yet."""
        search = begin_search(user_of(request), **parsed(BeginSearch, request))
        return Response(SearchOut(search).data, status=201)


class SearchView(APIView):
    @extend_schema(
        parameters=[SearchQuery], responses=answers({200: FoundOut}, 400, 401, 403, 404, 409, 503)
    )
    def get(self, request: Request, search: UUID) -> Response:
        """A page of what was found. Showing it is an entry."""
        query = SearchQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        before = query.validated_data.get("next", LATEST)
        shown = search_page(user_of(request), search, before=before)
        return Response(FoundOut((shown.page, shown.wanted.criteria.phrases)).data)
