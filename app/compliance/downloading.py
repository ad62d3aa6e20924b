"""A file as an HTTP answer, whole or from where a cut connection left it (RFC 9110, section 14).

Read in chunks under ASGI and WSGI alike: Django reads a synchronous stream to its end before an
ASGI server sends a byte of it.
"""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from app.compliance.services.downloads import Download

_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})", re.ASCII)


def is_resumed(request: HttpRequest) -> bool:
    """Does the request go on with a download, rather than begin one?"""
    wanted = _RANGE.fullmatch(request.headers.get("Range", ""))
    return wanted is not None and int(wanted[1]) > 0


def file_answer(request: HttpRequest, download: Download) -> HttpResponseBase:
    """The file, or one range of it, as an attachment that nobody caches.

    Its entity tag is its SHA-256, so that a range is never put to another package's beginning.
    """
    first, last = 0, download.size - 1
    tag = f'"{download.sha256}"'
    wanted = _RANGE.fullmatch(request.headers.get("Range", ""))
    if wanted and request.headers.get("If-Range", tag) == tag:
        first, last = int(wanted[1]), min(int(wanted[2] or last), last)
        if first > last:
            refused = HttpResponse(status=416)
            refused["Content-Range"] = f"bytes */{download.size}"
            return refused
    chunks = _chunks if isinstance(request, ASGIRequest) else _read
    response = StreamingHttpResponse(
        chunks(download.path, first, last - first + 1), content_type="application/octet-stream"
    )
    if wanted and (first, last) != (0, download.size - 1):
        response.status_code = 206
        response["Content-Range"] = f"bytes {first}-{last}/{download.size}"
    response["Content-Length"] = str(last - first + 1)
    response["Content-Disposition"] = f'attachment; filename="{download.name}"'
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = tag
    response["Cache-Control"] = "no-store"
    return response


def _read(path: Path, first: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(first)
        while length and (chunk := file.read(min(_CHUNK, length))):
            length -= len(chunk)
            yield chunk


async def _chunks(path: Path, first: int, length: int) -> AsyncIterator[bytes]:
    file = await sync_to_async(_opened)(path, first)
    try:
        while length and (chunk := await sync_to_async(file.read)(min(_CHUNK, length))):
            length -= len(chunk)
            yield chunk
    finally:
        await sync_to_async(file.close)()


def _opened(path: Path, first: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(first)
    return file
