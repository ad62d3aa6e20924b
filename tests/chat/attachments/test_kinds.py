"""What a file is, by its bytes; and what is never named as a type."""

import pytest

from app.chat.attachments.kinds import ANYTHING, kind_of
from tests.chat.attachments.files import picture

ZIP = b"PK\x03\x04" + b"\0" * 60
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (picture(8, 8, "PNG"), "x.png", "image/png"),
        (picture(8, 8, "JPEG"), "x.exe", "image/jpeg"),
        (picture(8, 8, "GIF"), "x.html", "image/gif"),
        (picture(8, 8, "WEBP"), "x", "image/webp"),
        (b"%PDF-1.7\n%...", "x.pdf", "application/pdf"),
        (ZIP, "x.xlsx", XLSX),
        (ZIP, "x.zip", "application/zip"),
        (ZIP, "x.png", "application/zip"),
        (b"Good morning, ward 4.", "x.txt", "text/plain"),
        ("Gr\u00fc\u00dfe".encode(), "x", "text/plain"),
        ("cut within \u00fc".encode()[:-1], "x", "text/plain"),
        (b"", "x.txt", "text/plain"),
        (b"\0\1\2\3", "x.txt", ANYTHING),
        (b"\xff\xfe\xfd", "x.txt", ANYTHING),
    ],
)
def test_the_bytes_decide_and_the_name_only_among_what_they_allow(
    head: bytes, name: str, kind: str
) -> None:
    assert kind_of(head, name) == kind


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", "x.svg"),
        (b"<?xml version='1.0'?><svg/>", "x.svg"),
        (b"<!DOCTYPE html><html><script>1</script>", "x.html"),
        (b"<html><body>", "x.png"),
        (b"MZ\x90\0", "x.pdf"),
        (b"\x7fELF\2\1\1", "x"),
    ],
)
def test_what_a_browser_or_a_machine_would_run_has_no_type(head: bytes, name: str) -> None:
    assert kind_of(head, name) == ANYTHING
