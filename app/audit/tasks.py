"""Jobs of the trail: the heartbeat that shows it lives, and its regular verification."""

from datetime import timedelta
from uuid import UUID

import structlog
from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from app.audit.access import organizations, unverified_since
from app.audit.actions import Action
from app.audit.anchoring import bring, claim_due
from app.audit.collector import Collector, CollectorFailed
from app.audit.feed import Gap, feed
from app.audit.receipt_check import Told, check
from app.audit.services import INSTALLATION, SYSTEM, Record, Target, record_many
from app.audit.verification import remember, verify_everywhere

VERIFY_EVERY = timedelta(hours=6)
log = structlog.get_logger(__name__)


@shared_task(name="audit.heartbeat")
def heartbeat() -> None:
    """Hourly: an entry in every log, so that a log without a recent one stands still."""
    beats = [
        Record(Action.LOG_HEARTBEAT, organization, SYSTEM, Target("log", str(organization)))
        for organization in sorted({INSTALLATION, *organizations()})
    ]
    with transaction.atomic():
        record_many(beats)


@shared_task(name="audit.verify_due")
def verify_due() -> None:
    """Rebuild every log that was not verified within VERIFY_EVERY, and keep what was found."""
    for organization in unverified_since(timezone.now() - VERIFY_EVERY):
        remember(verify_everywhere(organization))


@shared_task(name="audit.anchor_due")
def anchor_due() -> None:
    """Every minute: a job for each anchor that is due, so that none waits for another."""
    for anchor_id in claim_due():
        anchor.delay(anchor_id)


@shared_task(name="audit.anchor")
def anchor(anchor_id: int) -> None:
    """Bring a log's last checkpoint to one anchor."""
    bring(anchor_id)


@shared_task(name="audit.feed_siem")
def feed_siem() -> None:
    """Every minute: what was sealed since goes to the SIEM, if one is set up."""
    if not settings.SIEM_URL:
        return
    collector = Collector(settings.SIEM_URL, settings.SIEM_AUTHORIZATION)
    for organization in organizations():
        try:
            feed("siem", organization, collector)
        except CollectorFailed as error:
            log.warning("siem_unreachable", reason=str(error))
            return
        except Gap as error:
            log.critical("log_has_a_gap", organization=str(organization), reason=str(error))


@shared_task(name="audit.check_receipts")
def check_receipts(organization: str, leaf_hashes: list[str]) -> None:
    """Ask whether these receipts (hex) are in the log, for whoever collects them; what is not
    known to it any more raises the alarm in our own logs."""
    given = [Told(UUID(organization), bytes.fromhex(leaf_hash)) for leaf_hash in leaf_hashes]
    for lost in check(given).unknown:
        log.critical("receipt_not_in_the_log", leaf_hash=lost.leaf_hash.hex(), log=organization)
