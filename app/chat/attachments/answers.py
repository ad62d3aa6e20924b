"""A file as an HTTP answer that a browser will not run, cannot cache, and gets part by part."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

# Cloud Run refuses an answer above 32 MiB that announces its length; without, it is chunked.
_LARGEST_ANNOUNCED = 32 * 1024 * 1024 - 64 * 1024


def file_answer(
    request: HttpRequest, parts: Iterator[bytes], *, name: str, size: int, kind: str
) -> HttpResponseBase:
    """The file, to be saved. The first part is opened here: what cannot be, is an error's answer.

    A later part that cannot be opened breaks the connection: nobody takes half for the whole.
    """
    rest = _after(next(parts), parts)
    # Django reads a synchronous stream to its end before an ASGI server sends a byte of it.
    stream = _in_threads(rest) if isinstance(request, ASGIRequest) else rest
    response = StreamingHttpResponse(stream, content_type=kind)
    if size <= _LARGEST_ANNOUNCED:
        response["Content-Length"] = str(size)
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return _guarded(response)


def picture_answer(content: bytes, *, kind: str) -> HttpResponseBase:
    """A picture that we made ourselves, to be shown."""
    return _guarded(HttpResponse(content, content_type=kind))


def _guarded(response: HttpResponseBase) -> HttpResponseBase:
    response["Cache-Control"] = "private, no-store"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _after(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


async def _in_threads(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (part := await sync_to_async(_next)(parts)) is not None:
        yield part


def _next(parts: Iterator[bytes]) -> bytes | None:
    return next(parts, None)
