"""Writing a package's files: JSON Lines and others, hashed and counted as they are written."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# The earliest time that a zip can hold: the archive's bytes depend on nothing but its files.
EPOCH = (1980, 1, 1, 0, 0, 0)
_PRIVATE = 0o600
# A build has fifteen files open at once, and a worker has several: what is freed of a large buffer
# stays with the thread's heap, and is not given to the others (docs/performance.md).
_CHUNK = 1 << 16


class HashedFile:
    """A new file that only we can read, with its size, hash and number of rows."""

    def __init__(self, path: Path, name: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        self._file = os.fdopen(descriptor, "wb", buffering=_CHUNK)
        self._digest = hashlib.sha256()
        self.name = name
        self.bytes = 0
        self.rows = 0

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self._digest.update(data)
        self.bytes += len(data)
        return len(data)

    def row(self, data: bytes) -> None:
        """Write one line; `data` holds no line feed."""
        self.write(data + b"\n")
        self.rows += 1

    def json(self, value: dict[str, Any]) -> None:
        self.row(compact(value))

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def close(self) -> None:
        self._file.close()

    def described(self) -> dict[str, Any]:
        """As the manifest lists it."""
        listed: dict[str, Any] = {"bytes": self.bytes, "sha256": self._digest.hexdigest()}
        return listed | ({"rows": self.rows} if self.rows or self.name.endswith("l") else {})


class Folder:
    """A package's files by name; closes them all, and what it still holds back is then written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, HashedFile] = {}

    def open(self, name: str) -> HashedFile:
        """A new file; its name may have one folder before it."""
        path = self.path / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self.files[name] = HashedFile(path, name)
        return self.files[name]

    def put(self, name: str, data: bytes) -> None:
        """A whole file at once."""
        file = self.open(name)
        file.write(data)
        file.close()

    def lengths(self) -> dict[str, list[int]]:
        """Bytes and rows of each file, after all of them are on their way to the disk."""
        for file in self.files.values():
            file.flush()
        return {name: [file.bytes, file.rows] for name, file in self.files.items()}

    def take_over(
        self, other: Path, lengths: dict[str, list[int]], growing: Collection[str]
    ) -> None:
        """Begin with the first bytes of another folder's files; they are hashed as they come.

        Copied, because a worker that is thought dead may still hold those files open.
        """
        for name, (length, rows) in lengths.items():
            file, left = self.open(name), length
            with (other / name).open("rb") as source:
                while left and (chunk := source.read(min(_CHUNK, left))):
                    file.write(chunk)
                    left -= len(chunk)
            if left:
                raise ValueError(f"{name} is shorter than its journal says")
            file.rows = rows
            if name not in growing:
                file.close()

    def drop(self, name: str) -> None:
        """Delete a file that was begun and not finished; there may be none."""
        if name in self.files:
            self.files.pop(name).close()
        (self.path / name).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self.files.values():
            try:
                file.close()
            except OSError:  # a full disk, which was told already
                if error is None:
                    raise


def compact(value: dict[str, Any]) -> bytes:
    """One line of JSON; a lone surrogate, which UTF-8 cannot hold, is escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def write_archive(
    archive: Path, folder: Path, names: Iterable[str], beat: Callable[[], None] = lambda: None
) -> str:
    """Zip the files in this order, byte for byte the same each time; returns its SHA-256."""
    descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w") as made:
        for name in names:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = _PRIVATE << 16
            entry.create_system = 3  # Unix, wherever we run
            with made.open(entry, "w", force_zip64=True) as inside, (folder / name).open("rb") as f:
                while chunk := f.read(_CHUNK):
                    inside.write(chunk)
                    beat()
    return sha256_of(archive)


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
