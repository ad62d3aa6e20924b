"""Verifications as events: their result is kept for officers and is itself in the trail."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import structlog
from django.db import transaction

from app.audit.actions import Action
from app.audit.checkpoint import PublicKey
from app.audit.findings import Known, Report
from app.audit.models import Verification
from app.audit.outside import Outside, kept_outside
from app.audit.services import SYSTEM, Target, record
from app.audit.verify import verify

log = structlog.get_logger(__name__)


def verify_everywhere(
    organization: UUID,
    *,
    trusted: Sequence[PublicKey] = (),
    known: Sequence[Known] = (),
) -> Report:
    """`verify` the log, also against what every anchor keeps of it."""
    return compared(organization, kept_outside(organization, trusted), trusted, known)


def compared(
    organization: UUID,
    outside: Outside,
    trusted: Sequence[PublicKey] = (),
    known: Sequence[Known] = (),
) -> Report:
    """`verify` the log against what was read outside of it."""
    report = verify(organization, trusted=trusted, known=[*known, *outside.known])
    for problem in outside.problems:
        report.add(problem.fault, problem.place, problem.message)
    report.unread = outside.unread
    return report


def remember(report: Report) -> Verification:
    """Keep the result, record it, and raise the alarm in the log when something is wrong."""
    problems = [problem.document() for problem in report.problems]
    for reason in report.unread:
        log.warning("anchor_unread", organization=str(report.organization), reason=reason)
    if not report.ok:
        log.critical(
            "trail_does_not_agree",
            organization=str(report.organization),
            found=report.found,
            first=problems[0],
        )
    with transaction.atomic():
        kept = Verification.objects.create(
            organization_id=report.organization,
            at=datetime.now(UTC),
            size=report.size,
            ok=report.ok,
            problems=problems,
            milliseconds=round(report.seconds * 1000),
        )
        record(
            Action.LOG_VERIFIED if report.ok else Action.LOG_VERIFICATION_FAILED,
            organization=report.organization,
            actor=SYSTEM,
            target=Target("log", str(report.organization)),
            parameters={"size": report.size, "checkpoints": report.checkpoints},
            after={"problems": report.found, "first": problems[0] if problems else None},
            outcome="success" if report.ok else "failure",
        )
    return kept
