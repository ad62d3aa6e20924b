"""Under ASGI each request has a thread of its own, and with it a connection to the database: here
GATEWAY_REQUESTS of them have one at the same time, and others wait for their turn.

Under WSGI the server's threads are the bound, and keep theirs.
"""

import threading
from collections.abc import Callable

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpRequest, HttpResponse

from app.errors import Unavailable
from app.kept_connection import KeptConnection
from app.web.gate import closed

PATIENCE = 10.0
"""Seconds that a request waits for its turn."""


class ConnectionsMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._turns = threading.BoundedSemaphore(settings.GATEWAY_REQUESTS)
        self._mine = KeptConnection()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not isinstance(request, ASGIRequest):
            self._mine.begin()
            response = self.get_response(request)
            self._mine.worked()
            return response
        if not self._turns.acquire(timeout=PATIENCE):
            return closed(request, Unavailable(), retry_after=5)
        try:
            return self.get_response(request)
        finally:
            # The thread ends with the request, and nobody else could use what it has.
            connections.close_all()
            self._turns.release()
