"""Asking for an export, and deciding about it: two people, and every step in the trail."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID, uuid4

import structlog
from celery import current_app
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.services import Target, record
from app.compliance import access
from app.compliance.models import RECIPIENT, ExportRequest, Format, State
from app.compliance.package import age
from app.compliance.scope import Scope
from app.compliance.services.looks import note_look
from app.compliance.verify import VIEWS
from app.encryption.fields import seal_now
from app.errors import Conflict, Denied, Invalid, NotFound

BUILD_TASK = "compliance.build_export"
LONGEST_REASON = 1000
NO_RECIPIENT = "This is not an age key. It begins with age1 and has 62 characters."
MOST_NAMED = 500

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """How much would be in the package if it were built now."""

    sent: int
    edited: int
    deleted: int
    membership: int
    reactions: int
    attachments: int
    calls: int
    reads: int
    other: int

    @property
    def versions(self) -> int:
        return self.sent + self.edited + self.deleted

    @property
    def entries(self) -> int:
        listed = self.membership + self.reactions + self.attachments + self.calls
        return self.versions + listed + self.reads + self.other


def preview_export(officer: User, scope: Scope) -> Preview:
    """Count what a scope holds now; recorded, because numbers tell things too."""
    check_scope(officer, scope)
    note_look(officer, Action.TRAIL_READ, {"counted": scope.document()})
    counted = access.counts(officer, scope)

    def number(actions: Iterable[Action]) -> int:
        return sum(counted.pop(action, 0) for action in actions)

    def view(name: str) -> list[Action]:
        return [action for action in Action if action.value.startswith(VIEWS[f"{name}.jsonl"])]

    return Preview(
        sent=number([Action.MESSAGE_SENT]),
        edited=number([Action.MESSAGE_EDITED]),
        deleted=number([Action.MESSAGE_DELETED]),
        membership=number(view("membership")),
        reactions=number(view("reactions")),
        attachments=number(view("attachments")),
        calls=number(view("calls")),
        reads=number(view("reads")),
        other=sum(counted.values()),
    )


def check_scope(officer: User, scope: Scope) -> None:
    """Raise Invalid where the scope names what is not there or is no period."""
    require(officer, Permission.EXPORTS_REQUEST)
    problems: dict[str, list[str]] = {}
    for name, ids in (("conversations", scope.conversations), ("people", scope.people)):
        if len(ids) > MOST_NAMED:
            problems[name] = [f"Choose at most {MOST_NAMED}, or none for all of them."]
    if access.unknown_conversations(officer, scope.conversations):
        problems["conversations"] = ["One of these conversations does not exist."]
    if access.unknown_people(officer, scope.people):
        problems["people"] = ["One of these people does not exist."]
    if scope.since and scope.until and scope.since >= scope.until:
        problems["until"] = ["The end must be later than the beginning."]
    elif scope.until and scope.until > timezone.now():
        problems["until"] = ["This is in the future. Leave it empty for everything until now."]
    if problems:
        raise Invalid(fields=problems)


@transaction.atomic
def request_export(
    officer: User,
    *,
    scope: Scope,
    reason: str,
    formats: Iterable[str] = (Format.CSV,),
    recipient: str = "",
) -> ExportRequest:
    """Ask for an export, encrypted to the age key `recipient` if one is given.

    Raises Denied, Invalid.
    """
    check_scope(officer, scope)
    reason, recipient = reason.strip(), recipient.strip()
    if recipient and (len(recipient) > RECIPIENT or not age.is_recipient(recipient)):
        raise Invalid(fields={"recipient": [NO_RECIPIENT]})
    if not 1 <= len(reason) <= LONGEST_REASON or "\0" in reason:
        raise Invalid(fields={"reason": [f"Give a reason, in 1 to {LONGEST_REASON} characters."]})
    asked = ExportRequest(
        pk=uuid4(),
        organization=officer.organization,
        conversations=scope.document()["conversations"],
        people=scope.document()["people"],
        since=scope.since,
        until=scope.until,
        formats=[item.value for item in Format if item in set(formats)],
        recipient=recipient,
        reason=reason,
        requester=officer,
    )
    entry = record(
        Action.EXPORT_REQUESTED,
        organization=officer.organization_id,
        actor=officer.actor,
        target=target(asked),
        parameters={
            "scope": scope.document(),
            "formats": asked.formats,
            "recipient": recipient or None,
        },
        after={
            "state": State.REQUESTED.value,
            "reason": seal_now(asked, "reason").commitment.hex(),
        },
    )
    asked.request_entry = entry.pk
    asked.save(force_insert=True)
    return asked


@transaction.atomic
def approve_export(officer: User, export_id: UUID) -> ExportRequest:
    """Approve what another officer asked for; the building begins. Raises Denied, Conflict."""
    require(officer, Permission.EXPORTS_APPROVE)
    asked = _waiting(officer, export_id)
    if asked.requester_id == officer.pk:
        raise Denied("Another officer must approve what you asked for.")
    _decide(officer, asked, State.APPROVED, Action.EXPORT_APPROVED)
    transaction.on_commit(lambda: enqueue_build(asked.pk))
    return asked


@transaction.atomic
def refuse_export(officer: User, export_id: UUID) -> ExportRequest:
    """Refuse what another officer asked for. Raises Denied, Conflict."""
    require(officer, Permission.EXPORTS_APPROVE)
    asked = _waiting(officer, export_id)
    if asked.requester_id == officer.pk:
        raise Denied("Withdraw your own request instead.")
    _decide(officer, asked, State.REFUSED, Action.EXPORT_REFUSED)
    return asked


@transaction.atomic
def withdraw_export(officer: User, export_id: UUID) -> ExportRequest:
    """Take back one's own request before it is decided. Raises NotFound, Conflict."""
    require(officer, Permission.EXPORTS_REQUEST)
    asked = _waiting(officer, export_id)
    if asked.requester_id != officer.pk:
        raise Denied("Only the officer who asked for it can withdraw it.")
    _decide(officer, asked, State.WITHDRAWN, Action.EXPORT_WITHDRAWN)
    return asked


def enqueue_build(export_id: UUID) -> None:
    """Tell a worker; if nobody hears it now, `resume_exports` finds the export later."""
    try:
        current_app.send_task(BUILD_TASK, args=[str(export_id)])
    except OperationalError:
        log.warning("export_not_enqueued", export=str(export_id))


def target(asked: ExportRequest) -> Target:
    return Target("export", str(asked.pk))


def _waiting(officer: User, export_id: UUID) -> ExportRequest:
    found = (
        ExportRequest.objects.select_for_update(of=("self",))
        .select_related("requester", "organization")
        .filter(organization=officer.organization_id, pk=export_id)
        .first()
    )
    if found is None:
        raise NotFound
    if found.state != State.REQUESTED:
        raise Conflict("This request was decided already.")
    return found


def _decide(officer: User, asked: ExportRequest, state: State, action: Action) -> None:
    entry = record(
        action,
        organization=officer.organization_id,
        actor=officer.actor,
        target=target(asked),
        parameters={"scope": asked.scope, "requester": str(asked.requester_id)},
        before={"state": asked.state},
        after={"state": state.value},
    )
    asked.state = state
    asked.decider = officer
    asked.decided_at = timezone.now()
    asked.decision_entry = entry.pk
    asked.save(update_fields=["state", "decider", "decided_at", "decision_entry"])
