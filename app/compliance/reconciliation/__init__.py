"""Compares the database with what the trail says: messages both ways, memberships, roles.

`app.audit.verify` shows that the trail is what was signed; this shows that the rows are what the
trail says. Reads one snapshot, in constant memory, and never shows a text.
"""

import time
from uuid import UUID

import structlog
from django.db import connection, transaction

from app.audit.actions import Action
from app.audit.services import SYSTEM, Target, record
from app.compliance.reconciliation.findings import Comparison, Fault
from app.compliance.reconciliation.messages import check_messages
from app.compliance.reconciliation.people import check_members, check_roles

__all__ = ["Comparison", "Fault", "compare", "reconcile", "remember"]

log = structlog.get_logger(__name__)


def reconcile(organization: UUID) -> Comparison:
    """Compare one organization's rows with its trail, in a transaction of its own."""
    began = time.monotonic()
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        found = compare(organization)
    found.seconds = time.monotonic() - began
    return found


def remember(found: Comparison) -> None:
    """Put the result in the trail, and raise the alarm in the log when something is wrong."""
    first = found.problems[0].document() if found.problems else None
    if first:
        log.critical(
            "content_does_not_agree",
            organization=str(found.organization),
            found=found.found,
            first=first,
        )
    with transaction.atomic():
        record(
            Action.CONTENT_VERIFIED if found.ok else Action.CONTENT_VERIFICATION_FAILED,
            organization=found.organization,
            actor=SYSTEM,
            target=Target("log", str(found.organization)),
            parameters={"versions": found.versions, "erased": found.erased},
            after={"problems": found.found, "first": first},
            outcome="success" if found.ok else "failure",
        )


def compare(organization: UUID) -> Comparison:
    """`reconcile` within the caller's transaction, which must see one snapshot."""
    found = Comparison(organization)
    check_messages(found)
    check_members(found)
    check_roles(found)
    return found
