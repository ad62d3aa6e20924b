"""Which of the browser's devices our pages may ask for: what calls need. A frame gets none."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

POLICY = (
    "microphone=(self), camera=(self), display-capture=(self), fullscreen=(self), "
    "geolocation=(), payment=(), usb=(), serial=()"
)
"""https://www.w3.org/TR/permissions-policy/"""


class PermissionsPolicyMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", POLICY)
        return response
