"""A file as an HTTP answer, read in chunks under ASGI and WSGI alike.

Django reads a synchronous stream to its end before an ASGI server sends a byte of it.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from app.compliance.services.downloads import Download

_CHUNK = 1 << 18


def file_answer(request: HttpRequest, download: Download) -> HttpResponseBase:
    """The file as an attachment that nobody caches."""
    response: HttpResponseBase
    if isinstance(request, ASGIRequest):
        response = StreamingHttpResponse(_chunks(download.path), content_type="application/zip")
        response["Content-Length"] = str(download.size)
        response["Content-Disposition"] = f'attachment; filename="{download.name}"'
    else:
        response = FileResponse(
            download.path.open("rb"), as_attachment=True, filename=download.name
        )
    response["Cache-Control"] = "no-store"
    return response


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    file = await sync_to_async(_opened)(path)
    try:
        while chunk := await sync_to_async(file.read)(_CHUNK):
            yield chunk
    finally:
        await sync_to_async(file.close)()


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")
