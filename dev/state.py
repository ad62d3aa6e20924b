"""The state folder `.parley/`: data, secrets and addresses of the development stack.

`env` holds what every process of ours reads; `env.owner` and `env.sealer` what only the
process of that role may know. Secrets are made once, readable by their maker alone.
"""

import base64
import fcntl
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from dev.errors import SetupProblem

PROJECT = Path(__file__).resolve().parent.parent
STATE = PROJECT / ".parley"


class State:
    """One state folder, used by one supervisor at a time."""

    def __init__(self, folder: Path = STATE) -> None:
        self.folder = folder
        self._lock: int | None = None

    def open(self) -> None:
        """Make the folder and keep others out until this process ends, however it ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.folder.stat().st_uid != os.geteuid():
            raise SetupProblem(
                f"{self.folder} belongs to {self.folder.owner()}: run as that user, or delete it"
                " (its data is lost then)."
            )
        self._lock = os.open(self.folder / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = os.read(self._lock, 200).decode(errors="replace").strip()
            raise SetupProblem(f"Parley is running from this folder already ({said}).") from None

    def announce(self, what: str) -> None:
        """What somebody who finds the lock taken is told."""
        assert self._lock is not None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, what.encode(), 0)

    def file(self, name: str) -> Path:
        return self.folder / name

    def secrets(self) -> dict[str, str]:
        """The secrets of `env`: those there are, and new ones for those that are missing."""
        return new_secrets(read_env(self.file("env")))

    def key_file(self, name: str) -> Path:
        """A file of 32 random bytes in base64, made once."""
        path = self.file(name)
        if not path.exists():
            write_privately(path, _key() + "\n")
        return path


def new_secrets(known: Mapping[str, str]) -> dict[str, str]:
    """The secrets that every process of the app needs: those of `known`, else new ones."""
    made = {
        "SECRET_KEY": secrets.token_urlsafe(64),
        "JWT_SIGNING_KEY": secrets.token_urlsafe(64),
        "FIELD_ENCRYPTION_KEY": _key(),
        "AUDIT_PSEUDONYM_KEY": _key(),
        "BLIND_INDEX_KEY": _key(),
    }
    return {name: known.get(name) or value for name, value in made.items()}


def read_env(path: Path) -> dict[str, str]:
    """The `NAME=value` lines of a file that `write_env` wrote; nothing where there is none."""
    if not path.exists():
        return {}
    lines = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, separator, value in lines if separator and name[:1] != "#"}


def write_env(path: Path, values: Mapping[str, str]) -> None:
    lines = ["# Made once. A variable of the environment wins over a line here."]
    lines += [f"{name}={value}" for name, value in values.items()]
    write_privately(path, "\n".join(lines) + "\n")


def write_privately(path: Path, text: str) -> None:
    """Replace the file at once (a crash leaves the old or the new one), with mode 600."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as output:
        output.write(text)
        output.flush()
        os.fsync(output.fileno())
    draft.replace(path)


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
