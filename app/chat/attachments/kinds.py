"""What a file is, told from its bytes: what its sender says of it is never believed."""

import codecs
from pathlib import PurePath

ANYTHING = "application/octet-stream"
TEXT = "text/plain"
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""Of these we make previews. Not SVG: it is a program."""
HEAD_BYTES = 64 * 1024

# The types that may be named in an answer: none of them runs in a browser.
_HARMLESS = PICTURES | {
    "application/pdf",
    "application/zip",
    "application/gzip",
    "application/x-7z-compressed",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    "application/dicom",
    "image/bmp",
    "image/tiff",
    "image/heic",
    "image/avif",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/flac",
    "audio/mp4",
    "video/mp4",
    "video/webm",
    "video/quicktime",
}
_NOT_IN_TEXT = bytes({*range(32)} - {*b"\t\n\f\r\x1b"})
_ZIP = b"PK\x03\x04"


def kind_of(head: bytes, name: str) -> str:
    """The media type of a file that begins with `head` (HEAD_BYTES of it, or all).

    The name decides only between types that the bytes allow alike, such as those of a zip.
    What is not known to be harmless is ANYTHING.
    """
    found = _sniffed(head, name)
    if found in _HARMLESS:
        return found
    return TEXT if found in {"", TEXT} and _is_text(head) else ANYTHING


def _sniffed(head: bytes, name: str) -> str:
    import puremagic  # noqa: PLC0415 - its tables take a while to load

    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return ""
    extension = PurePath(name).suffix.lower()
    best = max(match.confidence for match in matches)
    named = [match for match in matches if match.extension == extension and match.mime_type]
    if named:
        return str(named[0].mime_type)
    if head.startswith(_ZIP):
        return "application/zip"
    return str(next(match.mime_type for match in matches if match.confidence == best))


def _is_text(head: bytes) -> bool:
    if head.translate(None, _NOT_IN_TEXT) != head:
        return False
    try:
        # Not final: the head may end within a letter.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
