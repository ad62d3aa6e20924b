"""The tree agrees with published vectors, with a naive reading of the RFC, and with itself."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit import merkle
from app.audit.merkle import Frontier, Piece

# The test data of Google's certificate-transparency (merkle_tree_test.cc).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243",
        "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return merkle.node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def hashes(count: int) -> list[bytes]:
    return [merkle.leaf_hash(index.to_bytes(4, "big")) for index in range(count)]


def of(leaves: list[bytes]) -> Callable[[Piece], list[bytes]]:
    """A store of nodes, as the sealer would have filled it."""
    stored = {(0, index): leaf for index, leaf in enumerate(leaves)}
    stored |= {(node.level, node.index): node.hash for node in Frontier().extend(leaves)}
    return lambda piece: [stored[piece.level, at] for at in range(piece.start, piece.end)]


def inclusion(leaves: list[bytes], index: int) -> list[bytes]:
    return merkle.proof(merkle.inclusion_ranges(index, len(leaves)), of(leaves))


def consistency(leaves: list[bytes], old: int) -> list[bytes]:
    return merkle.proof(merkle.consistency_ranges(old, len(leaves)), of(leaves))


def test_roots_are_those_of_certificate_transparency() -> None:
    leaves = [merkle.leaf_hash(leaf) for leaf in LEAVES]
    assert merkle.EMPTY_ROOT.hex().startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert [merkle.root_of(leaves[: size + 1]).hex() for size in range(8)] == ROOTS


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_inclusion_proofs_are_those_of_certificate_transparency(index: int, size: int) -> None:
    leaves = [merkle.leaf_hash(leaf) for leaf in LEAVES[:size]]
    path = inclusion(leaves, index)
    assert [part.hex() for part in path] == PATHS[index, size]
    root = bytes.fromhex(ROOTS[size - 1])
    assert merkle.inclusion_holds(leaves[index], index, size, path, root)


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency_proofs_are_those_of_certificate_transparency(old: int, new: int) -> None:
    leaves = [merkle.leaf_hash(leaf) for leaf in LEAVES[:new]]
    path = consistency(leaves, old)
    assert [part.hex() for part in path] == CONSISTENCY[old, new]
    roots = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1])
    assert merkle.consistency_holds(old, new, *roots, path)


def test_every_proof_of_every_small_tree_holds_and_fails_when_touched() -> None:
    leaves = hashes(33)
    roots = [naive_root(leaves[:size]) for size in range(34)]
    for size in range(1, 34):
        for index in range(size):
            path, leaf = inclusion(leaves[:size], index), leaves[index]
            assert merkle.inclusion_holds(leaf, index, size, path, roots[size])
            assert not merkle.inclusion_holds(leaf, index, size, [*path, leaf], roots[size])
            assert not merkle.inclusion_holds(
                leaf, (index + 1) % size, size, path, roots[size]
            ) or (size == 1)
            for at in range(len(path)):
                assert not merkle.inclusion_holds(
                    leaf, index, size, path[:at] + path[at + 1 :], roots[size]
                )
        for old in range(1, size + 1):
            path = consistency(leaves[:size], old)
            assert merkle.consistency_holds(old, size, roots[old], roots[size], path)
            if old < size:
                assert not merkle.consistency_holds(old, size, roots[old - 1], roots[size], path)
                assert not merkle.consistency_holds(old, size, roots[old], roots[old], path)
                assert not merkle.consistency_holds(old, size, roots[old], roots[size], path[1:])


@given(st.integers(1, 1200), st.data())
def test_proofs_from_stored_nodes_hold_in_trees_of_more_than_one_tile(
    size: int, data: st.DataObject
) -> None:
    leaves = hashes(size)
    root = merkle.root_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    assert merkle.inclusion_holds(leaves[index], index, size, inclusion(leaves, index), root)
    assert merkle.consistency_holds(
        old, size, merkle.root_of(leaves[:old]), root, consistency(leaves, old)
    )


@given(st.integers(0, 700), st.integers(0, 700))
def test_appending_in_two_steps_through_storage_is_appending_at_once(a: int, b: int) -> None:
    leaves = hashes(a + b)
    first = Frontier()
    nodes = first.extend(leaves[:a])
    second = Frontier.from_bytes(first.size, first.to_bytes())
    nodes += second.extend(leaves[a:])
    once = Frontier()
    assert nodes == once.extend(leaves)
    assert second == once
    assert once.root() == naive_root(leaves)


@given(st.binary(max_size=200), st.integers(0, 9))
def test_a_frontier_that_does_not_fit_its_size_is_refused(data: bytes, size: int) -> None:
    if len(data) == 32 * size.bit_count():
        assert Frontier.from_bytes(size, data).to_bytes() == data
    else:
        with pytest.raises(ValueError, match="frontier"):
            Frontier.from_bytes(size, data)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no such leaf"):
        merkle.inclusion_ranges(index, size)
    assert not merkle.inclusion_holds(b"", index, size, [], merkle.EMPTY_ROOT)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3), (-1, 3)])
def test_there_is_no_consistency_proof_backwards(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="smaller"):
        merkle.consistency_ranges(old, new)


def test_the_empty_tree_begins_every_tree() -> None:
    assert merkle.consistency_holds(0, 5, merkle.EMPTY_ROOT, b"anything", [])
    assert not merkle.consistency_holds(0, 5, b"other", b"anything", [])
    assert not merkle.consistency_holds(6, 5, b"a", b"a", [])
