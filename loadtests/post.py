"""What workers write comes to the master over locust's own connection, so no folder is shared.

With each of locust's reports, one a second, comes what has grown of a worker's files, and with
its last word the rest and its ledger. A piece that is lost on the way is found by where the next
one begins: then the run is not whole.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.record import Unreadable

NAME = re.compile(r"worker-[0-9]{1,5}\.(hlog|counts\.jsonl|ledger\.json)")
Pieces = dict[str, tuple[int, bytes]]
"""By the name of a file: where the piece begins, and its bytes."""


class Outbox:
    """The files of a folder, which only grow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sent: dict[str, int] = {}

    def pieces(self) -> Pieces:
        """Return what was written since the last time."""
        found: Pieces = {}
        for path in sorted(self._folder.iterdir()):
            at = self._sent.get(path.name, 0)
            with path.open("rb") as file:
                file.seek(at)
                if piece := file.read():
                    found[path.name] = (at, piece)
                    self._sent[path.name] = at + len(piece)
        return found


class Inbox:
    """Puts pieces together in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, pieces: Mapping[str, Sequence[Any]]) -> None:
        """Append the pieces. Raises Unreadable where one is missing before them."""
        for name, (begins, piece) in pieces.items():
            if not NAME.fullmatch(name):
                raise Unreadable(f"A worker sent what no worker writes: {name[:60]!r}.")
            with (self._folder / name).open("ab") as file:
                if file.tell() != begins:
                    raise Unreadable(
                        f"{name} came with a gap: {file.tell()} bytes are here, and what comes"
                        f" next begins at {begins}."
                    )
                file.write(piece)
