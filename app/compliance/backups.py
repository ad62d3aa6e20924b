"""Backups of the database, and what a restored one says of itself.

A backup is a folder: `database.dump` (pg_dump's custom format) and `manifest.json`, which is
written last and has the dump's hash and how long each log was at the very moment of the dump. All
texts in it are sealed; the keys that open them are elsewhere, and so is the list of erasures,
which a restore must not touch (docs/keys.md).
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection

from app.audit.access import organizations
from app.audit.disclosure import latest_tree
from app.audit.findings import Report
from app.audit.outside import kept_outside
from app.audit.verification import compared
from app.encryption import erasures
from app.encryption.access import erased_but_alive

FORMAT = "parley/backup/v1"
DUMP, MANIFEST = "database.dump", "manifest.json"
Say = Callable[[str], None]


class BackupFailed(Exception):
    """Says what to do; never holds what a program printed, which may quote rows."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`logs`: of each organization (id) the signed size of its log."""

    format: str
    at: str
    server: int
    bytes: int
    sha256: str
    logs: dict[str, int]


def take(folder: Path, *, programs: Path | None = None, say: Say = print) -> Manifest:
    """Back the database up into `folder`, which is made. As the owner of the database.

    Raises BackupFailed. A backup that was cut off has no manifest and is none.
    """
    if (folder / MANIFEST).exists():
        raise BackupFailed(f"{folder} holds a backup already: name another folder.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    dump = folder / DUMP
    with _snapshot() as name:
        server, logs = _number("current_setting('server_version_num')::int"), _sizes()
        size = _number("pg_database_size(current_database())")
        say(f"dumping {size / 1e6:.0f} MB of PostgreSQL {server // 10000} …")
        options = ["--format=custom", "--snapshot", name, "--file", str(dump)]
        _run("pg_dump", options, programs)
    dump.chmod(0o600)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = Manifest(FORMAT, now, server, dump.stat().st_size, _sha256(dump), logs)
    draft = folder / f"{MANIFEST}.part"
    with draft.open("w") as file:
        json.dump(asdict(made), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / MANIFEST)
    return made


def put_back(folder: Path, *, programs: Path | None = None, say: Say = print) -> Manifest:
    """Restore the backup into the database that we are connected to, all of it or nothing.

    The database must be empty, and have its roles (`manage.py database_roles`). As its owner.
    Raises BackupFailed.
    """
    manifest = read(folder)
    if _number(
        "count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ):
        raise BackupFailed(
            "This database is not empty: make another one (`manage.py database_roles`)."
        )
    connection.close()
    say(f"restoring {manifest.bytes / 1e6:.0f} MB of {manifest.at} …")
    options = ["--no-owner", "--single-transaction", "--exit-on-error"]
    database = ["--dbname", str(connection.settings_dict["NAME"])]
    _run("pg_restore", [*options, *database, str(folder / DUMP)], programs)
    return manifest


def read(folder: Path) -> Manifest:
    """The manifest, and the dump compared with it. Raises BackupFailed."""
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
    except FileNotFoundError:
        raise BackupFailed(f"{folder} has no {MANIFEST}: it is no backup, or a cut one.") from None
    except (ValueError, TypeError):
        raise BackupFailed(f"{folder / MANIFEST} cannot be read.") from None
    if manifest.format != FORMAT:
        raise BackupFailed(f"{folder} is a backup of another kind: {manifest.format}.")
    dump = folder / DUMP
    if not dump.exists() or _sha256(dump) != manifest.sha256:
        raise BackupFailed(f"{dump} is not what was backed up: take another backup.")
    return manifest


@dataclass(frozen=True, slots=True)
class Standing:
    """What one log says after a restore. `outside`: the longest that anybody outside has seen it,
    in entries, and who that is."""

    report: Report
    outside: int = 0
    by: str = ""

    @property
    def missing(self) -> int:
        """Entries that were signed, are kept outside, and are not here."""
        return max(0, self.outside - self.report.size)


@dataclass(slots=True)
class Recovery:
    """What a restored database lacks."""

    alive: int = 0
    """Data keys that were erased and are here again: `manage.py keys replay-erasures`."""
    logs: list[Standing] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not self.alive and all(
            one.report.ok and not one.report.unread and not one.missing for one in self.logs
        )


def recovery() -> Recovery:
    """Verify every log against what is kept outside of it, and look for erased keys."""
    found = Recovery(alive=erased_but_alive(erasures.listed()))
    for organization in organizations():
        found.logs.append(_standing(organization))
    return found


def _standing(organization: UUID) -> Standing:
    outside = kept_outside(organization)
    report = compared(organization, outside)
    longest = max(outside.known, key=lambda one: one.size, default=None)
    return Standing(report, longest.size, longest.by) if longest else Standing(report)


@contextmanager
def _snapshot() -> Iterator[str]:
    """What the manifest counts and what is dumped are the same moment."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            cursor.execute("SELECT pg_export_snapshot()")
            row: Any = cursor.fetchone()
            yield row[0]
        finally:
            cursor.execute("ROLLBACK")


def _sizes() -> dict[str, int]:
    trees = {organization: latest_tree(organization) for organization in organizations()}
    return {str(organization): tree.size if tree else 0 for organization, tree in trees.items()}


def _number(what: str) -> int:
    """`what` is ours."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {what}")
        row: Any = cursor.fetchone()
    return int(row[0])


def _run(program: str, options: list[str], programs: Path | None) -> None:
    found = shutil.which(program, path=str(programs) if programs else None)
    if found is None:
        raise BackupFailed(
            f"{program} is not here: install PostgreSQL's client, or --programs DIR."
        )
    given = connection.settings_dict
    # In the environment: an argument could be read by anybody on this machine.
    address = {
        "PGHOST": given["HOST"],
        "PGPORT": given["PORT"],
        "PGUSER": given["USER"],
        "PGPASSWORD": given["PASSWORD"],
        "PGDATABASE": given["NAME"],
        "PGSSLMODE": given.get("OPTIONS", {}).get("sslmode", ""),
    }
    done = subprocess.run(  # noqa: S603 - a program of PostgreSQL's, our words
        [found, *options],
        env=os.environ | {name: str(value) for name, value in address.items() if value},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        first = done.stderr.strip().partition("\n")[0]
        # Its first line names the step; what follows may be a row.
        raise BackupFailed(f"{program} failed: {first[:200]}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
