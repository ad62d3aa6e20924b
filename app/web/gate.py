"""Nobody is let in while erased keys are alive: see `app.encryption.gate`."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

from app.accounts.rest import error_document
from app.encryption.gate import require_open
from app.errors import Unavailable
from app.web.views.errors import refused


class GateMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            require_open()
        except Unavailable as refusal:
            return closed(request, refusal)
        return self.get_response(request)


def closed(request: HttpRequest, error: Unavailable, retry_after: int = 30) -> HttpResponse:
    """503, as whoever asks understands it. `retry_after`: seconds."""
    if request.path.startswith("/api/"):
        document = error_document(error.code, error.message)
        response: HttpResponse = JsonResponse(document, status=error.status)
    else:
        response = refused(request, error)
    response["Retry-After"] = str(retry_after)
    return response
