"""Ending sessions: the rows, the trail, and at once the sockets."""

from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from app.accounts.models import Session
from app.audit.actions import Action
from app.audit.context import Actor
from app.audit.services import Record, Target, record_many
from app.realtime.services import revoke


def end(sessions: QuerySet[Session], *, reason: str, actor: Actor) -> list[UUID]:
    """End those of the sessions that are not ended yet; call inside a transaction.

    Their tokens and cookies are refused from the commit on; their sockets are told after it,
    and find out by themselves within seconds where the telling fails.
    """
    ending = list(
        sessions.filter(ended_at=None).select_for_update(of=("self",)).select_related("user")
    )
    ids = [session.pk for session in ending]
    if not ids:
        return ids
    Session.objects.filter(pk__in=ids).update(ended_at=timezone.now(), ended_reason=reason)
    record_many([_ended(session, reason, actor) for session in ending])
    revoke(sessions=ids)
    return ids


def _ended(session: Session, reason: str, actor: Actor) -> Record:
    return Record(
        action=Action.SESSION_ENDED,
        organization=session.user.organization_id,
        actor=actor,
        target=Target("session", str(session.pk), str(session.user_id)),
        parameters={"reason": reason, "kind": session.kind},
    )
