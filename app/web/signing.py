"""Answers wait for the checkpoint of the grave entries behind them.

A middleware, so that no view can forget it. See docs/decisions on grave actions.
"""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse

from app.accounts.rest import error_document
from app.audit import signing
from app.errors import NotSigned
from app.web.views.errors import refused

RECORDED = (
    "This is done and recorded, but the record is not signed yet. "
    "If that lasts for more than a minute, tell whoever operates Parley."
)


class GraveMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with signing.collecting() as graves:
            response = self.get_response(request)
        late = signing.wait(graves)
        if not late:
            return response
        # A redirect shows nothing: what it leads to will be asked for, and held back, by itself.
        shows = any(grave.action.is_disclosure for grave in late)
        if shows and not 300 <= response.status_code < 400:
            response.close()
            return _withheld(request)
        return _recorded(request, response)


def _withheld(request: HttpRequest) -> HttpResponse:
    """503: the look is recorded, and what was looked for is not shown."""
    error = NotSigned()
    if request.path.startswith("/api/"):
        document = error_document(error.code, error.message)
        response: HttpResponse = JsonResponse(document, status=error.status)
    else:
        response = refused(request, error)
    response["Retry-After"] = str(error.retry_after)
    return response


def _recorded(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The change stands: a program gets 202 instead of 200, a person is told on the next page."""
    if request.path.startswith("/api/"):
        if 200 <= response.status_code < 300:
            response.status_code = 202
    else:
        messages.warning(request, RECORDED)
    return response
