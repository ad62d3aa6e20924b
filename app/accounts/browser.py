"""The cookie's side of a browser session: opened, kept and closed together with its row."""

from typing import Final

from django.contrib import auth
from django.http import HttpRequest, HttpResponseBase

from app.accounts.models import Session, User

# The key, in the browser's session, of the id of its row in `Session`.
SESSION_ID: Final = "parley.session"
BACKEND: Final = "app.accounts.backends.AccountBackend"


def open_in(request: HttpRequest, session: Session) -> None:
    """Let this browser in; the cookie's key is a new one, whoever may have planted the old."""
    request.session.flush()
    auth.login(request, session.user, backend=BACKEND)
    request.session[SESSION_ID] = str(session.pk)


def keep_after_password_change(request: HttpRequest, user: User) -> None:
    """Keep this browser in, under a new key; the others' cookies carry an outdated hash."""
    auth.update_session_auth_hash(request, user)


def close_in(request: HttpRequest, response: HttpResponseBase) -> None:
    """Forget the cookie, and have drafts and the outbox wiped from a shared computer."""
    request.session.flush()
    response["Clear-Site-Data"] = '"storage"'
