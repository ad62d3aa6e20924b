"""What a finished file is. Sealed beside it as JSON; the trail holds the salted commitment.

So the trail binds name, size, type and SHA-256, and nobody can try known files against it.
"""

import msgspec


class Picture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image that we could show: its own width and height, in pixels, upright."""

    width: int
    height: int


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`sha256` is of the file's bytes, in hex; `type` is what they look like, see `kinds`."""

    name: str
    size: int
    type: str
    sha256: str
    picture: Picture | None = None


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Description).decode


def dump(description: Description) -> str:
    """JSON, UTF-8, keys sorted, no blanks: the text that is sealed and committed to."""
    return _encode(description).decode()


def load(text: str) -> Description:
    """Raises msgspec.ValidationError for what `dump` did not write."""
    return _decode(text)
