"""Files over REST: announce, send in parts, complete; fetch."""

import logging
from uuid import UUID

import msgspec
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.accounts.identity import user_of
from app.accounts.rest import parsed
from app.accounts.schema import answers
from app.chat import access, services
from app.chat import serializers as shapes
from app.chat.attachments import previews
from app.chat.attachments.answers import file_answer, picture_answer
from app.chat.attachments.content import open_attachment, open_preview
from app.chat.attachments.kinds import ANYTHING
from app.encryption.fields import Fault, SealError
from app.encryption.stream import PART_BYTES, Layout
from app.errors import NotFound, Unavailable

logger = logging.getLogger(__name__)

_FILE = {(200, "application/octet-stream"): OpenApiTypes.BINARY}
_PICTURE = {(200, previews.TYPE): OpenApiTypes.BINARY}


class UploadsView(APIView):
    @extend_schema(
        request=shapes.BeginUpload,
        responses=answers({201: shapes.UploadOut}, 400, 401, 403, 404, 409, 413, 415, 503),
    )
    def post(self, request: Request, conversation: UUID) -> Response:
        """Announce a file. Announced again under the same id, `stored` says what has arrived."""
        asked = parsed(shapes.BeginUpload, request)
        upload = services.begin_upload(
            uploader=user_of(request),
            conversation_id=conversation,
            attachment_id=asked["id"],
            name=asked["name"],
            size=asked["size"],
        )
        parts = Layout(upload.attachment.size).parts
        told = {"id": str(upload.attachment.pk), "part_bytes": PART_BYTES, "parts": parts}
        return Response(told | {"stored": upload.stored}, status=201)


class PartView(APIView):
    @extend_schema(
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses=answers({204: None}, 400, 401, 403, 404, 503),
    )
    def put(self, request: Request, attachment: UUID, part: int) -> Response:
        """One part: `part_bytes` bytes, the last one what remains. The same again is fine."""
        # Past the parsers: these are bytes, and a byte too many is enough to refuse them.
        body = request._request.read(PART_BYTES + 1)
        services.store_part(
            uploader=user_of(request), attachment_id=attachment, index=part, part=body
        )
        return Response(status=204)


class CompletionView(APIView):
    @extend_schema(
        request=None,
        responses=answers({200: shapes.AttachmentOut}, 400, 401, 403, 404, 409, 413, 415, 503),
    )
    def post(self, request: Request, attachment: UUID) -> Response:
        """All parts are sent: says what the file is, as we read it. It can be sent now."""
        done = services.complete_upload(uploader=user_of(request), attachment_id=attachment)
        return Response(msgspec.to_builtins(done))


class AttachmentView(APIView):
    @extend_schema(responses={**_FILE, **answers({}, 401, 404, 503)})
    def get(self, request: Request, attachment: UUID) -> HttpResponseBase:
        """The file's bytes. That I fetched them is in the trail before the first one."""
        found = services.open_download(user_of(request), attachment)
        told = access.shown(found)
        try:
            return file_answer(
                request._request,
                open_attachment(found),
                name=told.name or "file",
                size=found.size,
                kind=told.type or ANYTHING,
            )
        except SealError as error:
            raise _unreadable(error, attachment) from error

    @extend_schema(responses=answers({204: None}, 401, 403, 404, 409, 503))
    def delete(self, request: Request, attachment: UUID) -> Response:
        """Take back a file that I have not sent."""
        services.cancel_upload(uploader=user_of(request), attachment_id=attachment)
        return Response(status=204)


class PreviewView(APIView):
    @extend_schema(responses={**_PICTURE, **answers({}, 401, 404, 503)})
    def get(self, request: Request, attachment: UUID) -> HttpResponseBase:
        """A small WebP of a picture, without the original's metadata."""
        found = access.attachment_for(user_of(request), attachment)
        if access.shown(found).width is None:
            raise NotFound
        try:
            return picture_answer(open_preview(found), kind=previews.TYPE)
        except SealError as error:
            raise _unreadable(error, attachment) from error


def _unreadable(error: SealError, attachment: UUID) -> NotFound | Unavailable:
    if error.erased:
        return NotFound("This file was erased.")
    told = {"attachment": str(attachment), "fault": str(error.code)}
    logger.error("attachment_unreadable", extra=told)
    if error.code == Fault.KEY_UNAVAILABLE:
        return Unavailable()
    return Unavailable("This file cannot be opened: it was damaged. Tell whoever runs Parley.")
