"""Handing out a finished package: each time is an entry, written before the first byte."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.services import record
from app.compliance import access
from app.compliance.models import ExportRequest
from app.compliance.services.requests import target
from app.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Download:
    """A file to hand out; `size` in bytes."""

    path: Path
    name: str
    size: int


def package_path(asked: ExportRequest) -> Path:
    """Where the finished package lies; only we can read it."""
    return Path(settings.EXPORT_DIR) / f"{asked.pk}{package_suffix(asked)}"


def package_suffix(asked: ExportRequest) -> str:
    return ".zip.age" if asked.recipient else ".zip"


def open_download(officer: User, export_id: UUID) -> Download:
    """Record the download and say which file it is. Raises NotFound, Conflict."""
    require(officer, Permission.EXPORTS_READ)
    asked = access.export(officer, export_id)
    if not asked.is_finished or asked.size is None or asked.expires_at is None:
        raise Conflict("There is no package to download.")
    if asked.expires_at <= timezone.now():
        raise Conflict("The package was kept for its time and is deleted: ask for it again.")
    path = package_path(asked)
    if not path.is_file():
        raise NotFound("The package is not where it was put. Ask for the export again.")
    with transaction.atomic():
        record(
            Action.EXPORT_DOWNLOADED,
            organization=officer.organization_id,
            actor=officer.actor,
            target=target(asked),
            parameters={"sha256": asked.sha256, "size": asked.size},
        )
    return Download(path, f"parley-export-{asked.pk}{package_suffix(asked)}", asked.size)
