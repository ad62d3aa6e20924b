"""How far a build is, on disk beside its files, so that whoever comes next goes on from there.

Replaced as a whole: it is the last one or the one before, never half of one. What the files hold
beyond the lengths that it says is thrown away.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "journal"


@dataclass
class Journal:
    """The tree that is exported, the leaves that are done, and the state to go on with."""

    size: int
    position: int
    contents: dict[str, Any]
    formats: list[str]
    """Those that are finished."""
    files: dict[str, list[int]]
    """Bytes and rows."""

    def write(self, folder: Path) -> None:
        draft = folder / f"{NAME}.new"
        with draft.open("w") as file:
            json.dump(vars(self), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / NAME)


def read(folder: Path) -> Journal | None:
    """The journal of an abandoned folder; None where there is none, or none that can be used."""
    try:
        found = Journal(**json.loads((folder / NAME).read_text()))
        grown = (folder / name for name in found.files)
        lengths = (length for length, _ in found.files.values())
        fits = all(
            path.stat().st_size >= length for path, length in zip(grown, lengths, strict=True)
        )
    except (OSError, ValueError, TypeError):
        return None
    return found if fits else None
