"""Handing out a finished package: each time is an entry, written before the first byte."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit import disclosure, signing
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
    sha256: str


RESUMED = timedelta(hours=24)
"""How long a download may be gone on with, in ranges, as the one download that was recorded."""


def package_path(asked: ExportRequest) -> Path:
    """Where the finished package lies; only we can read it."""
    return Path(settings.EXPORT_DIR) / f"{asked.pk}{package_suffix(asked)}"


def package_suffix(asked: ExportRequest) -> str:
    return ".zip.age" if asked.recipient else ".zip"


def open_download(officer: User, export_id: UUID, *, resumed: bool = False) -> Download:
    """Say which file it is, and record the download, before its first byte.

    `resumed`: it goes on with a download, and is not another one if the officer has begun one of
    the same package within RESUMED. Raises NotFound, Conflict.
    """
    asked, download = _package(officer, export_id)
    if resumed and _is_begun(officer, asked):
        return download
    with transaction.atomic():
        record(
            Action.EXPORT_DOWNLOADED,
            organization=officer.organization_id,
            actor=officer.actor,
            target=target(asked),
            parameters={"sha256": asked.sha256, "size": asked.size},
        )
    return download


def go_on_with_download(officer: User, export_id: UUID) -> Download:
    """The file for an officer who has begun to download it. Raises NotFound, Conflict."""
    asked, download = _package(officer, export_id)
    if not _is_begun(officer, asked):
        raise Conflict("Begin the download anew: each is recorded.")
    return download


def _package(officer: User, export_id: UUID) -> tuple[ExportRequest, Download]:
    require(officer, Permission.EXPORTS_READ)
    asked = access.export(officer, export_id)
    if not asked.is_finished or asked.size is None or asked.expires_at is None:
        raise Conflict("There is no package to download.")
    if asked.expires_at <= timezone.now():
        raise Conflict("The package was kept for its time and is deleted: ask for it again.")
    path = package_path(asked)
    if not path.is_file():
        raise NotFound("The package is not where it was put. Ask for the export again.")
    name = f"parley-export-{asked.pk}{package_suffix(asked)}"
    return asked, Download(path, name, asked.size, asked.sha256)


def _is_begun(officer: User, asked: ExportRequest) -> bool:
    """Whether a download of this officer is recorded; nothing is given before that is signed."""
    begun = disclosure.page(
        officer.organization_id,
        actions=[Action.EXPORT_DOWNLOADED],
        actor=officer.pk,
        target=str(asked.pk),
        since=timezone.now() - RESUMED,
        limit=1,
    )
    signing.hold_back(begun)
    return bool(begun)
