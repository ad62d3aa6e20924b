"""Merkle trees of RFC 6962 section 2.1 (kept by RFC 9162): append, prove, verify.

Pure: bytes in, bytes out; an auditor can run this file alone. `size` and indexes count leaves;
a range (start, end) is half open. Hashes are SHA-256, 32 bytes.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

HASH_SIZE = 32
TILE_HEIGHT = 8
"""A node of level n+1 stands over 256 nodes of level n; level 0 are the leaf hashes."""

EMPTY_ROOT = hashlib.sha256().digest()
# To copy a hash that was begun takes half as long as to begin one.
_LEAF, _NODE = hashlib.sha256(b"\x00"), hashlib.sha256(b"\x01")

Range = tuple[int, int]


def leaf_hash(leaf: bytes) -> bytes:
    """MTH of one entry: SHA-256(0x00 ‖ leaf), RFC 6962 section 2.1."""
    begun = _LEAF.copy()
    begun.update(leaf)
    return begun.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right), RFC 6962 section 2.1."""
    begun = _NODE.copy()
    begun.update(left + right)
    return begun.digest()


@dataclass(frozen=True, slots=True)
class Node:
    """The root of the perfect subtree over leaves [index·256^level, (index+1)·256^level)."""

    level: int
    index: int
    hash: bytes


@dataclass(slots=True)
class Frontier:
    """All that appending needs: the roots of the perfect subtrees, the largest (leftmost) first.

    There is one for each bit that is set in `size`.
    """

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ValueError("the frontier does not fit the size")
        if any(len(part) != HASH_SIZE for part in self.hashes):
            raise ValueError("a hash of the frontier is not 32 bytes")

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> "Frontier":
        """Read what `to_bytes` wrote; raises ValueError if it cannot belong to `size`."""
        return cls(size, [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)])

    def to_bytes(self) -> bytes:
        return b"".join(self.hashes)

    def extend(self, leaf_hashes: Iterable[bytes]) -> list[Node]:
        """Append leaves; returns the nodes (level 1 and up) that became full, lowest first."""
        hashes, full = self.hashes, []
        for leaf in leaf_hashes:
            node, size, height = leaf, self.size, 0
            while size & 1:  # a perfect subtree of this height stands to the left: merge
                node = node_hash(hashes.pop(), node)
                size >>= 1
                height += 1
                if height % TILE_HEIGHT == 0:
                    full.append(Node(height // TILE_HEIGHT, size, node))
            hashes.append(node)
            self.size += 1
        return full

    def root(self) -> bytes:
        """The Merkle tree hash of all leaves so far."""
        return fold(self.hashes) if self.hashes else EMPTY_ROOT


def fold(subtrees: Sequence[bytes]) -> bytes:
    """The root over adjacent perfect subtrees that shrink from left to right; at least one."""
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """The Merkle tree hash over these leaf hashes."""
    frontier = Frontier()
    frontier.extend(leaf_hashes)
    return frontier.root()


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The subtrees whose roots prove that leaf `index` is in the tree of `size`, in proof order.

    PATH(m, D[n]) of RFC 6962 section 2.1.1. Raises ValueError unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise ValueError("no such leaf in a tree of this size")
    ranges: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _largest_power_below(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """The subtrees whose roots prove that the tree of `new` begins with the tree of `old`.

    PROOF(m, D[n]) of RFC 6962 section 2.1.2. Raises ValueError unless 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ValueError("a consistency proof goes from a smaller, nonempty tree to a larger one")
    ranges: list[Range] = []
    start, end = 0, new
    while end != old:
        middle = start + _largest_power_below(end - start)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start > 0:  # b = false: the verifier does not know this subtree's root
        ranges.append((start, end))
    return ranges[::-1]


@dataclass(frozen=True, slots=True)
class Piece:
    """Nodes [start, end) of one level which together are a perfect subtree."""

    level: int
    start: int
    end: int


def pieces(start: int, end: int) -> list[Piece]:
    """Cut a range that `*_ranges` returned into perfect subtrees, each of fewer than 256 nodes."""
    cut: list[Piece] = []
    while start < end:
        height = (end - start).bit_length() - 1
        level = height // TILE_HEIGHT
        shift = level * TILE_HEIGHT
        cut.append(Piece(level, start >> shift, (start + (1 << height)) >> shift))
        start += 1 << height
    return cut


def proof(ranges: Iterable[Range], nodes: Callable[[Piece], Sequence[bytes]]) -> list[bytes]:
    """The roots of `ranges`, from the stored nodes that `nodes` returns for a piece."""
    return [fold([root_of(nodes(piece)) for piece in pieces(start, end)]) for start, end in ranges]


def inclusion_holds(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves leaf hash `leaf` at `index`: RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    at, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def consistency_holds(
    old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether `path` proves that the new tree begins with the old: RFC 9162 section 2.1.4.2.

    A tree of size 0 begins every tree, with an empty path (RFC 9162 leaves that undefined).
    """
    if not 0 <= old <= new:
        return False
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    if old == new:
        return not path and old_root == new_root
    parts = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not parts:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = parts[0]
    for part in parts[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(part, first), node_hash(part, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, part)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _largest_power_below(count: int) -> int:
    """The largest power of two smaller than `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)
