"""messages-0001.pdf and on: versions and calls on paper, in volumes, so that memory does not grow.

The font (DejaVu Sans, embedded as the subset that is used) has no emoji and no Chinese: such a
character is shown by its code point, as [U+1F642]. The evidence has the character itself.
"""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.compliance.package import wording
from app.compliance.package.files import Folder

VOLUME = 3000
"""Rows in one file: at most some hundred pages."""
_FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"

Row = dict[str, Any]


def write_pdf(folder: Folder, messages: Iterator[Row], calls: Iterator[Row]) -> None:
    rows = wording.in_order(messages, calls)
    for number in itertools.count(1):
        volume = list(itertools.islice(rows, VOLUME))
        if not volume and number > 1:
            return
        folder.put(f"messages-{number:04}.pdf", _volume(number, volume))


def _volume(number: int, rows: list[Row]) -> bytes:
    paper = _Paper(f"Messages, volume {number}")
    paper.write(f"Messages, volume {number}", 14)
    if not rows:
        paper.write("There are none.", 9)
    where = None
    for row in rows:
        if row["conversation"] != where:
            where = row["conversation"]
            paper.leave(8)
            paper.write(f"{wording.place(row)} ({where})", 11)
        paper.leave(4)
        paper.write(wording.head(row), 6.5)
        paper.write(wording.text(row), 9)
    return bytes(paper.pdf.output())


class _Paper:
    """Lines on A4. Lines are broken here: the library's own way takes ten times as long."""

    WIDTH, HEIGHT, MARGIN = 595.0, 842.0, 45.0  # points

    def __init__(self, title: str) -> None:
        from fpdf import FPDF  # noqa: PLC0415 - heavy, and only who asks for a PDF needs it

        logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells every table it keeps
        self.pdf: FPDF = FPDF(unit="pt", format="A4")
        self.pdf.set_title(title)
        self.pdf.set_auto_page_break(False)
        self.pdf.add_font("body", fname=_FONT)
        self.pdf.set_font("body")
        font: Any = self.pdf.fonts["body"]
        shown = (point for point in font.cmap if point >= ord(" "))
        self.widths = {chr(point): font.cw[point] / 1000 for point in shown}
        self.y = self.HEIGHT

    def leave(self, points: float) -> None:
        self.y += points

    def write(self, text: str, size: float) -> None:
        self.pdf.set_font_size(size)
        for paragraph in text.replace("\r\n", "\n").split("\n"):
            for line in self.broken(self.writable(paragraph), size):
                self.y += size * 1.4
                if self.y > self.HEIGHT - self.MARGIN:
                    self.pdf.add_page()
                    self.y = self.MARGIN + size
                if line.strip():
                    self.pdf.text(self.MARGIN, self.y, line)

    def writable(self, text: str) -> str:
        """Characters that the font lacks as their code points."""
        known = self.widths
        return "".join(
            char if char in known else f"[U+{ord(char):04X}]" for char in text.expandtabs(4)
        )

    def broken(self, text: str, size: float) -> Iterator[str]:
        """Lines that fit, broken after spaces, and inside of a word that is longer than a line."""
        room, widths = (self.WIDTH - 2 * self.MARGIN) / size, self.widths
        start = space = 0
        used = since_space = 0.0
        for place, char in enumerate(text):
            used += widths[char]
            since_space += widths[char]
            if used > room and place > start:
                end, used = (space, since_space) if space > start else (place, widths[char])
                yield text[start:end]
                start = end
            if char == " ":
                space, since_space = place + 1, 0.0
        yield text[start:]
