"""Counts and times every request, gives it an id, and tells of those that went wrong.

Never the path, which may be an invitation's code: a request is named by its route.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any
from uuid import uuid4

import structlog
from django.http import HttpRequest, HttpResponse

from app import metrics
from app.accounts.origin import trace_of
from app.audit.context import Origin, acting_from
from app.audit.services import note_refusal

SLOW = 1.0
"""Seconds after which a request is worth a line."""
log = structlog.get_logger(__name__)


class ObservingMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = perf_counter()
        # The id is ours: one that a client chose could make its lines look like another's.
        noticed = Origin(request_id=uuid4().hex, trace=trace_of(request.META))
        with acting_from(noticed):
            response = self.get_response(request)
            _note(request, response.status_code, perf_counter() - began)
        response["X-Request-ID"] = noticed.request_id
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        note_refusal(exception)


def _note(request: HttpRequest, status: int, seconds: float) -> None:
    route = f"/{request.resolver_match.route}" if request.resolver_match else "(none)"
    metrics.REQUESTS.add(route, f"{status // 100}xx")
    metrics.REQUEST_SECONDS.of("api" if route.startswith("/api/") else "page").observe(seconds)
    if status >= 500:
        log.error("request_failed", httpRequest=_described(request, route, status, seconds))
    elif seconds >= SLOW:
        log.warning("request_slow", httpRequest=_described(request, route, status, seconds))


def _described(request: HttpRequest, route: str, status: int, seconds: float) -> dict[str, Any]:
    """https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#HttpRequest"""
    return {
        "requestMethod": request.method,
        "requestUrl": route,
        "status": status,
        "latency": f"{seconds:.6f}s",
    }
