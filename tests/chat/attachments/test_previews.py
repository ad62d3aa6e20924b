"""Pictures made small, by a process that a hostile picture may break without harm."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from app.chat.attachments import picture as program
from app.chat.attachments.previews import preview_of
from tests.chat.attachments.files import picture


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_becomes_small(kind: str) -> None:
    preview = preview_of(picture(3000, 1500, kind))
    assert preview
    assert (preview.picture.width, preview.picture.height) == (3000, 1500)
    small = opened(preview.content)
    assert (small.format, small.size) == ("WEBP", (960, 480))


def test_a_small_picture_is_not_enlarged() -> None:
    preview = preview_of(picture(30, 20))
    assert preview
    assert opened(preview.content).size == (30, 20)


def test_where_it_was_taken_is_not_in_the_preview_and_it_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif[0x010E] = "Kanarienvogel"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    made = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (400, 200)).save(made, "JPEG", exif=exif, icc_profile=profile)
    preview = preview_of(made.getvalue())
    assert preview
    assert (preview.picture.width, preview.picture.height) == (200, 400)
    small = opened(preview.content)
    assert small.size == (200, 400)
    assert not small.getexif()
    assert b"Kanarienvogel" not in preview.content
    assert set(small.info) <= {"loop", "background", "timestamp", "duration"}


def test_what_can_be_seen_through_stays_so() -> None:
    made = io.BytesIO()
    Image.new("RGBA", (10, 10), (1, 2, 3, 0)).save(made, "PNG")
    preview = preview_of(made.getvalue())
    assert preview
    assert opened(preview.content).mode == "RGBA"


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is that large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels)


def whole(width: int, height: int) -> bytes:
    """One that could be decoded."""
    made = io.BytesIO()
    Image.new("1", (width, height)).save(made, "PNG")
    return made.getvalue()


@pytest.mark.parametrize(
    "hostile",
    [
        bomb(60_000, 60_000),
        bomb(2_000_000_000, 1),
        whole(8_000, 6_500),
        picture()[:200],
        b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"",
    ],
    ids=["bomb", "line", "above the limit", "cut off", "nonsense", "svg", "empty"],
)
def test_a_hostile_picture_has_no_preview_and_does_no_harm(hostile: bytes) -> None:
    assert preview_of(hostile) is None


def test_only_the_four_kinds_are_decoded() -> None:
    for kind in ("BMP", "TIFF", "PPM", "ICO"):
        assert preview_of(picture(16, 16, kind)) is None


PROBE = """
import os, sys
sys.path[:0] = {path!r}
import picture
picture.limit()
print(sorted(os.environ))
try:
    bytearray(picture.MEMORY)
except MemoryError:
    print("no memory")
try:
    open({file!r}, "wb", buffering=0).write(b"x")
except OSError as error:
    print("no file", error.errno)
"""


def test_the_process_has_no_environment_no_memory_to_fill_and_writes_no_file(
    tmp_path: Path,
) -> None:
    folder = str(Path(program.__file__).parent)
    probe = PROBE.format(path=[folder], file=str(tmp_path / "x"))
    command = [sys.executable, "-I", "-c", probe]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['LC_CTYPE']", "no memory", "no file 27"]


def test_our_environment_does_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, str]] = []
    real = subprocess.run

    def spy(*args: object, **options: object) -> object:
        given.append(options["env"])  # type: ignore[arg-type]
        return real(*args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", spy)
    assert preview_of(picture(10, 10))
    assert given == [{}]
    assert os.environ["KEY_ENCRYPTION_KEY_FILE"]
