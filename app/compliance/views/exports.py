"""The REST API of exports. Each method: parse, one call, respond."""

from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.accounts.identity import user_of
from app.accounts.rest import parsed
from app.accounts.schema import answers
from app.compliance import access, serializers, services
from app.compliance.downloading import file_answer, is_resumed
from app.compliance.serializers import ExportAnswer, scope_from


class ExportsView(APIView):
    @extend_schema(
        operation_id="exports",
        responses=answers({200: serializers.ExportsAnswer}, 401, 403),
    )
    def get(self, request: Request) -> Response:
        """The organization's exports, newest first."""
        found = access.exports(user_of(request))
        return Response({"exports": ExportAnswer(found, many=True).data})

    @extend_schema(
        operation_id="request_export",
        request=serializers.ExportRequestIn,
        responses=answers({201: ExportAnswer}, 400, 401, 403, 413, 415),
    )
    def post(self, request: Request) -> Response:
        """Ask for an export. Another officer must approve it."""
        given = parsed(serializers.ExportRequestIn, request)
        asked = services.request_export(
            user_of(request),
            scope=scope_from(given),
            **{name: given[name] for name in ("reason", "formats", "recipient")},
        )
        return Response(ExportAnswer(asked).data, status=201)


class PreviewView(APIView):
    @extend_schema(
        operation_id="preview_export",
        request=serializers.ScopeRequest,
        responses=answers({200: serializers.PreviewAnswer}, 400, 401, 403, 413, 415),
    )
    def post(self, request: Request) -> Response:
        """How much an export of this scope would hold now. The look is recorded."""
        given = parsed(serializers.ScopeRequest, request)
        preview = services.preview_export(user_of(request), scope_from(given))
        return Response(serializers.PreviewAnswer(preview).data)


class ExportView(APIView):
    @extend_schema(operation_id="export", responses=answers({200: ExportAnswer}, 401, 403, 404))
    def get(self, request: Request, export: UUID) -> Response:
        """One export, with its progress."""
        return Response(ExportAnswer(access.export(user_of(request), export)).data)


_DECIDED = answers({200: ExportAnswer}, 401, 403, 404, 409)


class ApproveView(APIView):
    @extend_schema(operation_id="approve_export", request=None, responses=_DECIDED)
    def post(self, request: Request, export: UUID) -> Response:
        """Approve what another officer asked for; the package is built at once."""
        return Response(ExportAnswer(services.approve_export(user_of(request), export)).data)


class RefuseView(APIView):
    @extend_schema(operation_id="refuse_export", request=None, responses=_DECIDED)
    def post(self, request: Request, export: UUID) -> Response:
        """Refuse what another officer asked for."""
        return Response(ExportAnswer(services.refuse_export(user_of(request), export)).data)


class WithdrawView(APIView):
    @extend_schema(operation_id="withdraw_export", request=None, responses=_DECIDED)
    def post(self, request: Request, export: UUID) -> Response:
        """Take back my own request before it is decided."""
        return Response(ExportAnswer(services.withdraw_export(user_of(request), export)).data)


class DownloadView(APIView):
    @extend_schema(
        operation_id="download_export",
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
            416: None,
            **answers({}, 401, 403, 404, 409),
        },
    )
    def get(self, request: Request, export: UUID) -> HttpResponseBase:
        """The finished package. Each download is recorded before its first byte.

        A cut one goes on with `Range` (and `If-Range`: the ETag), for 24 hours without another
        record.
        """
        resumed = is_resumed(request._request)
        download = services.open_download(user_of(request), export, resumed=resumed)
        return file_answer(request._request, download)
