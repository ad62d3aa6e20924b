"""Messages and calls in the shapes that people ask for: views of messages.jsonl and calls.jsonl.

Made from them alone, so they cannot carry other versions than the evidence, nor in another order.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.compliance.package import letters, pages, tables
from app.compliance.package.files import Folder

Row = dict[str, Any]
Writer = Callable[[Folder, Iterator[Row], Iterator[Row]], None]
"""Given the rows of messages.jsonl, then those of calls.jsonl, each in the log's order."""

WRITERS: dict[str, Writer] = {
    "csv": tables.write_csv,
    "xlsx": tables.write_xlsx,
    "pdf": pages.write_pdf,
    "eml": letters.write_eml,
}
WHERE = {
    "csv": ("messages.csv", "calls.csv"),
    "xlsx": ("messages.xlsx",),
    "pdf": ("messages-",),
    "eml": ("messages.eml.zip",),
}
"""How the names of a format's files begin."""


def write(name: str, folder: Folder, progress: Callable[[int], None]) -> None:
    """Write one format; `progress` hears the number of messages' versions done."""
    for begun in [*folder.files]:
        if begun.startswith(WHERE[name]):
            folder.drop(begun)
    messages = _rows(folder.path / "messages.jsonl", progress)
    WRITERS[name](folder, messages, _rows(folder.path / "calls.jsonl"))


def _rows(path: Path, progress: Callable[[int], None] = lambda _: None) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield json.loads(line)
            progress(number)
