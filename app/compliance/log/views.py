"""The REST API of the log. Each method: parse, one call, respond."""

from collections.abc import Iterable
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from app.accounts.identity import user_of
from app.accounts.schema import answers
from app.compliance.log import access

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
