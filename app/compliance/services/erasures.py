"""Erasing what was written: one officer asks, another approves, a job destroys the data keys.

Refused under a legal hold when it is asked for and when it is approved, and by the database
when it is done. The trail, its proofs and these records stay.
"""

from datetime import date
from uuid import UUID, uuid4

import structlog
from celery import current_app
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.context import SYSTEM, Actor, Origin, acting_from
from app.audit.services import Entry, Target, record
from app.compliance.access import erasures
from app.compliance.access.erasures import Erasable
from app.compliance.models import Erasure, ErasureState
from app.compliance.services.looks import note_look
from app.compliance.services.reasons import LONGEST_REASON, stated
from app.encryption.destruction import Reason, destroy_data_keys
from app.encryption.fields import seal_now
from app.encryption.holds import is_held
from app.errors import Conflict, Denied, DomainError, Invalid, NotFound, UnderHold

ERASE_TASK = "compliance.erase"

log = structlog.get_logger(__name__)


def preview_erasure(
    officer: User, conversation: UUID, *, first: date | None, last: date | None
) -> Erasable:
    """Count what would be erased; recorded, because numbers tell things too."""
    _check_months(first, last)
    found = erasures.erasable(officer, conversation, first=first, last=last)
    note_look(
        officer,
        Action.TRAIL_READ,
        {"counted": {"conversation": str(conversation), **_period(first, last)}},
        conversation=conversation,
    )
    return found


@transaction.atomic
def request_erasure(
    officer: User, conversation: UUID, *, first: date | None, last: date, reason: str
) -> Erasure:
    """Ask to erase all that was written in these months.

    `first` and `last` are first days of months; None: from the beginning. Raises Denied, NotFound,
    Invalid, UnderHold.
    """
    _check_months(first, last)
    found = erasures.erasable(officer, conversation, first=first, last=last)
    _refuse_under_hold(officer.organization_id, conversation)
    if not found.months:
        raise Invalid(fields={"first": ["Nothing is left to erase in these months."]})
    erasure = Erasure(
        pk=uuid4(),
        organization=officer.organization,
        conversation_id=conversation,
        first_month=first,
        last_month=last,
        reason=stated(reason, "reason", LONGEST_REASON),
        requester=officer,
    )
    entry = _record(
        Action.ERASURE_REQUESTED,
        erasure,
        officer.actor,
        parameters=_period(first, last),
        after={
            "state": ErasureState.REQUESTED.value,
            "reason": seal_now(erasure, "reason").commitment.hex(),
        },
    )
    erasure.request_entry = entry.pk
    erasure.save(force_insert=True)
    return erasure


@transaction.atomic
def approve_erasure(officer: User, erasure_id: UUID) -> Erasure:
    """Approve what another officer asked for; it cannot be undone from here on.

    Raises Denied, NotFound, Conflict, UnderHold.
    """
    erasure = _waiting(officer, erasure_id)
    if erasure.requester_id == officer.pk:
        raise Denied("Another officer must approve what you asked for.")
    _refuse_under_hold(officer.organization_id, erasure.conversation_id)
    _decide(officer, erasure, ErasureState.APPROVED, Action.ERASURE_APPROVED)
    transaction.on_commit(lambda: _enqueue(erasure.pk))
    return erasure


@transaction.atomic
def refuse_erasure(officer: User, erasure_id: UUID) -> Erasure:
    """Refuse what another officer asked for. Raises Denied, NotFound, Conflict."""
    erasure = _waiting(officer, erasure_id)
    if erasure.requester_id == officer.pk:
        raise Denied("Withdraw your own request instead.")
    _decide(officer, erasure, ErasureState.REFUSED, Action.ERASURE_REFUSED)
    return erasure


@transaction.atomic
def withdraw_erasure(officer: User, erasure_id: UUID) -> Erasure:
    """Take back one's own request before it is decided. Raises Denied, NotFound, Conflict."""
    erasure = _waiting(officer, erasure_id)
    if erasure.requester_id != officer.pk:
        raise Denied("Only the officer who asked for it can withdraw it.")
    _decide(officer, erasure, ErasureState.WITHDRAWN, Action.ERASURE_WITHDRAWN)
    return erasure


def carry_out(erasure_id: UUID) -> bool:
    """Destroy the keys of an approved erasure; True if it is done now. Called again, goes on.

    A hold that was placed meanwhile stops it for good; what is out of order (the list of erasures,
    the database) leaves it for the next attempt.
    """
    erasure = (
        Erasure.objects.select_related("decider")
        .filter(pk=erasure_id, state=ErasureState.APPROVED)
        .first()
    )
    if erasure is None or erasure.decider is None:
        return False
    with acting_from(Origin(request_id=f"erasure-{erasure_id}", method="job")):
        try:
            destroy_data_keys(
                organization=erasure.organization_id,
                conversation=erasure.conversation_id,
                months=erasures.months_with_keys(
                    erasure.conversation_id, erasure.first_month, erasure.last_month
                ),
                actor=erasure.decider.actor,
                reason=Reason.REQUEST,
                request=erasure.pk,
            )
        except UnderHold as refusal:
            _end(erasure_id, ErasureState.STOPPED, Action.ERASURE_STOPPED, str(refusal))
            return False
        except DomainError as failure:
            log.warning("erasure_waits", erasure=str(erasure_id), code=failure.code)
            Erasure.objects.filter(pk=erasure_id).update(failure=failure.message)
            return False
        return _end(erasure_id, ErasureState.DONE, Action.ERASURE_DONE)


def resume_erasures() -> int:
    """Go on with every approved erasure that is not done; returns how many were finished."""
    waiting = Erasure.objects.filter(state=ErasureState.APPROVED).order_by("decided_at")
    return sum(carry_out(pk) for pk in waiting.values_list("pk", flat=True))


@transaction.atomic
def _end(erasure_id: UUID, state: ErasureState, action: Action, failure: str = "") -> bool:
    erasure = Erasure.objects.select_for_update().get(pk=erasure_id)
    if erasure.state != ErasureState.APPROVED:
        return False  # another worker was faster
    erasure.keys_destroyed = erasures.keys_destroyed(erasure)
    _record(
        action,
        erasure,
        SYSTEM,
        before={"state": erasure.state},
        after={"state": state.value, "keys": erasure.keys_destroyed},
        outcome="success" if state == ErasureState.DONE else "failure",
    )
    erasure.state, erasure.failure, erasure.finished_at = state, failure, timezone.now()
    erasure.save(update_fields=["state", "failure", "finished_at", "keys_destroyed"])
    return state == ErasureState.DONE


def _decide(officer: User, erasure: Erasure, state: ErasureState, action: Action) -> None:
    _record(
        action,
        erasure,
        officer.actor,
        parameters={
            "requester": str(erasure.requester_id),
            **_period(erasure.first_month, erasure.last_month),
        },
        before={"state": erasure.state},
        after={"state": state.value},
    )
    erasure.state, erasure.decider, erasure.decided_at = state, officer, timezone.now()
    erasure.save(update_fields=["state", "decider", "decided_at"])


def _waiting(officer: User, erasure_id: UUID) -> Erasure:
    require(officer, Permission.ERASURES_MANAGE)
    found = (
        Erasure.objects.select_for_update(of=("self",))
        .select_related("requester", "organization")
        .filter(organization=officer.organization_id, pk=erasure_id)
        .first()
    )
    if found is None:
        raise NotFound
    if found.state != ErasureState.REQUESTED:
        raise Conflict("This request was decided already.")
    return found


def _refuse_under_hold(organization: UUID, conversation: UUID) -> None:
    if is_held(organization, conversation):
        raise UnderHold(
            "This conversation is under a legal hold. Nothing of it is erased until it is released."
        )


def _check_months(first: date | None, last: date | None) -> None:
    problems: dict[str, list[str]] = {}
    if first and first.day != 1:
        problems["first"] = ["Give the first day of a month."]
    if last and last.day != 1:
        problems["last"] = ["Give the first day of a month."]
    if first and last and first > last:
        problems["last"] = ["The last month is before the first."]
    elif last and last > timezone.now().date():
        problems["last"] = ["This month has not begun."]
    if problems:
        raise Invalid(fields=problems)


def _period(first: date | None, last: date | None) -> dict[str, str | None]:
    return {
        "first": first.isoformat() if first else None,
        "last": last.isoformat() if last else None,
    }


def _enqueue(erasure_id: UUID) -> None:
    """Tell a worker; if nobody hears it now, `resume_erasures` finds it later."""
    try:
        current_app.send_task(ERASE_TASK, args=[str(erasure_id)])
    except OperationalError:
        log.warning("erasure_not_enqueued", erasure=str(erasure_id))


def _record(action: Action, erasure: Erasure, actor: Actor, **more: object) -> Entry:
    return record(
        action,
        organization=erasure.organization_id,
        actor=actor,
        target=Target("erasure", str(erasure.pk), str(erasure.conversation_id)),
        scope=erasure.conversation_id,
        **more,  # type: ignore[arg-type]
    )
