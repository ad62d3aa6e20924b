"""messages.eml.zip: a mail for each conversation and day, as archives of mail take them in.

RFC 5322 and MIME. Each has the day as text, and the same rows of messages.jsonl, and of calls.jsonl
where there were calls. The day is UTC's. An inner zip, because a year of a big organization has a
hundred thousand of them.
"""

import base64
import itertools
import json
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, formataddr
from pathlib import Path
from typing import IO, Any, cast

from app.compliance.package import wording
from app.compliance.package.files import EPOCH, Folder, compact

_TOGETHER = 5000  # rows that are held before they go to their days
_END = "\r\n"
_LINE = 57  # bytes that base64 turns into a line of 76

Row = dict[str, Any]


def write_eml(folder: Folder, messages: Iterator[Row], calls: Iterator[Row]) -> None:
    days = folder.path / "days"
    shutil.rmtree(days, ignore_errors=True)
    days.mkdir(mode=0o700)
    _sort(days, wording.in_order(messages, calls))
    file = folder.open("messages.eml.zip")
    with zipfile.ZipFile(cast(IO[bytes], file), "w", zipfile.ZIP_DEFLATED) as letters:
        for day in sorted(days.iterdir()):
            entry = zipfile.ZipInfo(f"{day.name}.eml", EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with letters.open(entry, "w", force_zip64=True) as letter:
                for piece in _letter(day):
                    letter.write(piece)
            day.unlink()
    file.close()
    days.rmdir()


def _sort(days: Path, rows: Iterator[Row]) -> None:
    """Append each row to the file of its day and conversation."""
    while some := list(itertools.islice(rows, _TOGETHER)):
        held: dict[str, list[bytes]] = {}
        for row in some:
            name = f"{row['at'][:10]} {row['conversation']}"
            held.setdefault(name, []).append(compact(row) + b"\n")
        for name, lines in held.items():
            with (days / name).open("ab") as file:
                file.writelines(lines)


def _letter(day: Path) -> Iterator[bytes]:
    first, last, people = _summary(day)
    boundary = f"parley-{first['conversation']}-{first['at'][:10]}"
    yield _lines(*_head(day.name, first, last, people), _mixed(boundary), "")
    yield _part_head(boundary, "text/plain; charset=utf-8", "")
    yield from _base64(_as_text(day))
    for name in ("messages.jsonl", "calls.jsonl"):
        lines = _evidence(day, name)
        if any_line := next(lines, None):
            yield _part_head(boundary, "application/x-ndjson", name)
            yield from _base64(itertools.chain([any_line], lines))
    yield _lines("", f"--{boundary}--")


def _evidence(day: Path, name: str) -> Iterator[bytes]:
    """The day's lines that stand in the file of that name."""
    with day.open("rb") as file:
        for line in file:
            if wording.is_of_a_call(json.loads(line)) == (name == "calls.jsonl"):
                yield line


def _summary(day: Path) -> tuple[Row, Row, list[str]]:
    """The first row, the last, and everybody who did something, in that order."""
    first: Row = {}
    row: Row = {}
    people: dict[str, None] = {}
    for row in _rows(day):
        first = first or row
        people.setdefault(_address(row))
    return first, row, list(people)


def _rows(day: Path) -> Iterator[Row]:
    with day.open("rb") as file:
        for line in file:
            yield json.loads(line)


def _head(name: str, first: Row, last: Row, people: list[str]) -> list[str]:
    subject = _one_line(f"{wording.place(first)}, {first['at'][:10]}")
    at = datetime.fromisoformat(first["at"])
    return [
        f"From: {people[0]}",
        "To: " + (",\r\n ".join(people[1:]) or people[0]),
        f"Date: {format_datetime(at)}",
        f"Subject: {Header(subject, header_name='Subject').encode(linesep=_END)}",
        f"Message-ID: <{name.replace(' ', '.')}@parley.invalid>",
        f"X-Parley-Conversation: {first['conversation']}",
        f"X-Parley-Leaves: {first['leaf']}-{last['leaf']}",
        "MIME-Version: 1.0",
    ]


def _address(row: Row) -> str:
    if row["actor"] is None:
        return "Parley <parley@parley.invalid>"  # such as a place in a call that ran out
    address = row["actor_email"] or f"{row['actor']}@parley.invalid"
    name = _one_line(row["actor_name"] or "")
    return formataddr((name, address if address.isascii() else f"{row['actor']}@parley.invalid"))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _mixed(boundary: str) -> str:
    return f'Content-Type: multipart/mixed; boundary="{boundary}"'


def _part_head(boundary: str, kind: str, name: str) -> bytes:
    attached = [f'Content-Disposition: attachment; filename="{name}"'] if name else []
    encoded = "Content-Transfer-Encoding: base64"
    return _lines("", f"--{boundary}", f"Content-Type: {kind}", *attached, encoded, "")


def _as_text(day: Path) -> Iterator[bytes]:
    for row in _rows(day):
        yield f"{wording.head(row)}\n{wording.text(row)}\n\n".encode("utf-8", "replace")


def _base64(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """In lines of 76 characters, whatever the pieces are."""
    left = b""
    for piece in pieces:
        left += piece
        whole = len(left) - len(left) % _LINE
        yield base64.encodebytes(left[:whole]).replace(b"\n", b"\r\n")
        left = left[whole:]
    yield base64.encodebytes(left).replace(b"\n", b"\r\n")


def _lines(*lines: str) -> bytes:
    return "".join(line + "\r\n" for line in lines).encode()
