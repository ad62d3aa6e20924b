"""The REST API of the log. Each method: parse, one call, respond."""

import re
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.accounts.identity import user_of
from app.accounts.rest import StrictSerializer
from app.accounts.schema import answers
from app.compliance.log import access, serializers, services
from app.errors import NotFound

_BYTES = "application/octet-stream"
# A tile never changes. Private: whoever may have it must be signed in.
_FOR_EVER = "private, max-age=31536000, immutable"


class _AsItIs(BaseContentNegotiation):
    """The specification names the type of these answers, whatever the client prefers."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        return next(iter(parsers))

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type


class StateView(APIView):
    @extend_schema(
        operation_id="log_state",
        responses=answers({200: serializers.LogStateAnswer}, 401, 409),
    )
    def get(self, request: Request) -> Response:
        """The organization's last signed checkpoint, its key, and how fresh the log is."""
        user = user_of(request)
        prefix = f"/api/audit/logs/{user.organization_id}"
        return Response(serializers.state_document(access.state(user), prefix))


class EntriesView(APIView):
    @extend_schema(
        operation_id="log_entries",
        parameters=[serializers.EntriesRequest],
        responses=answers({200: serializers.LogEntriesAnswer}, 400, 401, 403, 409),
    )
    def get(self, request: Request) -> Response:
        """The signed log by index: leaves for anyone of the organization, what they stand for
        for officers."""
        given = _query(serializers.EntriesRequest, request)
        user, start, limit = user_of(request), given["start"], given["limit"]
        if given["bodies"]:
            size, entries = services.read_entries(user, start, limit)
            shown = [serializers.body_document(entry) for entry in entries]
        else:
            size, leaves = access.leaves(user, start, limit)
            shown = [serializers.leaf_document(*leaf) for leaf in leaves]
        return Response(serializers.entries_document(size, start + limit, shown))


class ProofView(APIView):
    @extend_schema(
        operation_id="log_proof",
        parameters=[serializers.ProofRequest],
        responses=answers({200: serializers.ProofAnswer}, 400, 401, 404, 409),
    )
    def get(self, request: Request) -> Response:
        """That a leaf is in a tree, or that a tree begins with a smaller one."""
        given, user = _query(serializers.ProofRequest, request), user_of(request)
        if "first" in given:
            proof = access.consistency(user, given["first"], given.get("second"))
        else:
            hash_ = given.get("leaf_hash")
            proof = access.inclusion(
                user,
                index=given.get("index"),
                leaf_hash=None if hash_ is None else bytes.fromhex(hash_),
                size=given.get("size"),
            )
        return Response(serializers.proof_document(proof))


class LogReceiptView(APIView):
    @extend_schema(
        operation_id="log_receipt",
        responses=answers({200: serializers.LogReceiptAnswer}, 401, 404),
    )
    def get(self, request: Request, leaf_hash: str) -> Response:
        """Whether the entry with this leaf hash is in the log, with the proof. 404: we do not
        know it; somebody who holds such a receipt of ours has caught us."""
        if not re.fullmatch("[0-9a-f]{64}", leaf_hash):
            raise NotFound
        found = access.receipt(user_of(request), bytes.fromhex(leaf_hash))
        return Response(serializers.receipt_document(found))


def _query(serializer: type[StrictSerializer], request: Request) -> dict[str, Any]:
    given = serializer(data=request.query_params.dict())
    given.is_valid(raise_exception=True)
    checked: dict[str, Any] = given.validated_data
    return checked


class LogCheckpointView(APIView):
    content_negotiation_class = _AsItIs

    @extend_schema(
        operation_id="log_checkpoint",
        responses={(200, "text/plain"): OpenApiTypes.STR, **answers({}, 401, 404, 409)},
    )
    def get(self, request: Request, organization: UUID) -> HttpResponse:
        """The last signed checkpoint, a C2SP tlog-checkpoint."""
        note = access.checkpoint(user_of(request), organization)
        headers = {"Cache-Control": "no-store"}
        return HttpResponse(note, content_type="text/plain; charset=utf-8", headers=headers)


class LogTileView(APIView):
    content_negotiation_class = _AsItIs

    @extend_schema(
        operation_id="log_tile",
        responses={(200, _BYTES): OpenApiTypes.BINARY, **answers({}, 401, 404, 409)},
    )
    def get(self, request: Request, organization: UUID, tile: str) -> HttpResponse:
        """A tile of hashes, `<L>/<N>[.p/<W>]`, or of entries, `entries/<N>[.p/<W>]` (C2SP
        tlog-tiles)."""
        found = access.tile(user_of(request), organization, tile)
        return HttpResponse(found, content_type=_BYTES, headers={"Cache-Control": _FOR_EVER})
