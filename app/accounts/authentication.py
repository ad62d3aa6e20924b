"""How a REST request says who it is: the browser's session with CSRF, or a bearer token.

Both end in a live `Session`, so ending it closes both doors at the next request.
"""

from uuid import UUID

from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from app.accounts.identity import identity_of
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


class TokenAuthentication(JWTAuthentication):
    def authenticate(  # type: ignore[override]  # the session stands for the token
        self, request: Request
    ) -> tuple[User, Session] | None:
        header = self.get_header(request)
        raw = self.get_raw_token(header) if header is not None else None
        if raw is None:
            return None
        token = self.get_validated_token(raw)
        session = _session(token.get("sid"), token.get("sub"))
        identity_of(request).assume(session, "jwt")
        request._request.auth_session = session  # type: ignore[attr-defined]
        touch(session)
        return session.user, session


def _session(session_id: object, user_id: object) -> Session:
    try:
        session = live_session(UUID(str(session_id)), UUID(str(user_id)))
    except ValueError as error:
        raise InvalidToken from error
    if session is None:
        raise InvalidToken
    return session
