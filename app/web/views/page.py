"""What every page shares: who may see it, and what a refusal looks like.

@page(requires=Permission.PEOPLE_MANAGE)
def people(request: HttpRequest, user: User) -> HttpResponse: ...
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.cache import never_cache

from app.accounts.identity import session_of
from app.accounts.permissions import Permission, require
from app.errors import DomainError, Unauthenticated
from app.web.views.errors import refused

View = Callable[..., HttpResponse]


def page(*, requires: Permission | None = None) -> Callable[[View], View]:
    """Call the view with the signed-in user; send others to sign in, and back afterwards.

    A DomainError that the view lets through becomes a page with its status. Nothing is kept
    by the browser, so that "back" shows nothing after signing out.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        @never_cache
        def guarded(request: HttpRequest, **parts: Any) -> HttpResponse:
            try:
                user = session_of(request).user
                if requires is not None:
                    require(user, requires)
                return view(request, user, **parts)
            except Unauthenticated:
                return _to_sign_in(request)
            except DomainError as error:
                return refused(request, error)

        return guarded

    return decorate


def public(view: View) -> View:
    """The same for pages that need nobody signed in."""

    @wraps(view)
    @never_cache
    def guarded(request: HttpRequest, **parts: Any) -> HttpResponse:
        try:
            return view(request, **parts)
        except DomainError as error:
            return refused(request, error)

    return guarded


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    if request.method not in {"GET", "HEAD"} or request.path == "/":
        return HttpResponseRedirect("/sign-in")
    return HttpResponseRedirect("/sign-in?" + urlencode({"next": request.get_full_path()}))
