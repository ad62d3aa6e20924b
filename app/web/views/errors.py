"""What people and programs see when an address answers with an error.

Below /api/ it is the error document of the REST API; elsewhere a page that says what
happened and what to do.
"""

import sys
from http import HTTPStatus

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from app.accounts.rest import error_response, note
from app.audit.context import current_origin
from app.errors import Denied, DomainError, RateLimited

_WORDS = {
    400: ("That request was not understood", "Go back, load the page again and retry."),
    403: ("This is not for your role", "Ask an administrator if you think that it should be."),
    404: ("There is nothing here", "Or not for you: conversations show to their members alone."),
    409: ("That could not be done", "Load the page again and retry."),
    413: ("That was too large", "Send less at once."),
    429: ("Too many attempts", "Wait a moment, then try again."),
    500: ("Something broke on our side", "It has been noted. Try again in a moment."),
    503: ("This cannot be done right now", "Try again in a moment."),
}
_STALE = (
    "The page was open for too long",
    "Nothing was changed. Go back, load the page again and retry.",
)


def refused(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The page for a service's refusal."""
    if isinstance(error, Denied):
        note(request)
    heading = _WORDS.get(error.status, _WORDS[400])[0]
    response = _problem(request, error.status, heading, error.message)
    if isinstance(error, RateLimited):
        response["Retry-After"] = str(error.retry_after)
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, HTTPStatus.BAD_REQUEST)


def denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, HTTPStatus.FORBIDDEN)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, HTTPStatus.NOT_FOUND)


def broken(request: HttpRequest) -> HttpResponse:
    """A database that is away, or has too much to do, is no fault of what was asked."""
    if isinstance(sys.exc_info()[1], (OperationalError, InterfaceError)):
        return _answer(request, HTTPStatus.SERVICE_UNAVAILABLE)
    return _answer(request, HTTPStatus.INTERNAL_SERVER_ERROR)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The token was missing, or belonged to somebody who has signed out since."""
    if _is_api(request):
        return error_response(403)
    return _problem(request, 403, *_STALE)


def _answer(request: HttpRequest, status: int) -> HttpResponse:
    if _is_api(request):
        return error_response(status)
    return _problem(request, status, *_WORDS[status])


def _problem(request: HttpRequest, status: int, heading: str, explanation: str) -> HttpResponse:
    again = status == HTTPStatus.SERVICE_UNAVAILABLE and request.method == "GET"
    shown = {
        "heading": heading,
        "explanation": explanation,
        "retry": request.get_full_path() if again else None,
        "request_id": current_origin.get().request_id,
    }
    return render(request, "web/problem.html", shown, status=status)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
