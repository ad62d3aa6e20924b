"""A folder: for one machine, or for a file system that all processes share."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from app.chat.attachments.storage.faults import Missing, Reason, asked, failed

_UNFINISHED = ".unfinished"
_ABANDONED = 3600.0  # seconds: a process that was killed left it
_REASONS = {
    errno.ENOSPC: Reason.FULL,
    errno.EDQUOT: Reason.FULL,
    errno.EFBIG: Reason.FULL,
    errno.EACCES: Reason.DENIED,
    errno.EPERM: Reason.DENIED,
    errno.EROFS: Reason.DENIED,
    # What a file system of another machine says when that is away.
    **dict.fromkeys((errno.EIO, errno.ESTALE, errno.ETIMEDOUT), Reason.UNREACHABLE),
    **dict.fromkeys((errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN), Reason.UNREACHABLE),
}


class FolderStorage:
    def __init__(self, root: str) -> None:
        self._root = Path(root)
        with self._faults(""):
            self._sweep()

    def put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        draft = self._root / _UNFINISHED / uuid4().hex
        with self._faults(name):
            _make_private(path.parent)
            try:
                _write(draft, data)
                # A link, not a rename: it refuses to replace what is there.
                os.link(draft, path)
            except FileExistsError:
                return
            finally:
                draft.unlink(missing_ok=True)
            _flush(path.parent)

    def get(self, name: str) -> bytes:
        with self._faults(name):
            return self._path(name).read_bytes()

    def delete(self, name: str) -> None:
        path = self._path(name)
        with self._faults(name):
            path.unlink(missing_ok=True)
            self._remove_empty(path.parent)

    def exists(self, name: str) -> bool:
        with self._faults(name):
            return self._path(name).exists()

    def _path(self, name: str) -> Path:
        path = self._root / name
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise ValueError("a name that leaves the folder")
        return path

    def _sweep(self) -> None:
        """Once a process: what others did not finish long ago."""
        unfinished = self._root / _UNFINISHED
        _make_private(unfinished)
        for draft in unfinished.iterdir():
            if time.time() - draft.stat().st_mtime > _ABANDONED:
                draft.unlink(missing_ok=True)

    def _remove_empty(self, folder: Path) -> None:
        try:
            while folder != self._root:
                folder.rmdir()
                folder = folder.parent
        except OSError:
            return  # not empty, or somebody was faster

    @contextmanager
    def _faults(self, name: str) -> Iterator[None]:
        with asked():
            try:
                yield
            except FileNotFoundError:
                raise Missing(name) from None
            except OSError as error:
                reason = _REASONS.get(error.errno or 0, Reason.FAILED)
                told = errno.errorcode.get(error.errno or 0, "OSError")
                where = f"file://{self._root}"
                raise failed(reason, where=where, name=name, detail=told) from error


def _make_private(folder: Path) -> None:
    """With all that is missing above it: `mkdir` gives its mode to the last folder alone."""
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(handle)


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
