"""The search's REST API. Searching is a POST: what is looked for stays out of every log."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.accounts.identity import user_of
from app.accounts.rest import parsed
from app.accounts.schema import answers
from app.chat.search import access, switch
from app.chat.search import serializers as shapes
from app.chat.search.access import Wanted
from app.chat.search.finding import LATEST
from app.chat.search.query import parse


class SearchView(APIView):
    @extend_schema(
        request=shapes.Search,
        responses=answers({200: shapes.FoundOut}, 400, 401, 403, 404, 409, 413, 415, 503),
    )
    def post(self, request: Request) -> Response:
        """Search my conversations: words, "phrases", from:, in:, before:, after:."""
        user, asked = user_of(request), parsed(shapes.Search, request)
        query, zone = parse(asked["query"]), asked.get("zone", UTC)
        wanted = narrowed(access.wanted_by(user, query, zone), asked)
        page = access.search(user, wanted, before=asked.get("next", LATEST), limit=asked["limit"])
        return Response(shapes.FoundOut((page, wanted.criteria.phrases)).data)


class IndexView(APIView):
    @extend_schema(responses=answers({200: shapes.IndexOut}, 401, 403))
    def get(self, request: Request) -> Response:
        """Whether the organization keeps an index, and how far it is (administrators)."""
        return Response(shapes.IndexOut(switch.progress(user_of(request))).data)

    @extend_schema(
        request=shapes.SwitchIndex,
        responses=answers({200: shapes.IndexOut}, 400, 401, 403, 404, 409, 413, 415),
    )
    def put(self, request: Request) -> Response:
        """Keep an index, or delete it and keep none (administrators)."""
        user, asked = user_of(request), parsed(shapes.SwitchIndex, request)
        switch.switch_index(by=user, on=asked["on"])
        return Response(shapes.IndexOut(switch.progress(user)).data)


def narrowed(wanted: Wanted, asked: dict[str, Any]) -> Wanted:
    """What the fields of a request say besides its query: both must hold."""
    criteria = wanted.criteria
    criteria = replace(
        criteria,
        authors=_both(criteria.authors, asked.get("people")),
        since=max(filter(None, [criteria.since, asked.get("since")]), default=None),
        until=min(filter(None, [criteria.until, asked.get("until")]), default=None),
    )
    return Wanted(criteria, _both(wanted.conversations, asked.get("conversations")))


def _both(one: frozenset[UUID] | None, other: Collection[UUID] | None) -> frozenset[UUID] | None:
    if not other:
        return one
    return frozenset(other) if one is None else one & frozenset(other)
