"""messages.csv, calls.csv, messages.xlsx: a row for each version, and for each event of a call.

No cell of them is ever a formula.

The workbook is written row by row (ECMA-376, "inline strings"): libraries either keep a table of
all texts in memory or put what people wrote into temporary files of their own.
"""

import itertools
import re
import zipfile
from collections.abc import Iterator
from typing import IO, Any, cast

from app.compliance.package.files import EPOCH, Folder
from app.compliance.verify import TABLES, cells, csv_line, plain_cell

SHEET_ROWS = 1_000_000
"""A sheet ends at 1,048,576 rows; what follows is on the next."""
_CELL = 32_767  # characters
_CUT = " … (cut: a cell holds no more; the whole text is in messages.jsonl)"
# XML 1.0 cannot hold these, and readers turn CR into LF: OOXML writes them as _xHHHH_.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0d\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LOOKS_WRITTEN = re.compile("_(?=x[0-9A-Fa-f]{4}_)")

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SHEET = (
    f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1"'
    ' topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'
)
_SHEET_END = "</sheetData></worksheet>"

Rows = Iterator[dict[str, Any]]


def write_csv(folder: Folder, messages: Rows, calls: Rows) -> None:
    for name, rows in (("messages", messages), ("calls", calls)):
        file = folder.open(f"{name}.csv")
        file.write(b"\xef\xbb\xbf" + csv_line(list(TABLES[name])))
        for row in rows:
            file.write(csv_line(cells(row, TABLES[name])))
        file.close()


def write_xlsx(folder: Folder, messages: Rows, calls: Rows) -> None:
    file = folder.open("messages.xlsx")
    with zipfile.ZipFile(cast(IO[bytes], file), "w", zipfile.ZIP_DEFLATED) as book:
        sheets = [*_sheets(book, 1, "messages", messages)]
        sheets += _sheets(book, len(sheets) + 1, "calls", calls)
        for name, text in _workbook(sheets).items():
            with _part(book, name) as part:
                part.write((_HEAD + text).encode())
    file.close()


def _sheets(book: zipfile.ZipFile, first: int, name: str, rows: Rows) -> Iterator[str]:
    """Write at least one sheet, the first of them with that number; gives their names."""
    waiting = next(rows, None)
    for number in itertools.count(1):
        with _part(book, f"xl/worksheets/sheet{first + number - 1}.xml") as sheet:
            sheet.write(_SHEET.encode() + _sheet_row(list(TABLES[name])))
            for _ in range(SHEET_ROWS):
                if waiting is None:
                    break
                sheet.write(_sheet_row(cells(waiting, TABLES[name])))
                waiting = next(rows, None)
            sheet.write(_SHEET_END.encode())
        yield f"{name} {number}"
        if waiting is None:
            return


def _part(book: zipfile.ZipFile, name: str) -> IO[bytes]:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return book.open(entry, "w", force_zip64=True)


def _sheet_row(cells: list[Any]) -> bytes:
    return f"<row>{''.join(map(_cell, cells))}</row>".encode()


def _cell(value: Any) -> str:
    if value is None:
        return "<c/>"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"<c><v>{value}</v></c>"
    return (
        f'<c t="inlineStr"><is><t xml:space="preserve">{_written(plain_cell(value))}</t></is></c>'
    )


def _written(text: str) -> str:
    if len(text.encode("utf-16-le", "surrogatepass")) > 2 * _CELL:
        text = text[: _CELL // 2 - len(_CUT)] + _CUT
    text = _LOOKS_WRITTEN.sub("_x005F_", text)
    text = _UNWRITABLE.sub(lambda found: f"_x{ord(found[0]):04X}_", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _workbook(sheets: list[str]) -> dict[str, str]:
    """The parts that hold a workbook's sheets, by their names, together."""
    numbers = range(1, len(sheets) + 1)
    listed = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(sheets, 1)
    )
    related = "".join(
        f'<Relationship Id="rId{n}" Type="{_RELATIONS}/worksheet"'
        f' Target="worksheets/sheet{n}.xml"/>'
        for n in numbers
    )
    typed = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
        for n in numbers
    )
    return {
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}">'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f"{related}</Relationships>",
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1"'
        f' Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels"'
        ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>{typed}'
        "</Types>",
    }
