"""The list of erased data keys, kept outside the database.

A backup of the database holds keys that were destroyed after it was made. The list says which,
so that they are destroyed again after a restore, before anyone is let in. It is append-only
text, one line a key; ids alone, nothing that anybody wrote.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from django.conf import settings

from app.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Listed:
    """One erased data key; `at` is UTC as the trail spells it, `reason` a word of `Reason`."""

    at: str
    organization: UUID
    conversation: UUID | None
    month: date
    key: UUID
    reason: str

    def line(self) -> str:
        """`v1 at organization conversation|- month key reason check`, without a line end.

        `check` is the first 16 hex digits of the SHA-256 of what stands before it.
        """
        conversation = self.conversation or "-"
        told = (
            f"v1 {self.at} {self.organization} {conversation} {self.month} {self.key} {self.reason}"
        )
        return f"{told} {_check(told)}"


class ErasureListUnusable(Unavailable):
    """The list cannot be read or written; without it nothing is erased and nobody let in."""


def append(erased: Sequence[Listed]) -> None:
    """Write the lines and return once they are on the disk; all of them or none.

    Raises ErasureListUnusable.
    """
    lines = "".join(f"{one.line()}\n" for one in erased).encode()
    with _opened(os.O_RDWR | os.O_CREAT) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # A line without an end was cut off by a crash: its key was not destroyed.
        end = _read(file).rfind(b"\n") + 1
        os.ftruncate(file, end)
        os.lseek(file, end, os.SEEK_SET)
        try:
            _write_all(file, lines)
            os.fsync(file)
        except OSError:
            os.ftruncate(file, end)
            raise
    _sync_folder(_path().parent)


def listed() -> frozenset[UUID]:
    """The ids of all erased keys; read again only when the file has changed.

    No file is an empty list. Raises ErasureListUnusable.
    """
    try:
        found = _path().stat()
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise _unusable(error.strerror) from error
    return _keys(_path(), found.st_ino, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=1)
def _keys(path: Path, inode: int, changed: int, size: int) -> frozenset[UUID]:
    return frozenset(one.key for one in entries())


def entries() -> list[Listed]:
    """Every line of the list, in order. Raises ErasureListUnusable, naming a damaged line."""
    try:
        with _opened(os.O_RDONLY) as file:
            lines = _read(file).split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [_parsed(number, line) for number, line in enumerate(lines, 1)]


def _parsed(number: int, line: bytes) -> Listed:
    try:
        told, check = line.decode("ascii").rsplit(" ", 1)
        version, at, organization, conversation, month, key, reason = told.split(" ")
        if version != "v1" or check != _check(told):
            raise ValueError(version)
        return Listed(
            at,
            UUID(organization),
            None if conversation == "-" else UUID(conversation),
            date.fromisoformat(month),
            UUID(key),
            reason,
        )
    except ValueError:
        raise _unusable(f"line {number} was changed or damaged") from None


def _check(told: str) -> str:
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _path() -> Path:
    return Path(settings.ERASURE_LIST)


@contextmanager
def _opened(flags: int) -> Iterator[int]:
    try:
        file = os.open(_path(), flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        if flags & os.O_CREAT:
            raise _unusable("its folder is missing") from None
        raise
    except OSError as error:
        raise _unusable(error.strerror) from error
    try:
        yield file
    except OSError as error:
        raise _unusable(error.strerror) from error
    finally:
        os.close(file)


def _unusable(why: str | None) -> ErasureListUnusable:
    return ErasureListUnusable(f"The list of erasures (ERASURE_LIST) cannot be used: {why}.")


def _read(file: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    return b"".join(iter(lambda: os.read(file, 1 << 20), b""))


def _write_all(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
