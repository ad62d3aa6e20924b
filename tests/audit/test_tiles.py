"""Names of tiles as C2SP tlog-tiles writes them, and their bytes from the stored tree."""

import pytest

from app.audit import disclosure, merkle, tiles
from app.audit.tiles import NoSuchTile, Tile
from tests.audit.test_sealing import seal
from tests.audit.trail import ACME, OTHER, write
from tests.live import LiveDatabase


@pytest.mark.parametrize(
    ("name", "tile"),
    [
        ("0/000", Tile(0, 0, 256)),
        ("0/x001/x234/067", Tile(0, 1234067, 256)),
        ("1/x001/000.p/17", Tile(1, 1000, 17)),
        ("63/999.p/255", Tile(63, 999, 255)),
        ("entries/x001/x234/067.p/1", Tile(0, 1234067, 1, is_entries=True)),
    ],
)
def test_a_name_is_read_and_written_as_specified(name: str, tile: Tile) -> None:
    assert Tile.parse(name) == tile
    assert tile.name == name


@pytest.mark.parametrize(
    "name",
    [
        "", "0", "0/", "0/0", "0/00", "0/0000", "0/x000/000", "00/000", "64/000", "-1/000",
        "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/", "0/000.p/999", "0/001/000",
        "0/x001", "entries/x000/001", "Entries/000", "0/000 ", "0/000\n", "0/٠٠٠", "../0/000",
        "0/" + "x999/" * 7 + "000",
    ],
)  # fmt: skip
def test_no_other_name_is_a_tile(name: str) -> None:
    with pytest.raises(NoSuchTile):
        Tile.parse(name)


def test_a_tree_of_70_000_has_the_tiles_of_the_specification_s_example() -> None:
    def has(name: str) -> bool:
        return Tile.parse(name).is_in(70_000)

    assert all(map(has, ["0/272", "0/273.p/112", "1/000", "1/001.p/17", "2/000.p/1"]))
    assert not any(map(has, ["0/273", "0/273.p/113", "1/001.p/18", "2/000.p/2", "3/000.p/1"]))


def test_tiles_hold_the_hashes_and_the_lines_of_the_log(live_db: LiveDatabase) -> None:
    hashes = [entry.leaf_hash for entry in write(600)]
    write(3, OTHER)
    seal(live_db)
    tree = disclosure.latest_tree(ACME)
    assert tree

    def get(name: str) -> bytes:
        return tiles.tile(ACME, Tile.parse(name), tree.size)

    leaves = get("0/000") + get("0/001") + get("0/002.p/88")
    assert leaves == b"".join(hashes)
    assert get("0/002.p/5") == b"".join(hashes[512:517]), "a prefix never changes"
    assert get("1/000.p/2") == merkle.root_of(hashes[:256]) + merkle.root_of(hashes[256:512])
    lines = unpacked(get("entries/000") + get("entries/001") + get("entries/002.p/88"))
    assert merkle.root_of(map(merkle.leaf_hash, lines)) == tree.root
    for missing in ("0/002", "0/002.p/89", "1/000.p/3", "1/000", "2/000.p/1", "entries/002"):
        with pytest.raises(NoSuchTile):
            get(missing)


def test_what_is_not_signed_yet_is_in_no_tile(live_db: LiveDatabase) -> None:
    write(10)
    seal(live_db)
    with pytest.raises(NoSuchTile):
        tiles.tile(ACME, Tile.parse("0/000.p/10"), 9)
    assert len(tiles.tile(ACME, Tile.parse("0/000.p/9"), 9)) == 9 * 32


def unpacked(bundle: bytes) -> list[bytes]:
    """The entries of a bundle: each has its length before it, 2 bytes, big-endian."""
    lines, at = [], 0
    while at < len(bundle):
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        lines.append(bundle[at + 2 : end])
        at = end
    return lines
