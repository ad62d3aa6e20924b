"""Building a package: claimed by one worker at a time, from the start, and checked before use.

A worker that dies loses its lease after LEASE; whoever comes next begins again. Nothing is
offered that our own verify.py, run on the finished file, does not accept.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from app.audit import disclosure
from app.audit.actions import Action
from app.audit.context import SYSTEM, Origin, acting_as, acting_from
from app.audit.disclosure import SignedTree
from app.audit.services import record
from app.compliance import verify
from app.compliance.models import UNDER_WAY, ExportRequest, Stage, State
from app.compliance.package.contents import Contents
from app.compliance.package.files import Folder, write_archive
from app.compliance.package.manifest import manifest, proof, readme
from app.compliance.services.downloads import package_path
from app.compliance.services.requests import enqueue_build, target

LEASE = timedelta(seconds=60)
PATIENCE = 60.0  # seconds that we wait for the sealer
KEPT = timedelta(days=7)
_BEAT = 1.0  # seconds between heartbeats

log = structlog.get_logger(__name__)


class BuildFailed(Exception):
    """The package cannot be built now; the message is for officers."""


class LeaseLost(Exception):
    """Another worker has taken over: stop without a trace."""


def build_export(export_id: UUID) -> bool:
    """Build the package if nobody else does; True if this call finished it."""
    asked = _claim(export_id)
    if asked is None:
        return False
    job = Origin(request_id=f"export-{export_id}", method="job")
    with acting_from(job), acting_as(SYSTEM):
        try:
            _Build(asked).run()
        except LeaseLost:
            log.info("export_lease_lost", export=str(export_id))
            return False
        except BuildFailed as failure:
            _fail(asked, str(failure))
            return False
        except Exception as error:
            _fail(asked, f"The worker met an unforeseen error ({type(error).__name__}).")
            raise
    return True


def resume_exports() -> int:
    """Tell the workers again of every export that nobody is building; returns how many."""
    stale = timezone.now() - LEASE
    found = ExportRequest.objects.filter(
        Q(state=State.APPROVED, decided_at__lt=stale) | Q(state=State.BUILDING, heartbeat__lt=stale)
    ).values_list("pk", flat=True)
    ids = list(found)
    for export_id in ids:
        enqueue_build(export_id)
    return len(ids)


def expire_exports() -> int:
    """Delete packages whose time is over, each with its entry; returns how many."""
    over = ExportRequest.objects.filter(
        state__in=[State.READY, State.PARTIAL], expires_at__lte=timezone.now()
    )
    for asked in over:
        package_path(asked).unlink(missing_ok=True)
        with transaction.atomic():
            record(
                Action.EXPORT_DELETED,
                organization=asked.organization_id,
                actor=SYSTEM,
                target=target(asked),
                before={"state": asked.state, "sha256": asked.sha256},
                after={"state": State.EXPIRED.value},
            )
            ExportRequest.objects.filter(pk=asked.pk).update(state=State.EXPIRED)
    return len(over)


def _claim(export_id: UUID) -> ExportRequest | None:
    """Take the lease of an export that is to be built and that nobody is building."""
    now, lease = timezone.now(), uuid4()
    free = Q(state=State.APPROVED) | Q(state=State.BUILDING, heartbeat__lt=now - LEASE)
    taken = ExportRequest.objects.filter(free, pk=export_id).update(
        state=State.BUILDING, lease=lease, heartbeat=now, stage=Stage.SEALING, done=0, total=0
    )
    if not taken:
        return None
    found = ExportRequest.objects.select_related("organization", "requester", "decider")
    return found.get(pk=export_id, lease=lease)


def _fail(asked: ExportRequest, text: str) -> None:
    with transaction.atomic():
        mine = ExportRequest.objects.filter(pk=asked.pk, lease=asked.lease, state=State.BUILDING)
        if mine.update(state=State.FAILED, failure=text, finished_at=timezone.now()):
            record(
                Action.EXPORT_FAILED,
                organization=asked.organization_id,
                actor=SYSTEM,
                target=target(asked),
                after={"state": State.FAILED.value, "failure": text},
                outcome="failure",
            )


class _Build:
    """One run under one lease."""

    def __init__(self, asked: ExportRequest) -> None:
        self.asked = asked
        self.organization: UUID = asked.organization_id
        self._beaten = 0.0

    def run(self) -> None:
        tree = self._wait_for(self.asked.decision_entry, Stage.SEALING)[1]
        with self._workspace() as workspace, Folder(workspace) as folder:
            self._beat(Stage.READING, 0, tree.size, force=True)
            counts = self._write_data(folder, tree)
            key = disclosure.verifier_key(self.organization)
            if key is None:
                raise BuildFailed("The log has no key on record that its checkpoints verify with.")
            data = manifest(self.asked, tree, key, folder, counts)
            folder.put("manifest.json", data)
            entry = self._log_manifest(folder, tree, counts)
            index, later = self._wait_for(entry, Stage.LOGGING)
            folder.put("manifest.tlog-proof", proof(self.organization, entry, index, tree, later))
            self._beat(Stage.CHECKING, 0, 1, force=True)
            self._finish(folder, workspace, tree, key, counts)

    def _write_data(self, folder: Folder, tree: SignedTree) -> dict[str, int]:
        contents = Contents(folder, self.asked, tree.size)
        contents.write(lambda done: self._beat(Stage.READING, done, tree.size))
        folder.put("checkpoint", tree.note.encode())
        folder.put("README.txt", readme(self.asked, tree))
        folder.put("verify.py", Path(verify.__file__).read_bytes())
        for file in folder.files.values():
            file.close()
        return dict(contents.counts)

    def _log_manifest(self, folder: Folder, tree: SignedTree, counts: dict[str, int]) -> int:
        """From here on nobody, we included, can show another manifest for this export's entry."""
        digest = folder.files["manifest.json"].described()["sha256"]
        with transaction.atomic():
            entry = record(
                Action.EXPORT_BUILT,
                organization=self.organization,
                actor=SYSTEM,
                target=target(self.asked),
                after={"manifest_sha256": digest, "size": tree.size, "counts": counts},
            )
        return entry.pk

    def _finish(
        self, folder: Folder, workspace: Path, tree: SignedTree, key: str, counts: dict[str, int]
    ) -> None:
        archive = workspace / "package.zip"
        digest = write_archive(archive, workspace, sorted(folder.files))
        self._check(archive, key, partial=bool(counts.get("texts_missing")))
        now = timezone.now()
        mine = ExportRequest.objects.filter(pk=self.asked.pk, lease=self.asked.lease)
        size = archive.stat().st_size
        with transaction.atomic():
            taken = mine.filter(state=State.BUILDING).update(
                state=State.PARTIAL if counts.get("texts_missing") else State.READY,
                stage=Stage.NONE,
                finished_at=now,
                expires_at=now + KEPT,
                size=size,
                sha256=digest,
                manifest_sha256=folder.files["manifest.json"].described()["sha256"],
                checkpoint=tree.note,
                counts=counts,
                failure="",
            )
            if not taken:
                raise LeaseLost
            archive.replace(package_path(self.asked))

    def _check(self, archive: Path, key: str, *, partial: bool) -> None:
        """Our own program must accept the package; what could not be opened is told as partial."""
        try:
            found = verify.verify(str(archive), key).problems
        except verify.CannotCheck as error:
            raise BuildFailed(f"The finished package cannot be checked: {error}") from error
        wrong = [item for item in found if not (partial and item.code == "content-missing")]
        if wrong:
            first = wrong[0]
            raise BuildFailed(
                f"The finished package was refused by its own check: {first.code}"
                f" in {first.file or 'the package'}, leaf {first.leaf}."
                " Verify the log (manage.py audit_verify) before asking again."
            )

    def _wait_for(self, entry_id: int | None, stage: Stage) -> tuple[int, SignedTree]:
        """The entry's index and the checkpoint that holds it; BuildFailed after PATIENCE."""
        if entry_id is None:
            raise BuildFailed("The approval has no entry in the trail.")
        deadline = time.monotonic() + PATIENCE
        self._beat(stage, 0, 0, force=True)
        while True:
            found = disclosure.tree_with(self.organization, entry_id)
            if found:
                return found
            if time.monotonic() > deadline:
                raise BuildFailed(
                    f"The log was not sealed within {PATIENCE:.0f} seconds. The sealer may have"
                    " stopped: tell whoever operates Parley, then ask again."
                )
            self._beat(stage, 0, 0)
            time.sleep(0.2)

    def _beat(self, stage: Stage, done: int, total: int, *, force: bool = False) -> None:
        """Show progress and keep the lease. Raises LeaseLost."""
        now = time.monotonic()
        if not force and now - self._beaten < _BEAT:
            return
        self._beaten = now
        mine = ExportRequest.objects.filter(pk=self.asked.pk, lease=self.asked.lease)
        if not mine.filter(state__in=UNDER_WAY).update(
            heartbeat=timezone.now(), stage=stage, done=done, total=total
        ):
            raise LeaseLost

    @contextmanager
    def _workspace(self) -> Iterator[Path]:
        """A folder of this lease, gone afterwards: it holds what people wrote."""
        home = Path(settings.EXPORT_DIR)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in home.glob(f"{self.asked.pk}.building-*"):
            shutil.rmtree(left, ignore_errors=True)
        workspace = home / f"{self.asked.pk}.building-{self.asked.lease}"
        workspace.mkdir(mode=0o700)
        try:
            yield workspace
        finally:
            shutil.rmtree(workspace, ignore_errors=True)
