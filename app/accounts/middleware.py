"""Ties each browser session to its row in `Session`, which can be ended from elsewhere.

After this middleware `request.user` is somebody only if their session is alive and they are
active, and the trail knows where the request comes from.
"""

from collections.abc import Callable
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse

from app.accounts.browser import SESSION_ID
from app.accounts.identity import Identity
from app.accounts.lookup import live_session
from app.accounts.models import Session
from app.accounts.origin import origin_of
from app.accounts.services import touch


class SessionMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        origin = origin_of(request)
        with Identity(origin) as identity:
            request.identity = identity  # type: ignore[attr-defined]
            session = _live_session(request)
            request.auth_session = session  # type: ignore[attr-defined]
            if session is not None:
                identity.assume(session, "session")
                touch(session)
            return self.get_response(request)


def _live_session(request: HttpRequest) -> Session | None:
    """The browser's session, if it is alive; whatever else the cookie held is forgotten."""
    stated = request.session.get(SESSION_ID)
    if stated is None:
        request.user = AnonymousUser()
        return None
    user = request.user  # checks the session's hash against the password
    session = live_session(UUID(stated), user.pk) if user.is_authenticated else None
    if session is None:
        request.session.flush()
        request.user = AnonymousUser()
        return None
    request.user = session.user
    return session
