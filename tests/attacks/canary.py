"""A word that nobody else would write, and how to find it in bytes, however they are coded."""

import base64
import zlib

CANARY = "Kanarienvogel-7f3a"


def traces(haystack: bytes, canary: str = CANARY) -> list[str]:
    """Name each coding in which `haystack` shows the canary: plain, other case, hex, base64."""
    needle = canary.encode()
    found = [name for name, shown in _codings(needle).items() if shown in haystack]
    if needle.lower() in haystack.lower():
        found.append("in any case")
    return found


def _codings(needle: bytes) -> dict[str, bytes]:
    codings = {
        "plain": needle,
        "hex": needle.hex().encode(),
        "HEX": needle.hex().upper().encode(),
        "UTF-16": needle.decode().encode("utf-16-le"),
        "zlib": zlib.compress(needle)[2:-4],
    }
    for shift in range(3):
        # The part of the base64 that does not depend on what stands before and after.
        coded = base64.b64encode(b"\0" * shift + needle)
        codings[f"base64+{shift}"] = coded[(shift * 8 + 5) // 6 : -4]
    return codings
