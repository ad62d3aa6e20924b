"""Runs a server as somebody who may be its owner: PostgreSQL refuses to be root.

A child that is started here dies with the thread that started it, even when that is
killed by SIGKILL: the kernel sends it `on_parent_death` (prctl PR_SET_PDEATHSIG).
"""

import functools
import hashlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from dev.errors import SetupProblem

try:
    NOBODY = pwd.getpwnam("nobody").pw_uid  # initdb wants a user that has a name
except KeyError:
    NOBODY = 65534
# Lets the unprivileged server walk through folders that only root may enter (/root/project),
# so that neither modes nor places of anybody's folders change. It gives no other power of root.
_TRAVERSE = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]


def is_root() -> bool:
    return os.geteuid() == 0


def dying_with_parent(command: list[str], *, on_parent_death: str) -> list[str]:
    """`command`, which gets the named signal when its parent dies. Needs util-linux."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", on_parent_death, *command] if setpriv else command


def as_server_owner(command: list[str], *, on_parent_death: str = "keep") -> list[str]:
    """`command` for PostgreSQL: as it is for a person, as nobody for root."""
    if not is_root():
        if on_parent_death == "keep":
            return command
        return dying_with_parent(command, on_parent_death=on_parent_death)
    return [*_unprivileged(), "--pdeathsig", on_parent_death, *command]


def give_to_server_owner(folder: Path) -> None:
    """Make `folder` belong to whom `as_server_owner` runs as."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_root():
        os.chown(folder, NOBODY, NOBODY)


def reaches(path: Path) -> bool:
    """Whether whom `as_server_owner` runs as can get at `path`, through all its parents."""
    if not is_root():
        return True
    # Really going there: access(2), which `test` asks, leaves capabilities out of account.
    command = as_server_owner(["stat", f"{path}/." if path.is_dir() else str(path)])
    return subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0


def within_reach(name: str, folder: Path) -> Path:
    """A folder of root's that everybody may enter, for `name` of the folder out of reach.

    Only where the kernel does not let nobody walk through root's folders (some sandboxes).
    """
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    place = Path("/var/tmp") / f"parley-{name}-{digest}"  # noqa: S108  # checked below
    place.mkdir(mode=0o711, exist_ok=True)
    if place.is_symlink() or place.stat().st_uid != os.geteuid():
        raise SetupProblem(f"{place} belongs to somebody else: delete it.")
    place.chmod(0o711)
    return place


@functools.cache
def _unprivileged() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    if not setpriv:
        raise SetupProblem(
            "PostgreSQL refuses to run as root, and `setpriv` (package util-linux) is not here"
            " to start it as nobody. Install it, or work as an ordinary user."
        )
    switch = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    for attempt in ([*switch, *_TRAVERSE], switch):
        probe = subprocess.run([*attempt, "true"], capture_output=True, text=True, check=False)
        if probe.returncode == 0:
            return tuple(attempt)
    raise SetupProblem(
        "PostgreSQL refuses to run as root, and this machine does not let root start it as"
        f" nobody ({probe.stderr.strip()}). Work as an ordinary user, or set DATABASE_URL."
    )
