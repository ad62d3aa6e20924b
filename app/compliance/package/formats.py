"""Messages in the shapes that people ask for: views of messages.jsonl, made from it alone.

So they cannot carry other versions than the evidence, nor in another order.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.compliance.package import letters, pages, tables
from app.compliance.package.files import Folder

Row = dict[str, Any]
Writer = Callable[[Folder, Iterator[Row]], None]

WRITERS: dict[str, Writer] = {
    "csv": tables.write_csv,
    "xlsx": tables.write_xlsx,
    "pdf": pages.write_pdf,
    "eml": letters.write_eml,
}


def write(name: str, folder: Folder, progress: Callable[[int], None]) -> None:
    """Write one format from messages.jsonl; `progress` hears the number of rows done."""
    for begun in [*folder.files]:
        if begun.startswith(WHERE[name]):
            folder.drop(begun)
    WRITERS[name](folder, _rows(folder.path / "messages.jsonl", progress))


WHERE = {
    "csv": "messages.csv",
    "xlsx": "messages.xlsx",
    "pdf": "messages-",
    "eml": "messages.eml.zip",
}
"""How the names of a format's files begin."""


def _rows(path: Path, progress: Callable[[int], None]) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield json.loads(line)
            progress(number)
