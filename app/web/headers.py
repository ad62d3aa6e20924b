"""What every answer of ours forbids the browser, made once: it does not differ by request.

An answer that says more of it by itself (a file's, an export's) is left alone.
"""

from collections.abc import Callable

from csp.utils import build_policy
from django.conf import settings
from django.http import HttpRequest, HttpResponse

FEATURES = (
    "microphone=(self), camera=(self), display-capture=(self), fullscreen=(self), "
    "geolocation=(), payment=(), usb=(), serial=()"
)
"""Which of the browser's devices our pages may ask for: what calls need. A frame gets none.
https://www.w3.org/TR/permissions-policy/"""


class HeadersMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._headers = {
            "Content-Security-Policy": build_policy(),
            "Permissions-Policy": FEATURES,
        }

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if settings.DEBUG and response.status_code in {404, 500}:
            return response  # Django's page for developers has styles of its own
        for name, value in self._headers.items():
            response.headers.setdefault(name, value)
        return response
