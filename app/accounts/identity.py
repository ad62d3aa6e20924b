"""Who a request acts for: set once by a way of authenticating, undone when the request ends."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import ClassVar, cast
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework.request import Request

from app.accounts.models import Session, User
from app.audit.context import ANONYMOUS, Origin, acting_as, acting_from, current_origin
from app.errors import Unauthenticated


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who brings a token of ours, where whether its session lives is asked with what is done."""

    session: UUID
    user: UUID
    organization: UUID
    is_authenticated: ClassVar[bool] = True


class Identity(ExitStack):
    """The origin and actor of one request, as the trail sees them, for as long as it runs."""

    def __init__(self, origin: Origin) -> None:
        super().__init__()
        self.session: Session | None = None
        self.enter_context(acting_from(origin))
        self.enter_context(acting_as(ANONYMOUS))

    def claim(self, bearer: Bearer, method: str) -> None:
        """From here on, what is recorded comes from a session that is asked for later."""
        origin = replace(current_origin.get(), session=str(bearer.session), method=method)
        self.enter_context(acting_from(origin))

    def assume(self, session: Session, method: str) -> None:
        """From here on, everything is done by the session's user."""
        self.session = session
        origin = replace(current_origin.get(), session=str(session.pk), method=method)
        self.enter_context(acting_from(origin))
        self.enter_context(acting_as(session.user.actor))


def identity_of(request: HttpRequest | Request) -> Identity:
    """The identity that the middleware gave to the request."""
    plain = request._request if isinstance(request, Request) else request
    return cast(Identity, plain.identity)  # type: ignore[attr-defined]  # set by the middleware


def session_of(request: HttpRequest | Request) -> Session:
    """The live session behind the request. Raises Unauthenticated where there is none."""
    session = identity_of(request).session
    if session is None:
        raise Unauthenticated
    return session


def user_of(request: HttpRequest | Request) -> User:
    """The user behind the request. Raises Unauthenticated where there is none."""
    return session_of(request).user


def nobody() -> AnonymousUser:
    return AnonymousUser()
