"""What workers write arrives whole at the master, or is known not to have."""

from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import pytest

from loadtests.post import Inbox, Outbox, Pieces
from loadtests.record import Unreadable


@pytest.fixture
def written(tmp_path: Path) -> Path:
    folder = tmp_path / "worker"
    folder.mkdir()
    return folder


@pytest.fixture
def arrived(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def over_the_wire(pieces: Pieces) -> Pieces:
    """As locust packs it."""
    packed = msgpack.dumps({"pieces": pieces})
    return msgpack.loads(packed, raw=False, strict_map_key=False)["pieces"]  # type: ignore[no-any-return]


def append(folder: Path, name: str, text: bytes) -> None:
    with (folder / name).open("ab") as file:
        file.write(text)


def test_each_piece_comes_once_and_all_are_the_file(written: Path, arrived: Path) -> None:
    outbox, inbox = Outbox(written), Inbox(arrived)
    for number in range(3):
        append(written, "worker-2.hlog", b"line %d\n\x00\xff" % number)
        if number:
            append(written, "worker-2.counts.jsonl", b"{}\n")
        inbox.take(over_the_wire(outbox.pieces()))
        assert not outbox.pieces()
    assert sorted(one.name for one in arrived.iterdir()) == [
        "worker-2.counts.jsonl",
        "worker-2.hlog",
    ]
    for file in arrived.iterdir():
        assert file.read_bytes() == (written / file.name).read_bytes()


@pytest.mark.parametrize("lost", [0, 1])
def test_a_piece_that_is_lost_on_the_way_is_found(written: Path, arrived: Path, lost: int) -> None:
    outbox, inbox = Outbox(written), Inbox(arrived)
    sent = []
    for _ in range(3):
        append(written, "worker-1.hlog", b"a line\n")
        sent.append(outbox.pieces())
    before, after = sent[:lost], sent[lost + 1]
    for pieces in before:
        inbox.take(over_the_wire(pieces))
    with pytest.raises(Unreadable, match=r"worker-1\.hlog came with a gap"):
        inbox.take(over_the_wire(after))


def test_a_piece_that_comes_twice_is_found(written: Path, arrived: Path) -> None:
    append(written, "worker-1.hlog", b"a line\n")
    pieces, inbox = Outbox(written).pieces(), Inbox(arrived)
    inbox.take(pieces)
    with pytest.raises(Unreadable, match="gap"):
        inbox.take(pieces)


@pytest.mark.parametrize("name", ["../run.json", "run.json", "worker-1.hlog/..", "worker-1.html"])
def test_nothing_else_is_written(arrived: Path, name: str) -> None:
    with pytest.raises(Unreadable, match="no worker writes"):
        Inbox(arrived).take({name: (0, b"x")})
    assert not list(arrived.parent.rglob("*.*"))
