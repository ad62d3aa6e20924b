"""The log as C2SP tiles: how a tile is named, and what is in it.

https://c2sp.org/tlog-tiles. A tile of level L holds up to 256 hashes of level L, which are the
stored leaf hashes (level 0) and full subtrees (`Node`): nothing is computed to serve one. Any
prefix of a tile is served, because a prefix never changes; nothing beyond the signed tree is.
"""

import re
from dataclasses import dataclass
from uuid import UUID

from app.audit.merkle import TILE_HEIGHT
from app.audit.models import Entry, Leaf, Node

WIDTH = 1 << TILE_HEIGHT
_ENTRIES = "entries"
_NAME = re.compile(
    r"(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)
_TOP_LEVEL = 63


class NoSuchTile(ValueError):
    """Not the name of a tile, or the signed tree is too small to have it."""


@dataclass(frozen=True, slots=True)
class Tile:
    """`width` hashes of `level`, from `index`·256 on; or that many entries (`is_entries`)."""

    level: int
    index: int
    width: int
    is_entries: bool = False

    @classmethod
    def parse(cls, name: str) -> "Tile":
        """Read `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`. Raises NoSuchTile."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise NoSuchTile("not the name of a tile")
        level, width = found["level"], int(found["width"] or WIDTH)
        index = int(found["index"].replace("x", "").replace("/", ""))
        tile = cls(0 if level == _ENTRIES else int(level), index, width, level == _ENTRIES)
        # One name for one tile: no further zeros, no partial tile as wide as a full one.
        if tile.level > _TOP_LEVEL or width > WIDTH or tile.name != name:
            raise NoSuchTile("not the name of a tile")
        return tile

    @property
    def name(self) -> str:
        """The path below `<prefix>/tile/`; 1234067 is `x001/x234/067`."""
        groups = [f"{self.index % 1000:03}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03}")
            rest //= 1000
        level = _ENTRIES if self.is_entries else str(self.level)
        part = "" if self.width == WIDTH else f".p/{self.width}"
        return f"{level}/{'/'.join(reversed(groups))}{part}"

    @property
    def start(self) -> int:
        """The first of its hashes, counted in its level."""
        return self.index * WIDTH

    def is_in(self, size: int) -> bool:
        """Whether the tree of `size` leaves has the whole of it."""
        return self.start + self.width <= size >> (TILE_HEIGHT * self.level)


def tile(organization: UUID, wanted: Tile, size: int) -> bytes:
    """The bytes of a tile of the tree of `size`: hashes, or entries (each its length as 2
    bytes, big-endian, and the leaf line). Raises NoSuchTile, also where rows are missing.
    """
    if not wanted.is_in(size):
        raise NoSuchTile("the signed tree has no such tile")
    parts = _lines(organization, wanted) if wanted.is_entries else _hashes(organization, wanted)
    if len(parts) != wanted.width:
        raise NoSuchTile("the tile has gaps")
    return b"".join(parts)


def _hashes(organization: UUID, wanted: Tile) -> list[bytes]:
    within = {
        "organization_id": organization,
        "index__gte": wanted.start,
        "index__lt": wanted.start + wanted.width,
    }
    rows = (
        Node.objects.filter(level=wanted.level, **within).order_by("index").values_list("hash")
        if wanted.level
        else Leaf.objects.filter(**within).order_by("index").values_list("hash")
    )
    return [bytes(hash_) for (hash_,) in rows]


def _lines(organization: UUID, wanted: Tile) -> list[bytes]:
    end = wanted.start + wanted.width
    places = Leaf.objects.filter(
        organization_id=organization, index__gte=wanted.start, index__lt=end
    )
    index_of = dict(places.values_list("entry_id", "index"))
    lines = Entry.objects.filter(pk__in=index_of).values_list("pk", "leaf")
    return [
        len(line).to_bytes(2, "big") + bytes(line)
        for _, line in sorted((index_of[pk], line) for pk, line in lines)
    ]
