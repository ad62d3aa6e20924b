"""Signing in and out. What is refused is refused with one text, after the same work."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError

from app.accounts.backends import verified
from app.accounts.emails import normalised
from app.accounts.identity import Bearer
from app.accounts.limits import Limited, network, refund, spend
from app.accounts.lookup import alive, live_session
from app.accounts.models import Session, SessionKind, User
from app.accounts.services.ending import end
from app.accounts.tokens import SessionRefreshToken, TokenPair
from app.audit.actions import Action
from app.audit.context import ANONYMOUS, acting_from, current_origin
from app.audit.services import INSTALLATION, Target, record
from app.encryption.fields import blind_index
from app.errors import NotFound, Unauthenticated

WRONG: Final = "That address and password do not open an account here."
OVER: Final = "This session has ended: sign in again."

_SEEN_EVERY: Final = timedelta(minutes=1)


def sign_in(*, email: str, password: str, kind: SessionKind) -> Session:
    """A new session for whoever knows the password, from where the current origin says.

    Raises RateLimited, or Unauthenticated: alike for an unknown address, a wrong password and
    a disabled person.
    """
    origin = current_origin.get()
    account, place = normalised(email), network(origin.address)
    spend(Limited.SIGN_IN_BY_ADDRESS, place)
    spend(Limited.SIGN_IN_BY_ACCOUNT, account)
    user = User.objects.with_email(email)
    session = _start(user, kind) if verified(user, password) and user else None
    if session is None:
        _refused(user, account, kind)
        raise Unauthenticated(WRONG)
    refund(Limited.SIGN_IN_BY_ADDRESS, place)
    refund(Limited.SIGN_IN_BY_ACCOUNT, account)
    return session


@transaction.atomic
def _start(user: User, kind: SessionKind) -> Session | None:
    """The session; None if the user was disabled, or the password changed, since the check."""
    unchanged = User.objects.filter(pk=user.pk, is_active=True, password=user.password)
    if not unchanged.select_for_update().exists():
        return None
    origin = current_origin.get()
    session = Session.objects.create(
        user=user, kind=kind, address=origin.address or None, agent=origin.agent
    )
    with acting_from(replace(origin, session=str(session.pk))):
        record(
            Action.SESSION_STARTED,
            organization=user.organization_id,
            actor=user.actor,
            target=Target("session", str(session.pk), str(user.pk)),
            parameters={"kind": kind.value},
        )
    return session


@transaction.atomic
def _refused(user: User | None, account: str, kind: SessionKind) -> None:
    """One entry in either case, so that its cost does not tell whether the address exists.

    An address that nobody has is named by a keyed hash: attempts on it can be counted, and a
    mistyped address, or a password typed into the wrong field, is not kept.
    """
    target = (
        Target("user", str(user.pk))
        if user
        else Target("address", blind_index(account, purpose="refused sign-in").hex()[:32])
    )
    record(
        Action.SESSION_REFUSED,
        organization=user.organization_id if user else INSTALLATION,
        actor=ANONYMOUS,
        target=target,
        parameters={"kind": kind.value},
        outcome="failure",
    )


@transaction.atomic
def sign_out(*, session: Session) -> None:
    """End the session that one is in."""
    end(Session.objects.filter(pk=session.pk), reason="signed_out", actor=session.user.actor)


@transaction.atomic
def end_session(*, user: User, session_id: UUID) -> None:
    """End one of the user's own sessions. Raises NotFound for anything else."""
    mine = Session.objects.filter(pk=session_id, user=user)
    if not end(mine, reason="ended_by_owner", actor=user.actor):
        raise NotFound


def issue_tokens(*, email: str, password: str) -> TokenPair:
    """Sign in to the API: a new session and its first pair of tokens. Raises like `sign_in`."""
    session = sign_in(email=email, password=password, kind=SessionKind.API)
    return SessionRefreshToken.for_session(session).pair()


def refresh(*, token: str) -> TokenPair:
    """Exchange a refresh token for the next pair. Each token is good for one exchange.

    A token that comes back was copied: thief and owner cannot be told apart, so the session
    ends for both (RFC 9700, 4.14.2). Raises Unauthenticated.
    """
    spend(Limited.REFRESH_BY_ADDRESS, network(current_origin.get().address))
    try:
        used = SessionRefreshToken(token)  # type: ignore[arg-type]  # takes the encoded text
        session_id, user_id = UUID(used["sid"]), UUID(used["sub"])
    except (TokenError, KeyError, ValueError, TypeError) as error:
        raise Unauthenticated(OVER) from error
    pair = _exchange(used, session_id, user_id)
    if pair is None:
        raise Unauthenticated(OVER)
    refund(Limited.REFRESH_BY_ADDRESS, network(current_origin.get().address))
    return pair


@transaction.atomic
def _exchange(used: SessionRefreshToken, session_id: UUID, user_id: UUID) -> TokenPair | None:
    # The lock makes two exchanges of one token take turns, so that the second one is seen.
    list(Session.objects.filter(pk=session_id).select_for_update().values_list("pk"))
    session = live_session(session_id, user_id)
    if session is None:
        return None
    origin = replace(current_origin.get(), session=str(session.pk), method="jwt")
    with acting_from(origin):
        if used.is_used():
            _betrayed(session)
            return None
        used.use_up()
        Session.objects.filter(pk=session.pk).update(last_seen_at=timezone.now())
        record(
            Action.TOKEN_REFRESHED,
            organization=session.user.organization_id,
            actor=session.user.actor,
            target=Target("session", str(session.pk), str(session.user_id)),
        )
        return SessionRefreshToken.for_session(session).pair()


def _betrayed(session: Session) -> None:
    record(
        Action.TOKEN_REUSED,
        organization=session.user.organization_id,
        actor=ANONYMOUS,
        target=Target("session", str(session.pk), str(session.user_id)),
        outcome="failure",
    )
    end(Session.objects.filter(pk=session.pk), reason="token_reused", actor=ANONYMOUS)


def touch(session: Session) -> None:
    """Note that the session is in use; at most once a minute, and not in the trail."""
    _touch({session.pk: session.last_seen_at})


def admit(bearers: Collection[Bearer]) -> set[Bearer]:
    """Those of them whose sessions are alive, which are then in use; one query for all."""
    seen = alive({bearer.session for bearer in bearers}) if bearers else {}
    admitted = {
        bearer
        for bearer in bearers
        if bearer.session in seen and seen[bearer.session].user == bearer.user
    }
    _touch({bearer.session: seen[bearer.session].at for bearer in admitted})
    return admitted


def _touch(last_seen: Mapping[UUID, datetime]) -> None:
    now = timezone.now()
    if late := [session for session, at in last_seen.items() if now - at > _SEEN_EVERY]:
        Session.objects.filter(pk__in=late, ended_at=None).update(last_seen_at=now)
