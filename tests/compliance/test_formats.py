"""Every format carries the same versions in the same order, whatever people wrote."""

import csv
import email.policy
import io
import json
import re
import zipfile
import zlib
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.escape import unescape

from app.compliance.models import Format
from app.compliance.package import formats, pages, tables
from app.compliance.package.files import Folder
from app.compliance.verify import CSV_COLUMNS, plain_cell

TEXTS = [
    "Bed 12 moved to step-down.",
    '=HYPERLINK("http://mallory.example")',
    "+1 555", "-2", "@SUM(A1)", "\t=1", "\r=1",
    "two\nlines\r\nand three", "a\x00b\x0bc\x1f", "_x000D_ as text", "\ufffe \uffff",
    "schön \U0001f642 日本語 שלום", "<b>&amp;</b> ]]>", " spaces  kept ", '"quoted", too', "",
    "=" * 40_000, "From here to there\n.\n--boundary--",
]  # fmt: skip


def rows_of_texts() -> list[dict[str, Any]]:
    rows = [row(leaf, text) for leaf, text in enumerate(TEXTS, 3)]
    rows.append(row(40, None, kind="deleted"))
    rows.append(row(41, None, kind="edited", status="erased"))
    rows.append(row(42, "another day", at="2026-11-22T00:00:00.000000Z"))
    rows.append(row(43, "another place", conversation="c2", conversation_name="phärmacy"))
    return rows


def row(leaf: int, text: str | None, **more: Any) -> dict[str, Any]:
    return {
        "leaf": leaf, "at": "2026-11-21T08:00:00.000001Z", "conversation": "c1",
        "conversation_name": "ward-4", "conversation_kind": "private", "message": f"m{leaf}",
        "thread": None, "version": f"v{leaf}", "revision": 1, "kind": "sent", "author": "alice",
        "author_name": "Alice Ählund", "author_email": "alice@example.org", "author_role": "member",
        "actor": "alice", "actor_name": "Alice Ählund", "actor_email": "alice@example.org",
        "actor_role": "member", "commitment": "c", "body": text, "salt": "00", "status": "ok",
        "erased_by": None, "attachments": [],
    } | more  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    with Folder(tmp_path) as folder:
        evidence = folder.open("messages.jsonl")
        for one in rows_of_texts():
            evidence.json(one)
        evidence.close()
        for name in Format.values:
            formats.write(name, folder, lambda _: None)
    return folder


def versions() -> list[tuple[int, str, str]]:
    return [(one["leaf"], one["message"], one["kind"]) for one in rows_of_texts()]


def test_the_table_says_what_the_evidence_says(folder: Folder) -> None:
    text = (folder.path / "messages.csv").read_bytes().decode("utf-8-sig")
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert tuple(found[0]) == CSV_COLUMNS
    assert found[1:] == [
        [plain_cell(one.get(column)) for column in CSV_COLUMNS] for one in rows_of_texts()
    ]
    assert not any(
        cell.startswith(("=", "+", "-", "@", "\t", "\r")) for line in found for cell in line
    )


def test_the_workbook_says_what_the_evidence_says(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [dict(zip(CSV_COLUMNS, values, strict=True)) for values in sheet(folder.path)]
    assert [(one["leaf"], one["message"], one["kind"]) for one in rows] == versions()
    for one, expected in zip(rows, rows_of_texts(), strict=True):
        body = unescape(one["body"] or "")
        if len(expected["body"] or "") < 32_000:
            assert body == plain_cell(expected["body"])
        else:
            assert body.endswith("the whole text is in messages.jsonl)")
    monkeypatch.setattr(tables, "SHEET_ROWS", 10)
    folder.drop("messages.xlsx")
    formats.write("xlsx", folder, lambda _: None)
    assert len(openpyxl.load_workbook(folder.path / "messages.xlsx").sheetnames) == 3
    assert [values[0] for values in sheet(folder.path)] == [leaf for leaf, _, _ in versions()]


def sheet(path: Path) -> list[tuple[Any, ...]]:
    book = openpyxl.load_workbook(path / "messages.xlsx")
    values = []
    for page in book.worksheets:
        assert [cell.value for cell in page[1]] == list(CSV_COLUMNS)
        assert not any(cell.data_type == "f" for line in page.iter_rows() for cell in line)
        values += [tuple(cell.value for cell in line) for line in page.iter_rows(min_row=2)]
    return values


def test_the_mails_say_what_the_evidence_says(folder: Folder) -> None:
    found: list[dict[str, Any]] = []
    with zipfile.ZipFile(folder.path / "messages.eml.zip") as letters:
        assert letters.namelist() == ["2026-11-21 c1.eml", "2026-11-21 c2.eml", "2026-11-22 c1.eml"]
        for name in letters.namelist():
            raw = letters.read(name)
            assert max(map(len, raw.split(b"\r\n"))) <= 998
            assert raw.count(b"\n") == raw.count(b"\r\n")
            letter = email.message_from_bytes(raw, policy=email.policy.default)
            assert isinstance(letter, EmailMessage)
            assert not letter.defects
            text, attached = letter.iter_parts()
            rows = [json.loads(line) for line in attached.get_content().splitlines()]
            said = str(text.get_content())
            for one in rows:
                assert f"Leaf {one['leaf']} " in said
                assert one["body"] is None or one["body"].split("\r")[0].split("\n")[0] in said
            found += rows
            assert letter["From"] == "Alice Ählund <alice@example.org>"
            assert letter["Subject"].endswith(rows[0]["at"][:10])
    found.sort(key=lambda one: int(one["leaf"]))
    assert found == rows_of_texts()


def test_the_pages_say_what_the_evidence_says(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "VOLUME", 9)
    formats.write("pdf", folder, lambda _: None)
    volumes = sorted(folder.path.glob("messages-*.pdf"))
    assert [path.name for path in volumes] == [f"messages-000{n}.pdf" for n in (1, 2, 3)]
    said = "".join(text_of(path.read_bytes()) for path in volumes)
    heads = re.findall(
        r"Leaf(\d+)·.{29}AliceÄhlund<alice@example\.org>(\w+?)message(m\d+),version", said
    )
    assert [(int(leaf), message, kind) for leaf, kind, message in heads] == versions()
    assert "schön[U+1F642][U+65E5][U+672C][U+8A9E]" in said
    assert "שלום" in said or "םולש" in said
    assert "(Thetextcannotbereadanymore:itskeywasdestroyed.)" in said


def text_of(pdf: bytes) -> str:
    """The text of a PDF that has one font, without its spaces: through the font's ToUnicode."""
    streams = [
        zlib.decompress(found)
        for found in re.findall(rb"/FlateDecode.*?stream\n(.*?)\nendstream", pdf, re.DOTALL)
        if found[:1] == b"x"
    ]
    table: dict[int, str] = {}
    for stream in (*streams, pdf):
        for code, text in re.findall(rb"<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]{4,8})>\n", stream):
            table[int(code, 16)] = bytes.fromhex(text.decode()).decode("utf-16-be")
    said = ""
    for stream in streams:
        for shown in re.findall(
            rb"BT .*? (\((?:\\.|[^\\)])*\)|<[0-9a-fA-F]*>) Tj", stream, re.DOTALL
        ):
            raw = re.sub(rb"\\(.)", unescaped, shown[1:-1], flags=re.DOTALL)
            codes = zip(raw[::2], raw[1::2], strict=True)
            said += "".join(table.get(high << 8 | low, "") for high, low in codes)
    return "".join(said.split())


def unescaped(found: re.Match[bytes]) -> bytes:
    return {b"r": b"\r", b"n": b"\n", b"t": b"\t"}.get(found[1], found[1])
