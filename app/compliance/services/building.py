"""Building a package: claimed by one worker at a time, in slices, and checked before use.

A worker that dies loses its lease after LEASE; whoever comes next on the same machine goes on
from its journal, elsewhere from the start. AT_ONCE are under way in a process; after SLICE a build
lets the one go on that waits longest. Nothing is offered that our own verify.py does not accept.
"""

import errno
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from app.audit import disclosure
from app.audit.actions import Action
from app.audit.context import SYSTEM, Origin, acting_as, acting_from
from app.audit.disclosure import SignedTree
from app.audit.services import record
from app.compliance import verify
from app.compliance.models import UNDER_WAY, ExportRequest, Stage, State
from app.compliance.package import age, formats, journal
from app.compliance.package.attached import NotNow
from app.compliance.package.contents import GROWING, Contents
from app.compliance.package.files import Folder, sha256_of, write_archive
from app.compliance.package.journal import Journal
from app.compliance.package.manifest import manifest, proof, readme
from app.compliance.package.previous import previous_of
from app.compliance.services.downloads import package_path
from app.compliance.services.requests import enqueue_build, target

LEASE = timedelta(seconds=60)
PATIENCE = 60.0  # seconds that we wait for the sealer
LONGEST_WAIT = timedelta(hours=6)  # since the approval, for keys or a storage to come back
KEPT = timedelta(days=7)
SLICE = 60.0  # seconds of reading and formatting before others have their turn
AT_ONCE = 2
"""Builds of a process: its other threads are left for mails and previews, and each build beside
another keeps 2.5 MiB for good. What it costs in time is in docs/performance.md."""
_BEAT = 1.0  # seconds between heartbeats
_JOURNAL = 2.0  # seconds between journals
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MOST_ITEMS = 50  # that the export's page shows

log = structlog.get_logger(__name__)


class BuildFailed(Exception):
    """The package cannot be built now; the message is for officers."""


class LeaseLost(Exception):
    """Another worker has taken over: stop without a trace."""


class SliceOver(Exception):
    """The journal is written: let others have their turn."""


_turns = threading.BoundedSemaphore(AT_ONCE)


def build_in_turn(export_id: UUID) -> None:
    """Build the package unless AT_ONCE others are under way here: it waits in its row then, and
    who ends tells the workers of the one that waits longest."""
    if not _turns.acquire(blocking=False):
        return
    try:
        build_export(export_id)
    finally:
        _turns.release()
        waiting = _free().order_by(Coalesce("heartbeat", F("decided_at") - LEASE)).first()
        if waiting is not None:
            enqueue_build(waiting.pk)


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
        except SliceOver:
            _put_back(asked)
            return False
        except NotNow as missing:
            _wait(asked, missing)
            return False
        except (BuildFailed, OSError) as failure:
            _fail(asked, _told(failure))
            return False
        except Exception as error:
            _fail(asked, f"The worker met an unforeseen error ({type(error).__name__}).")
            raise
    return True


def resume_exports() -> int:
    """Tell the workers again of every export that nobody is building; returns how many."""
    told = Q(state=State.APPROVED, decided_at__gte=timezone.now() - LEASE)
    ids = list(_free().exclude(told).values_list("pk", flat=True))
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
    clear_leftovers()
    return len(over)


def clear_leftovers() -> int:
    """Delete folders of builds that nobody will go on with; returns how many."""
    home = Path(settings.EXPORT_DIR)
    left = {path: path.name.partition(".building-")[0] for path in home.glob("*.building-*")}
    alive = ExportRequest.objects.filter(pk__in=left.values(), state__in=UNDER_WAY)
    wanted = {str(pk) for pk in alive.values_list("pk", flat=True)}
    dead = [path for path, export in left.items() if export not in wanted]
    for path in dead:
        shutil.rmtree(path, ignore_errors=True)
    return len(dead)


def _claim(export_id: UUID) -> ExportRequest | None:
    """Take the lease of an export that is to be built and that nobody is building."""
    now, lease = timezone.now(), uuid4()
    taken = (
        _free()
        .filter(pk=export_id)
        .update(
            state=State.BUILDING, lease=lease, heartbeat=now, stage=Stage.SEALING, done=0, total=0
        )
    )
    if not taken:
        return None
    found = ExportRequest.objects.select_related("organization", "requester", "decider")
    return found.get(pk=export_id, lease=lease)


def _free() -> QuerySet[ExportRequest]:
    """Exports that are to be built and that nobody builds."""
    stale = timezone.now() - LEASE
    return ExportRequest.objects.filter(
        Q(state=State.APPROVED) | Q(state=State.BUILDING, heartbeat__lte=stale)
    )


def _put_back(asked: ExportRequest) -> None:
    """Give the lease back and wait from now on, behind those that wait already."""
    mine = ExportRequest.objects.filter(pk=asked.pk, lease=asked.lease, state=State.BUILDING)
    mine.update(lease=None, heartbeat=timezone.now() - LEASE)


def _wait(asked: ExportRequest, missing: NotNow) -> None:
    """Come back when the lease would be over: nothing is wrong with what was asked for."""
    if asked.decided_at and timezone.now() - asked.decided_at > LONGEST_WAIT:
        _fail(asked, f"{missing} Tell whoever operates Parley, then ask again.")
        return
    log.warning("export_waits", export=str(asked.pk), reason=str(missing))
    mine = ExportRequest.objects.filter(pk=asked.pk, lease=asked.lease, state=State.BUILDING)
    mine.update(lease=None, heartbeat=timezone.now())


def _told(failure: Exception) -> str:
    """What officers read; never what people wrote."""
    if isinstance(failure, OSError) and failure.errno in _FULL:
        return (
            "There is not enough room on the disk for the package; nothing of it was left there."
            " Tell whoever operates Parley, or ask for less, then ask again."
        )
    if isinstance(failure, OSError):
        return f"The package could not be written ({errno.errorcode.get(failure.errno or 0, '?')})."
    return str(failure)


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
        with self._workspace() as (workspace, left), Folder(workspace) as folder:
            begun = self._begun(folder, left)
            tree = self._tree(begun)
            contents = self._read(folder, tree, begun)
            self._put_rest(folder, tree, contents)
            counts = dict(contents.counts)
            key = disclosure.verifier_key(self.organization)
            if key is None:
                raise BuildFailed("The log has no key on record that its checkpoints verify with.")
            previous = previous_of(self.asked, tree.size)
            data = manifest(self.asked, tree, key, folder, counts=counts, previous=previous)
            folder.put("manifest.json", data)
            entry = self._log_manifest(folder, tree, counts)
            index, later = self._wait_for(entry, Stage.LOGGING)
            folder.put("manifest.tlog-proof", proof(self.organization, entry, index, tree, later))
            self._beat(Stage.CHECKING, 0, 1, force=True)
            self._finish(folder, workspace, tree, key, contents)

    def _begun(self, folder: Folder, left: Path | None) -> Journal | None:
        """What a worker before us has done, copied into our folder."""
        begun = journal.read(left) if left else None
        if begun and left:
            folder.take_over(left, begun.files, growing=GROWING)
        return begun

    def _tree(self, begun: Journal | None) -> SignedTree:
        """The tree that is exported: the same one as before, or the latest."""
        if begun is None:
            return self._wait_for(self.asked.decision_entry, Stage.SEALING)[1]
        found = disclosure.tree_of(self.organization, begun.size)
        if found is None:
            raise BuildFailed("The checkpoint that the build began with is not there any more.")
        return found

    def _read(self, folder: Folder, tree: SignedTree, begun: Journal | None) -> Contents:
        """Write all that grows, in slices: data files, then the formats that are made of them."""
        contents = Contents(folder, self.asked, tree.size, begun.contents if begun else None)
        done = Journal(
            tree.size, begun.position if begun else 0, {}, begun.formats if begun else [], {}
        )
        started = written = time.monotonic()

        def at_rest(position: int) -> None:
            """The files are whole up to here."""
            nonlocal written
            done.position = position
            self._beat(Stage.READING, position, tree.size)
            now = time.monotonic()
            if now - written > _JOURNAL or now - started > SLICE:
                written = now
                done.contents, done.files = contents.state(), folder.lengths()
                done.write(folder.path)
            if now - started > SLICE:
                raise SliceOver

        self._beat(Stage.READING, done.position, tree.size, force=True)
        contents.write(done.position, at_rest)
        for name in self.asked.formats:
            if name not in done.formats:
                for file in folder.files.values():
                    file.flush()
                formats.write(name, folder, self._formatting(contents))
                done.formats.append(name)
                at_rest(tree.size)
        return contents

    def _formatting(self, contents: Contents) -> Callable[[int], None]:
        total = contents.counts["versions"]
        return lambda number: self._beat(Stage.FORMATTING, number, total)

    def _put_rest(self, folder: Folder, tree: SignedTree, contents: Contents) -> None:
        contents.write_rest()
        folder.put("checkpoint", disclosure.cosigned(self.organization, tree).encode())
        witnessed = disclosure.witnessed_tree(self.organization, tree.size)
        if witnessed and witnessed.size < tree.size:
            note = disclosure.cosigned(self.organization, witnessed)
            folder.put(verify.WITNESSED, note.encode())
        folder.put("README.txt", readme(self.asked, tree))
        folder.put("verify.py", Path(verify.__file__).read_bytes())
        for file in folder.files.values():
            file.close()

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
        self, folder: Folder, workspace: Path, tree: SignedTree, key: str, contents: Contents
    ) -> None:
        archive = workspace / "package.zip"
        digest = write_archive(archive, workspace, sorted(folder.files), self._checking)
        partial = bool(contents.items.failures)
        self._check(archive, key, partial=partial)
        if self.asked.recipient:
            plain, archive = archive, workspace / "package.zip.age"
            age.encrypt(plain, archive, self.asked.recipient)
            plain.unlink()
            digest = sha256_of(archive)
        now = timezone.now()
        mine = ExportRequest.objects.filter(pk=self.asked.pk, lease=self.asked.lease)
        size = archive.stat().st_size
        with transaction.atomic():
            taken = mine.filter(state=State.BUILDING).update(
                state=State.PARTIAL if partial else State.READY,
                stage=Stage.NONE,
                finished_at=now,
                expires_at=now + KEPT,
                size=size,
                sha256=digest,
                manifest_sha256=folder.files["manifest.json"].described()["sha256"],
                checkpoint=tree.note,
                counts=dict(contents.counts),
                partial_items=contents.items.partial()[:_MOST_ITEMS],
                failure="",
            )
            if not taken:
                raise LeaseLost
            archive.replace(package_path(self.asked))

    def _checking(self) -> None:
        self._beat(Stage.CHECKING, 0, 1)

    def _check(self, archive: Path, key: str, *, partial: bool) -> None:
        """Our own program must accept the package; what could not be opened is told as partial."""
        try:
            found = verify.verify(str(archive), key, beat=self._checking)
        except verify.CannotCheck as error:
            raise BuildFailed(f"The finished package cannot be checked: {error}") from error
        told = ("content-missing", "file-content-missing") if partial else ()
        wrong = [item for item in found.problems if item.code not in told]
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
    def _workspace(self) -> Iterator[tuple[Path, Path | None]]:
        """A folder of this lease, and one that a lease before it left.

        Gone afterwards, because it holds what people wrote, unless the build goes on later.
        """
        home = Path(settings.EXPORT_DIR)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        left = sorted(home.glob(f"{self.asked.pk}.building-*"), key=_age)
        workspace = home / f"{self.asked.pk}.building-{self.asked.lease}"
        workspace.mkdir(mode=0o700)
        goes_on = False
        try:
            yield workspace, left[-1] if left else None
        except SliceOver:
            goes_on = True
            raise
        finally:
            for path in left if goes_on else [*left, workspace]:
                shutil.rmtree(path, ignore_errors=True)


def _age(folder: Path) -> float:
    return folder.stat().st_mtime
