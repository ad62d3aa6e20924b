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
from app.compliance.verify import CALL_COLUMNS, CSV_COLUMNS, plain_cell

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


def rows_of_calls() -> list[dict[str, Any]]:
    quality = {"last": 20_000, "worst": 30_500, "mean": 21_000}
    figures = {"loss_ppm": quality, "jitter_us": quality, "rtt_us": quality}
    path = {"peer": "p2", "candidate": "relay", "reports": 4, **figures}
    left = {"reason": "kicked", "by": "bob", "connections": [path]}
    bob = {"actor": "bob", "actor_name": "=Bob", "actor_email": None}
    parley = {"actor": None, "actor_name": None, "actor_email": None, "actor_role": None}
    return [
        event(
            44, "started", target={"type": "call", "id": "call1", "parent": "c1"}, parameters=None
        ),
        event(45, "joined", after={"muted": False, "identity": "ab" * 32}),
        event(46, "shared", after={"screen": True, "video": False}),
        event(47, "kicked", **bob),
        event(48, "left", **bob, parameters=PLACE | left),
        event(49, "left", **parley, parameters=PLACE | {"reason": "timeout", "by": None}),
        event(50, "moved", **bob, parameters=PLACE | {"to": "c9"}, at="2026-11-23T00:00:00.0Z"),
    ]


PLACE = {"user": "alice", "device": "d1", "gen": 2}


def event(leaf: int, what: str, **more: Any) -> dict[str, Any]:
    names = ("at", "conversation", "conversation_name", "conversation_kind", "actor", "actor_name",
             "actor_email", "actor_role")  # fmt: skip
    one = {name: row(leaf, None)[name] for name in names}
    return one | {
        "leaf": leaf, "action": f"call:{what}", "before": None, "after": None, "parameters": PLACE,
        "target": {"type": "participant", "id": "p1", "parent": "call1"}, "person": "alice",
        "person_name": "Alice Ählund", "person_email": "alice@example.org",
    } | more  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    with Folder(tmp_path) as folder:
        for name, rows in (("messages", rows_of_texts()), ("calls", rows_of_calls())):
            evidence = folder.open(f"{name}.jsonl")
            for one in rows:
                evidence.json(one)
            evidence.close()
        for name in Format.values:
            formats.write(name, folder, lambda _: None)
    return folder


def versions() -> list[tuple[int, str, str]]:
    return [(one["leaf"], one["message"], one["kind"]) for one in rows_of_texts()]


def table(folder: Folder, name: str) -> list[list[str]]:
    text = (folder.path / name).read_bytes().decode("utf-8-sig")
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert not any(
        cell.startswith(("=", "+", "-", "@", "\t", "\r")) for line in found for cell in line
    )
    return found


def test_the_table_says_what_the_evidence_says(folder: Folder) -> None:
    head, *found = table(folder, "messages.csv")
    assert tuple(head) == CSV_COLUMNS
    assert found == [
        [plain_cell(one.get(column)) for column in CSV_COLUMNS] for one in rows_of_texts()
    ]


def test_the_table_of_calls_says_what_the_evidence_says(folder: Folder) -> None:
    head, *found = table(folder, "calls.csv")
    assert tuple(head) == CALL_COLUMNS
    rows = [dict(zip(head, line, strict=True)) for line in found]
    assert [(one["leaf"], one["action"]) for one in rows] == [
        (str(one["leaf"]), one["action"]) for one in rows_of_calls()
    ]
    assert [one["target.parent"] for one in rows] == ["c1", *["call1"] * 6]
    assert [one["parameters.reason"] for one in rows] == ["", "", "", "", "kicked", "timeout", ""]
    assert (rows[1]["after.muted"], rows[2]["after.screen"], rows[6]["parameters.to"]) == (
        "False",
        "True",
        "c9",
    )
    assert rows[3]["actor_name"] == "'=Bob"
    connections = json.loads(rows[4]["parameters.connections"])
    assert connections == rows_of_calls()[4]["parameters"]["connections"]


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
    book = openpyxl.load_workbook(folder.path / "messages.xlsx")
    assert book.sheetnames == ["messages 1", "messages 2", "messages 3", "calls 1"]
    assert [values[0] for values in sheet(folder.path)] == [leaf for leaf, _, _ in versions()]


def test_the_workbook_s_calls_say_what_the_evidence_says(folder: Folder) -> None:
    found = [
        ["" if value is None else str(value) for value in values]
        for values in sheet(folder.path, "calls", CALL_COLUMNS)
    ]
    assert found == table(folder, "calls.csv")[1:]


def sheet(
    path: Path, name: str = "messages", columns: tuple[str, ...] = CSV_COLUMNS
) -> list[tuple[Any, ...]]:
    book = openpyxl.load_workbook(path / "messages.xlsx")
    values = []
    for page in [page for page in book.worksheets if page.title.startswith(name)]:
        assert [cell.value for cell in page[1]] == list(columns)
        assert not any(cell.data_type == "f" for line in page.iter_rows() for cell in line)
        values += [tuple(cell.value for cell in line) for line in page.iter_rows(min_row=2)]
    return values


def test_the_mails_say_what_the_evidence_says(folder: Folder) -> None:
    found: list[dict[str, Any]] = []
    with zipfile.ZipFile(folder.path / "messages.eml.zip") as letters:
        names = ["2026-11-21 c1", "2026-11-21 c2", "2026-11-22 c1", "2026-11-23 c1"]
        assert letters.namelist() == [f"{name}.eml" for name in names]
        for name in letters.namelist():
            raw = letters.read(name)
            assert max(map(len, raw.split(b"\r\n"))) <= 998
            assert raw.count(b"\n") == raw.count(b"\r\n")
            letter = email.message_from_bytes(raw, policy=email.policy.default)
            assert isinstance(letter, EmailMessage)
            assert not letter.defects
            text, *attached = letter.iter_parts()
            rows = [json.loads(line) for part in attached for line in lines(part)]
            said = str(text.get_content())
            for one in rows:
                body = one.get("body")
                assert f"Leaf {one['leaf']} " in said
                assert body is None or body.split("\r")[0].split("\n")[0] in said
            found += rows
            assert letter["From"].endswith("<alice@example.org>") or name == "2026-11-23 c1.eml"
            assert letter["Subject"].endswith(rows[0]["at"][:10])
            kinds = [str(part.get_filename()) for part in attached]
            assert kinds == [*{kind(one): 0 for one in rows}]
    found.sort(key=lambda one: int(one["leaf"]))
    assert found == [*rows_of_texts(), *rows_of_calls()]


def lines(part: Any) -> list[bytes]:
    return bytes(part.get_content()).splitlines()


def kind(one: dict[str, Any]) -> str:
    return "calls.jsonl" if "action" in one else "messages.jsonl"


def test_the_pages_say_what_the_evidence_says(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "VOLUME", 9)
    formats.write("pdf", folder, lambda _: None)
    volumes = sorted(folder.path.glob("messages-*.pdf"))
    assert [path.name for path in volumes] == [f"messages-000{n}.pdf" for n in (1, 2, 3, 4)]
    said = "".join(text_of(path.read_bytes()) for path in volumes)
    heads = re.findall(
        r"Leaf(\d+)·.{29}AliceÄhlund<alice@example\.org>(\w+?)message(m\d+),version", said
    )
    assert [(int(leaf), message, kind) for leaf, kind, message in heads] == versions()
    assert "schön[U+1F642][U+65E5][U+672C][U+8A9E]" in said
    assert "שלום" in said or "םולש" in said
    assert "(Thetextcannotbereadanymore:itskeywasdestroyed.)" in said
    for words in SAID_OF_CALLS:
        assert "".join(words.split()) in said, words


SAID_OF_CALLS = [
    "Alice Ählund <alice@example.org> began the call call1",
    "(Alice Ählund <alice@example.org>, place p1, device d1, generation 2)",
    f"muted: False\nidentity: {'ab' * 32}",
    "screen: True\nvideo: False",
    "=Bob put somebody out of the call call1",
    "A host put them out. (kicked) By bob.",
    "to p2: relay, loss 2.1 (worst 3.05, last 2) %"
    ", jitter 21 (worst 30.5, last 20) ms, round trip 21 (worst 30.5, last 20) ms, 4 reports",
    "Parley left the call call1",
    "Nothing was heard of them any more. (timeout)",
    "to: c9",
]


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
