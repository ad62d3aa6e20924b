"""Jobs of compliance. Their arguments are ids alone: arguments lie readable in the broker."""

from uuid import UUID

from celery import shared_task

from app.accounts.models import Organization
from app.compliance import reconciliation
from app.compliance.services import building, erasures
from app.compliance.services.erasures import ERASE_TASK
from app.compliance.services.requests import BUILD_TASK


@shared_task(name=BUILD_TASK)
def build_export(export_id: str) -> None:
    """Build an approved export, now or in its turn; does nothing when somebody else does or did."""
    building.build_in_turn(UUID(export_id))


@shared_task(name="compliance.resume_exports")
def resume_exports() -> None:
    """Every minute: builds whose worker died, or that no worker heard of."""
    building.resume_exports()


@shared_task(name="compliance.expire_exports")
def expire_exports() -> None:
    """Every hour: delete the packages whose time is over."""
    building.expire_exports()


@shared_task(name="compliance.reconcile")
def reconcile() -> None:
    """Every day: compare all rows with the trail, and record what was found."""
    for organization in Organization.objects.values_list("pk", flat=True):
        reconciliation.remember(reconciliation.reconcile(organization))


@shared_task(name=ERASE_TASK)
def erase(erasure_id: str) -> None:
    """Carry out an approved erasure; does nothing when it is done."""
    erasures.carry_out(UUID(erasure_id))


@shared_task(name="compliance.resume_erasures")
def resume_erasures() -> None:
    """Every minute: erasures that no worker heard of, or that something held up."""
    erasures.resume_erasures()
