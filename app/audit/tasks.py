"""Jobs of the trail: the heartbeat that shows it lives, and its regular verification."""

from celery import shared_task
from django.db import transaction

from app.audit.access import organizations
from app.audit.actions import Action
from app.audit.services import INSTALLATION, SYSTEM, Record, Target, record_many
from app.audit.verification import remember
from app.audit.verify import verify


@shared_task(name="audit.heartbeat")
def heartbeat() -> None:
    """Hourly: an entry in every log, so that a log without a recent one stands still."""
    beats = [
        Record(Action.LOG_HEARTBEAT, organization, SYSTEM, Target("log", str(organization)))
        for organization in sorted({INSTALLATION, *organizations()})
    ]
    with transaction.atomic():
        record_many(beats)


@shared_task(name="audit.verify_all")
def verify_all() -> None:
    """Rebuild every log from its rows and keep what was found."""
    for organization in organizations():
        remember(verify(organization))
