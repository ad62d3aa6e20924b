"""How a REST request says who it is: the browser's session with CSRF, or a bearer token.

Both end in a live `Session`, so ending it closes both doors at the next request.
"""

import time
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.tokens import Token

from app.accounts.identity import Bearer, identity_of
from app.accounts.lookup import live_session
from app.accounts.models import Session, User
from app.accounts.services import touch


class BrowserSessionAuthentication(SessionAuthentication):
    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        session = identity_of(request).session
        if session is None:
            return None
        self.enforce_csrf(request)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        # The first authenticator's answer decides between 401 and 403; 401 is what is meant.
        return 'Bearer realm="api"'


class _Claims(NamedTuple):
    """What an access token says, whose signature is ours."""

    bearer: Bearer
    expires: float


class Verified:
    """Tokens that were found to be good, as hashes: each comes with many requests.

    Whether it has run out is asked each time, as is whether its session still lives.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[bytes, _Claims] = {}

    def bearer(self, raw: bytes, validated: Callable[[bytes], Token]) -> Bearer:
        """Raises InvalidToken, as `validated` does."""
        key = sha256(raw).digest()
        known = self._known.get(key)
        if known is None or known.expires <= time.time():
            token = validated(raw)
            known = _Claims(_bearer(token), float(token["exp"]))
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[key] = known
        return known.bearer


def _bearer(token: Token) -> Bearer:
    try:
        session, user, organization = (UUID(str(token.get(one))) for one in ("sid", "sub", "org"))
    except ValueError as error:
        raise InvalidToken from error
    return Bearer(session, user, organization)


_verified = Verified(10_000)


class TokenAuthentication(JWTAuthentication):
    """A view that names a method in `asks_later` gets a `Bearer` for the user there: it asks for
    the session with what it does, and calls `recognise` before it refuses anything."""

    def authenticate(  # type: ignore[override]  # the session stands for the token
        self, request: Request
    ) -> tuple[User | Bearer, Session | Bearer] | None:
        header = self.get_header(request)
        raw = self.get_raw_token(header) if header is not None else None
        if raw is None:
            return None
        bearer = _verified.bearer(raw, self.get_validated_token)
        if request.method in getattr(request.parser_context["view"], "asks_later", ()):
            identity_of(request).claim(bearer, "jwt")
            return bearer, bearer
        session = _assume(request, bearer)
        return session.user, session


def recognise(request: Request) -> None:
    """Ask for the session, where that was put off. Raises InvalidToken if it is over."""
    if isinstance(request.auth, Bearer):
        _assume(request, request.auth)


def _assume(request: Request, bearer: Bearer) -> Session:
    session = live_session(bearer.session, bearer.user)
    if session is None:
        raise InvalidToken
    identity_of(request).assume(session, "jwt")
    request._request.auth_session = session  # type: ignore[attr-defined]
    touch(session)
    return session
