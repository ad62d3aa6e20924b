#!/usr/bin/env python3
"""Check a Parley export package. Trusts nobody: not the package, not the officer, not Parley.

    python verify.py [PACKAGE] --key VKEY      PACKAGE: the zip, or the folder it was unpacked to

It needs Python 3.9 or newer and the package `cryptography`, and nothing of Parley. It shows that
  1. the checkpoint is signed by the log's key, and every leaf that it stands for is in leaves.txt;
  2. each logged entry of the requested scope and period is in bodies.jsonl, byte for byte;
  3. each version of each message that these entries speak of is in messages.jsonl, in the order
     of the log, and its text is the text that was logged; the other files repeat the entries,
     and each attached file is the file that was logged;
  4. two people asked for and approved exactly this scope, and the manifest was logged before
     anybody could download it;
  5. with `--previous OLD`, that the log goes on from that of an older package, and that nothing
     of it is left out here.
It does not show that everything that happened was logged, nor that the log showed others the
same history: compare checkpoints from elsewhere (`--checkpoint FILE`) for that.

How to read it: `check_package` is the order of things. Every file is in the order of the log, so
one pass (`sweep`) reads leaves.txt with the bodies and the rows beside it, in constant memory.

Exit status: 0 everything holds, 1 something is wrong (each thing is named), 2 cannot check.
"""

from __future__ import annotations  # this file alone must run on Python 3.9

import argparse
import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import os
import re
import sqlite3
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple
from uuid import UUID

FORMAT = "parley-export/2"
# These two stand outside the manifest: it cannot hold its own hash, nor the proof that was made
# after it.
OUTSIDE_MANIFEST = ("manifest.json", "manifest.tlog-proof")
# Which entries a file repeats, by how their action ("subject:action") begins.
VIEWS = {
    "membership.jsonl": ("member:",),
    "reactions.jsonl": ("reaction:",),
    "reads.jsonl": (
        "read:",
        "trail:",
        "names:",
        "message:disclosed",
        "search:",
        "conversation:opened",
        "attachment:downloaded",
        "export:downloaded",
    ),
    "calls.jsonl": ("call:",),
    "attachments.jsonl": ("attachment:uploaded", "attachment:deleted"),
    "holds.jsonl": ("hold:",),
    "erasures.jsonl": ("erasure:", "data_key:destroyed"),
}
VIEWS_OF = {  # packages of the first format are checked as they were made
    "parley-export/1": {
        "membership.jsonl": ("member:",),
        "reactions.jsonl": ("reaction:",),
        "reads.jsonl": ("trail:", "names:", "message:disclosed", "export:downloaded"),
    },
    FORMAT: VIEWS,
}
# Entries that may stand beside what was asked for, because a row refers to them: who was a member
# when the period began, a file uploaded before its message's period, the end of a data key.
CONTEXT = ("member:joined", "member:added", "attachment:uploaded", "data_key:destroyed")
MESSAGE_ACTIONS = ("message:sent", "message:edited", "message:deleted")
CSV_COLUMNS = (
    "leaf", "at", "conversation", "conversation_name", "conversation_kind", "message", "thread",
    "revision", "kind", "author", "author_name", "author_email", "author_role", "actor",
    "actor_name", "actor_email", "actor_role", "body", "salt", "commitment", "status",
)  # fmt: skip
CALL_COLUMNS = (
    "leaf", "at", "action", "conversation", "conversation_name", "conversation_kind",
    "target.type", "target.id", "target.parent", "parameters.user", "person_name", "person_email",
    "parameters.device", "parameters.gen", "actor", "actor_name", "actor_email", "actor_role",
    "parameters.reason", "parameters.by", "parameters.to", "after.muted", "after.screen",
    "after.video", "after.identity", "parameters.connections",
)  # fmt: skip
TABLES = {"messages": CSV_COLUMNS, "calls": CALL_COLUMNS}
FORMULA = ("=", "+", "-", "@", "\t", "\r")
MOST_PROBLEMS = 1000  # that are named one by one
TIME = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"
LEAF = re.compile(rf"v1 {TIME} ([0-9a-f]{{32}}) ([0-9a-f]{{32}}) ([0-9a-f]{{64}})", re.ASCII)


class CannotCheck(Exception):
    """The package cannot be judged at all: exit status 2."""


class Problem(NamedTuple):
    """One thing that is wrong, and where."""

    code: str
    text: str
    file: str = ""
    line: int | None = None  # counted from 1
    leaf: int | None = None  # counted from 0, as in the log
    message: str | None = None

    def __str__(self) -> str:
        where = self.file + (f" line {self.line}" if self.line is not None else "")
        about = (f"leaf {self.leaf}" if self.leaf is not None else "") + (
            f" message {self.message}" if self.message else ""
        )
        place = ", ".join(part for part in (where, about.strip()) if part)
        return f"{place}: {self.text}" if place else self.text


class Report:
    """Collects what was found; `lines` is what a person reads."""

    def __init__(self, beat: Callable[[], None] = lambda: None) -> None:
        self.beat = beat
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.lines: list[str] = []
        self.facts: dict[str, Any] = {}
        self.unnamed = 0

    def wrong(self, code: str, text: str, **where: Any) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(code, text, **where))
        else:
            self.unnamed += 1


# --- The package: a zip or a folder ------------------------------------------------------------


class Package:
    """Files by name, from a zip or from a folder."""

    def __init__(self, path: str) -> None:
        self.opened = contextlib.ExitStack()
        self.path = path
        self.folder = path if os.path.isdir(path) else ""
        self.hashes: dict[str, str] = {}  # of the files that the manifest lists, as they are
        if not self.folder and is_encrypted(path):
            raise CannotCheck(f"{path} is encrypted: age -d -i KEYFILE {path} > package.zip")
        try:
            self.zip = None if self.folder else self.opened.enter_context(zipfile.ZipFile(path))
        except (OSError, zipfile.BadZipFile) as error:
            raise CannotCheck(f"{path} is neither a folder nor a readable zip: {error}") from None

    def names(self) -> list[str]:
        """Every file, a name that occurs twice (a zip allows it) twice."""
        if self.zip:
            return [entry.filename for entry in self.zip.infolist() if not entry.is_dir()]
        found = []
        for parent, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if name != "__pycache__"]
            found += [os.path.relpath(os.path.join(parent, name), self.folder) for name in files]
        return [name.replace(os.sep, "/") for name in found]

    def open(self, name: str) -> BinaryIO:
        """Raises KeyError or OSError when the file is not there."""
        if self.zip:
            return self.zip.open(name)  # type: ignore[return-value]
        return open(os.path.join(self.folder, name), "rb")

    def hold(self, name: str) -> BinaryIO:
        """As `open`, for a file that is read until the end of the check."""
        return self.opened.enter_context(self.open(name))

    def read(self, name: str) -> bytes:
        try:
            with self.open(name) as file:
                return file.read()
        except (KeyError, OSError):
            raise CannotCheck(f"{name} is missing") from None

    def rows(self, name: str, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
        """The objects of a JSON Lines file with their line numbers; a bad line is a problem."""
        try:
            file = self.hold(name)
        except (KeyError, OSError):
            return  # check_files has named it
        strict = json.JSONDecoder(object_pairs_hook=without_duplicates)
        for number, line in enumerate(file, 1):
            try:
                row = strict.decode(line.decode())
                if not isinstance(row, dict):
                    raise ValueError("not an object")
            except (ValueError, RecursionError) as error:
                report.wrong("malformed", f"not a JSON object: {error}", file=name, line=number)
            else:
                yield number, row


def is_encrypted(path: str) -> bool:
    """Is it still an age file (age-encryption.org/v1)?"""
    try:
        with open(path, "rb") as file:
            return file.read(21) == b"age-encryption.org/v1"
    except OSError:
        return False


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a repeated key would show different readers different values."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is repeated")
    return result


def check_files(package: Package, manifest: dict[str, Any], report: Report) -> None:
    """Each file is listed in the manifest with its hash, and there are no others."""
    present = package.names()
    listed = manifest["files"]
    for name in sorted(set(present) - set(listed) - set(OUTSIDE_MANIFEST)):
        report.wrong("file-extra", "is not listed in the manifest", file=name)
    for name in sorted({name for name in present if present.count(name) > 1}):
        report.wrong("file-twice", "is in the package more than once", file=name)
    for name, expected in sorted(listed.items()):
        if name not in present:
            report.wrong("file-missing", "is listed in the manifest and missing", file=name)
            continue
        digest = hashlib.sha256()
        with package.open(name) as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
        package.hashes[name] = digest.hexdigest()
        if digest.hexdigest() != expected["sha256"]:
            report.wrong("file-changed", "is not the file that the manifest lists", file=name)
    report.lines.append(f"{len(listed)} files against the manifest's SHA-256")


# --- The signed checkpoint (c2sp.org/signed-note, c2sp.org/tlog-checkpoint) ---------------------


class Key(NamedTuple):
    name: str
    id: bytes
    public: bytes


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes


def parse_key(vkey: str) -> Key:
    """`<name>+<key id, 8 hex>+<base64 of 0x01 and the 32 bytes of the Ed25519 key>`."""
    try:
        name, key_id, encoded = vkey.strip().split("+", 2)
        data = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise CannotCheck(f"the key is not a verifier key: {vkey!r}") from None
    expected = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    if len(data) != 33 or data[0] != 1 or key_id != expected.hex():
        raise CannotCheck(f"the key is damaged, or not an Ed25519 key: {vkey!r}")
    return Key(name, expected, data[1:])


def open_checkpoint(note: bytes, key: Key) -> Checkpoint:
    """Raises ValueError unless `key` signed this well-formed checkpoint."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - main names its absence
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )

    text, separator, signatures = note.rpartition(b"\n\n")
    if not separator:
        raise ValueError("it is not a signed note")
    text += b"\n"
    public = Ed25519PublicKey.from_public_bytes(key.public)
    prefix = f"— {key.name} ".encode()
    for line in signatures.split(b"\n"):
        if not line.startswith(prefix):
            continue
        signature = base64.b64decode(line[len(prefix) :], validate=True)
        if signature[:4] != key.id:
            continue
        try:
            public.verify(signature[4:], text)
        except InvalidSignature:
            raise ValueError(f"the signature of {key.name} is forged or of another text") from None
        return parse_checkpoint(text)
    raise ValueError(f"it carries no signature by the key {key.name}+{key.id.hex()}")


def parse_checkpoint(text: bytes) -> Checkpoint:
    lines = text.decode().split("\n")
    if len(lines) < 4 or not re.fullmatch(r"0|[1-9][0-9]*", lines[1]):
        raise ValueError("its text is not a checkpoint")
    root = base64.b64decode(lines[2], validate=True)
    if len(root) != 32:
        raise ValueError("its root is not a SHA-256 hash")
    return Checkpoint(lines[0], int(lines[1]), root)


def check_checkpoint(note: bytes, key: Key, file: str, report: Report) -> Checkpoint | None:
    try:
        checkpoint = open_checkpoint(note, key)
        if checkpoint.origin != key.name:
            raise ValueError(f"it is a checkpoint of another log, {checkpoint.origin!r}")
    except ValueError as error:
        report.wrong("signature", str(error), file=file)
        return None
    return checkpoint


# --- The Merkle tree (RFC 6962 section 2.1; proofs as in RFC 9162 sections 2.1.3.2, 2.1.4.2) ----


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The root over leaf hashes that come one after the other; keeps one hash a level.

    `roots` holds the roots that the tree had at the sizes that somebody asked for.
    """

    def __init__(self, sizes: set[int]) -> None:
        self.size = 0
        self.roots: dict[int, bytes] = {}
        self._sizes = sizes
        self._complete: list[bytes] = []  # roots of complete subtrees, the largest first

    def add(self, node: bytes) -> None:
        if self.size in self._sizes:
            self.roots[self.size] = self.root()
        number, complete, sha256 = self.size, self._complete, hashlib.sha256
        while number & 1:  # two complete trees of one height are one of the next
            node = sha256(b"\x01" + complete.pop() + node).digest()
            number >>= 1
        complete.append(node)
        self.size += 1

    def root(self) -> bytes:
        if not self._complete:
            return hashlib.sha256(b"").digest()
        node = self._complete[-1]
        for left in reversed(self._complete[:-1]):
            node = node_hash(left, node)
        return node

    def end(self) -> None:
        self.roots[self.size] = self.root()


def included(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """Is the leaf hash at `index` of the tree of `size` with this root?"""
    if not 0 <= index < size:
        return False
    first, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            node = node_hash(sibling, node)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and node == root


def consistent(old: Checkpoint, new: Checkpoint, proof: list[bytes]) -> bool:
    """Does the tree of `new` begin with the tree of `old`?"""
    if old.size == new.size:
        return old.root == new.root and not proof
    if not 0 < old.size < new.size:
        return False
    if old.size & (old.size - 1) == 0:  # a complete tree is its own first node
        proof = [old.root, *proof]
    first, last = old.size - 1, new.size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    if not proof:
        return False
    old_node = new_node = proof[0]
    for sibling in proof[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            old_node, new_node = node_hash(sibling, old_node), node_hash(sibling, new_node)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            new_node = node_hash(new_node, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and old_node == old.root and new_node == new.root


# --- Leaves, and which of them were asked for ---------------------------------------------------


class Leaf(NamedTuple):
    time: str
    scope: str
    actor: str
    body: str  # SHA-256 of the entry's body


def parse_leaf(line: str) -> Leaf:
    match = LEAF.fullmatch(line)
    if not match:
        raise ValueError("is not a leaf of version 1")
    return Leaf._make(match.groups())


def read_leaves(package: Package, report: Report | None = None) -> Iterator[bytes]:
    """Every leaf; with a report, a last one that is cut off is a problem."""
    try:
        file = package.hold("leaves.txt")
    except (KeyError, OSError):
        raise CannotCheck("leaves.txt is missing") from None
    for line in iter(lambda: file.readline(1 << 16), b""):  # a leaf has 160 bytes
        if line.endswith(b"\n"):
            yield line[:-1]
            continue
        if report:
            report.wrong("malformed", "does not end with a line feed", file="leaves.txt")
        yield line


def check_tree(tree: Tree, checkpoint: Checkpoint, report: Report, file: str) -> None:
    """The leaves give the signed root; of an older checkpoint, the leaves that it knew."""
    if tree.size < checkpoint.size or (file == "checkpoint" and tree.size > checkpoint.size):
        report.wrong(
            "leaf-count",
            f"holds {tree.size} leaves, and {file} is signed for {checkpoint.size}",
            file="leaves.txt",
            leaf=min(tree.size, checkpoint.size),
        )
    elif tree.roots[checkpoint.size] != checkpoint.root:
        report.wrong(
            "root",
            f"the leaves do not give the root that {file} signs: a leaf was changed, "
            "moved, put in or left out",
            file="leaves.txt",
        )


def pseudonym(key: str, identity: UUID) -> str:
    """The name of a scope or an actor in leaves; only its own key links it to an identity."""
    return hmac.new(bytes.fromhex(key), identity.bytes, hashlib.sha256).hexdigest()[:32]


def pseudonyms(keys: dict[str, str], identities: list[str], what: str) -> dict[str, str]:
    """Pseudonym to identity, for each identity that was asked for."""
    missing = [identity for identity in identities if identity not in keys]
    if missing:
        raise CannotCheck(f"manifest.json reveals no key for the {what} {missing[0]}")
    return {pseudonym(keys[identity], UUID(identity)): identity for identity in identities}


class Wanted(NamedTuple):
    """What was asked for. No scopes: all of them; no actors: everybody."""

    scopes: dict[str, str]
    actors: dict[str, str]
    since: str
    until: str

    def covers(self, leaf: Leaf) -> bool:
        return (
            (not self.scopes or leaf.scope in self.scopes)
            and (not self.actors or leaf.actor in self.actors)
            and self.since <= leaf.time
            and (not self.until or leaf.time < self.until)
        )


def wanted(manifest: dict[str, Any]) -> Wanted:
    scope, keys = manifest["scope"], manifest["pseudonyms"]
    for bound in ("since", "until"):
        if scope[bound] and not re.fullmatch(TIME, scope[bound], re.ASCII):
            raise CannotCheck(f"manifest.json: {bound} is not a time of the log")
    return Wanted(
        scopes=pseudonyms(keys["scopes"], scope["conversations"], "conversation"),
        actors=pseudonyms(keys["actors"], scope["people"], "person"),
        since=scope["since"] or "",
        until=scope["until"] or "",
    )


# --- Bodies: the entries themselves -------------------------------------------------------------


class Line(NamedTuple):
    """A body at its place in the file and in the log."""

    number: int
    text: bytes
    place: int
    leaf: Leaf


class Bodies:
    """bodies.jsonl, read beside leaves.txt: both are in the order of the log."""

    def __init__(self, package: Package, report: Report) -> None:
        self.package, self.report = package, report
        self.awaited: dict[str, tuple[int, Leaf]] = {}  # asked for, and not come so far
        self.strangers: list[tuple[int, str, str]] = []  # line, hash, time: of no awaited leaf
        self.places: dict[str, int] | None = None
        self.number, self.text, self.hash = 0, b"", ""
        try:
            self.file: BinaryIO | None = package.hold("bodies.jsonl")
        except (KeyError, OSError):
            self.file = None  # check_files has named it
        self.advance()

    def advance(self) -> None:
        line = self.file.readline() if self.file else b""
        self.number += 1
        self.text = line[:-1] if line.endswith(b"\n") else line
        self.hash = hashlib.sha256(self.text).hexdigest() if line else ""

    def of(self, index: int, leaf: Leaf, due: bool) -> Iterator[Line]:
        """The body of this leaf, after any that come too late for theirs."""
        while due and self.hash and self.hash != leaf.body and not self.is_of_later(index):
            yield from self.misplaced()
        if self.hash == leaf.body:
            yield Line(self.number, self.text, index, leaf)
            self.advance()
        elif due:
            self.awaited[leaf.body] = (index, leaf)

    def is_of_later(self, index: int) -> bool:
        return self.place_of(self.hash) > index

    def place_of(self, digest: str) -> int:
        """Where the log has this body, or -1. Only a package with a fault needs this table."""
        if self.places is None:
            leaves = enumerate(read_leaves(self.package))
            self.places = {leaf[-64:].decode("latin-1"): index for index, leaf in leaves}
        return self.places.get(digest, -1)

    def misplaced(self) -> Iterator[Line]:
        """Name the present line, which stands where it should not; yield what was awaited."""
        where: dict[str, Any] = {"file": "bodies.jsonl", "line": self.number}
        if self.hash in self.awaited:
            index, leaf = self.awaited.pop(self.hash)
            self.report.wrong("body-order", "is out of its order", leaf=index, **where)
            yield Line(self.number, self.text, index, leaf)
        elif self.place_of(self.hash) >= 0:
            text = "stands here a second time, or out of its order and was not asked for"
            self.report.wrong("body-order", text, leaf=self.place_of(self.hash), **where)
        else:
            self.strangers.append((self.number, self.hash, time_of(self.text)))
        self.advance()

    def end(self) -> Iterator[Line]:
        while self.hash:
            yield from self.misplaced()
        self.name_missing()

    def name_missing(self) -> None:
        """A body that no leaf knows was changed or invented; its time tells which leaf it had."""
        report, missing = self.report, dict(self.awaited.values())
        by_time: dict[str, list[int]] = {}
        for index in sorted(missing):
            by_time.setdefault(missing[index].time, []).append(index)
        for number, _, time in self.strangers:
            if by_time.get(time):
                index = by_time[time].pop(0)
                del missing[index]
                text = f"was changed: the log has another entry of {time}"
                report.wrong("body-changed", text, file="bodies.jsonl", line=number, leaf=index)
            else:
                text = "is in no leaf of the log: changed or invented"
                report.wrong("body-unknown", text, file="bodies.jsonl", line=number)
        for index in sorted(missing):
            text = f"the entry of {missing[index].time} was asked for and is not in the package"
            report.wrong("body-missing", text, file="bodies.jsonl", leaf=index)


def time_of(body: bytes) -> str:
    try:
        return str(json.loads(body)["time"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def check_body(
    body: dict[str, Any], leaf: Leaf, asked: Wanted, report: Report, /, **where: Any
) -> None:
    """The entry says of itself what its leaf says of it."""
    scope, actor = asked.scopes.get(leaf.scope), asked.actors.get(leaf.actor)
    if body["time"] != leaf.time:
        report.wrong("body-leaf", f"its time is not the leaf's {leaf.time}", **where)
    if scope is not None and scope not in (body["scope"], body["organization"]):
        report.wrong("body-leaf", f"its scope is not the leaf's {scope}", **where)
    if actor is not None and body["actor"]["id"] != actor:
        report.wrong("body-leaf", f"its actor is not the leaf's {actor}", **where)


# --- Messages and the other files that repeat entries -------------------------------------------


def commitment(salt: bytes, text: str) -> str:
    """What the log knows of a text: it can be checked against it, and not be guessed from it."""
    return hashlib.sha256(b"parley/commitment/v1\x00" + salt + text.encode()).hexdigest()


class Rows:
    """A file that repeats entries, read beside them: each row names the leaf of its entry.

    `check(row, expected, **where)` compares a row with what its entry says.
    """

    def __init__(
        self,
        name: str,
        file: Iterator[tuple[int, dict[str, Any]]],
        report: Report,
        check: Callable[..., None],
    ) -> None:
        self.name, self.file, self.report, self.check = name, file, report, check
        self.early: dict[int, tuple[int, dict[str, Any]]] = {}  # rows before their entry
        self.missing: dict[int, Any] = {}  # entries before their row
        self.number, self.leaf = 0, 0
        self.row: dict[str, Any] = {}
        self.advance()

    def advance(self) -> None:
        for number, row in self.file:
            leaf = row.get("leaf")
            if type(leaf) is int:
                self.number, self.leaf, self.row = number, leaf, row
                return
            self.unknown(number, row)
        self.leaf, self.row = -1, {}

    def unknown(self, number: int, row: dict[str, Any]) -> None:
        text = f"repeats, or has no entry at, leaf {row.get('leaf')}"
        message = row.get("message")
        self.report.wrong("row-extra", text, file=self.name, line=number, message=message)

    def expect(self, index: int, expected: Any) -> None:
        """The entry at `index` has its row here."""
        self.skip(index)
        if self.row and self.leaf == index:
            self.compare(self.number, self.row, index, expected)
            self.advance()
        elif index in self.early:
            self.late(*self.early.pop(index), index, expected)
        else:
            self.missing[index] = expected

    def skip(self, index: int | None) -> None:
        """Put aside what stands before the row of `index` (None: everything)."""
        while self.row and (index is None or self.leaf < index):
            if self.leaf in self.missing:
                self.late(self.number, self.row, self.leaf, self.missing.pop(self.leaf))
            elif self.leaf in self.early:
                self.unknown(self.number, self.row)
            else:
                self.early[self.leaf] = (self.number, self.row)
            self.advance()

    def late(self, number: int, row: dict[str, Any], index: int, expected: Any) -> None:
        text, message = "is out of its order", row.get("message")
        where = {"file": self.name, "line": number, "message": message}
        self.report.wrong("row-order", text, leaf=index, **where)
        self.compare(number, row, index, expected)

    def compare(self, number: int, row: dict[str, Any], index: int, expected: Any) -> None:
        message = row.get("message")
        self.check(row, expected, file=self.name, line=number, leaf=index, message=message)

    def end(self) -> None:
        self.skip(None)
        for number, row in self.early.values():
            self.unknown(number, row)
        for index, expected in sorted(self.missing.items()):
            message = expected.get("message")
            text = f"what was logged at {expected['at']} is in the log and not in the file"
            self.report.wrong("row-missing", text, file=self.name, leaf=index, message=message)


def expected_of_version(body: dict[str, Any]) -> dict[str, Any]:
    """What a row of messages.jsonl must say, by the log."""
    after = body["after"]
    expected = {
        "at": body["time"],
        "conversation": body["scope"],
        "message": body["target"]["id"],
        "version": after["version"],
        "revision": after["revision"],
        "kind": body["action"].partition(":")[2],  # sent, edited, deleted
        "actor": body["actor"]["id"],
        "commitment": after["content"],
    }
    if body["action"] == "message:sent":  # who sent a message is its author
        expected["author"] = body["actor"]["id"]
    if "attachments" in after:
        expected["attachments"] = after["attachments"]
    return expected


def expected_of_event(body: dict[str, Any]) -> dict[str, Any]:
    """What a row of the other files must say, by the log."""
    return {
        "at": body["time"],
        "action": body["action"],
        "conversation": body["scope"],
        "actor": body["actor"]["id"],
        "target": body["target"],
        "parameters": body["parameters"],
        "before": body["before"],
        "after": body["after"],
    }


def check_row(
    row: dict[str, Any], expected: dict[str, Any], report: Report, /, **where: Any
) -> None:
    for name, value in expected.items():
        if row.get(name) != value:
            text = f"{name} differs from what was logged, {value!r}"
            report.wrong("row-differs", text, **where)


def is_logged_text(salt: Any, text: Any, expected: Any) -> bool:
    """Do the text and its salt give the commitment that the log holds?"""
    try:
        return bool(commitment(bytes.fromhex(salt), text) == expected)
    except (ValueError, TypeError, AttributeError):
        return False


class Erased:
    """What destroyed keys took; judged at the end, because the log holds first, then destroys."""

    def __init__(self, report: Report) -> None:
        self.report = report
        # By the leaf that says so, conversation and month: the first row, and how many.
        self.rows: dict[tuple[Any, ...], tuple[dict[str, Any], int]] = {}

    def explains(self, row: dict[str, Any], expected: dict[str, Any], where: Any) -> bool:
        """Does the row say that a destroyed key is why it lacks its content?"""
        if row.get("status") != "erased" or type(row.get("erased_by")) is not int:
            return False
        reason = (row["erased_by"], expected["conversation"], expected["at"][:7])
        first, number = self.rows.get(reason, (where, 0))
        self.rows[reason] = (first, number + 1)
        return True

    def end(self, context: dict[int, dict[str, Any]]) -> None:
        for (leaf, conversation, month), (first, number) in sorted(self.rows.items()):
            if is_end_of_key(context.get(leaf, {}), conversation, month):
                self.report.lines.append(
                    f"{number} texts or files of {month} in {conversation} cannot be read any more:"
                    f" their key was destroyed at leaf {leaf}"
                )
            else:
                text = (
                    "its content is said to be erased, and the log does not say at leaf"
                    f" {leaf} that its key was destroyed; {number} in all"
                )
                self.report.wrong("content-missing", text, **first)


class Texts:
    """The texts of messages.jsonl against their commitments."""

    def __init__(self, report: Report, erased: Erased) -> None:
        self.report, self.erased = report, erased

    def check(self, row: dict[str, Any], expected: dict[str, Any], /, **where: Any) -> None:
        check_row(row, expected, self.report, **where)
        text, salt = row.get("body"), row.get("salt")
        if expected["commitment"] is None:
            if text is not None:
                why = "has a text, and none was logged (a deletion)"
                self.report.wrong("content", why, **where)
        elif text is not None and salt is not None:
            if not is_logged_text(salt, text, expected["commitment"]):
                why = "its text is not the text that was logged"
                self.report.wrong("content", why, **where)
        elif not self.erased.explains(row, expected, where):
            why = f"its text is not in the package ({row.get('status')})"
            self.report.wrong("content-missing", why, **where)


def is_end_of_key(body: dict[str, Any], conversation: Any, month: str) -> bool:
    return (
        body.get("action") == "data_key:destroyed"
        and body["scope"] == conversation
        and str(body["before"].get("month", month)).startswith(month)
    )


class Revisions:
    """Versions of a message follow one another without a gap."""

    def __init__(self, package: Package) -> None:
        # A database without a name is a temporary file of which nothing stays.
        self.table = package.opened.enter_context(contextlib.closing(sqlite3.connect("")))
        self.table.execute("CREATE TABLE version (message TEXT, revision INTEGER, leaf INTEGER)")
        self.waiting: list[tuple[str, int, int]] = []

    def add(self, message: str, revision: int, leaf: int) -> None:
        self.waiting.append((message, revision, leaf))
        if len(self.waiting) == 1000:
            self.store()

    def store(self) -> None:
        self.table.executemany("INSERT INTO version VALUES (?, ?, ?)", self.waiting)
        self.waiting.clear()

    def end(self, asked: Wanted, report: Report) -> None:
        self.store()
        # Without the beginning or without everybody, what came first here need not be the first.
        first = -1 if asked.since else 0
        gaps = self.table.execute(
            "SELECT message, earlier + 1, leaf FROM (SELECT *, LAG(revision, 1, ?) OVER"
            " (PARTITION BY message ORDER BY revision) AS earlier FROM version)"
            " WHERE revision > earlier + 1 AND earlier >= 0",
            [first],
        )
        for message, revision, leaf in gaps if not asked.actors else ():
            text = f"revision {revision} was never logged, later ones were"
            report.wrong("revision-gap", text, message=message, leaf=leaf)


class Files:
    """attachments.jsonl: what is said of a file is what was logged, and the bytes are those.

    A message's entry names its files with the commitments of theirs.
    """

    def __init__(self, package: Package, report: Report, erased: Erased) -> None:
        self.package, self.report, self.erased = package, report, erased
        self.uploaded: dict[str, str] = {}  # commitment by id, of those no message carries so far
        self.checked = 0

    def check(self, row: dict[str, Any], expected: dict[str, Any], /, **where: Any) -> None:
        check_row(row, expected, self.report, **where)
        if expected["action"] != "attachment:uploaded":
            return
        told, file_id = row.get("description"), expected["target"]["id"]
        name = f"attachments/{file_id}"
        if told is None:
            if row.get("status") == "not sent":
                self.uploaded.pop(file_id, None)  # a message that carries it is then named
            elif not self.erased.explains(row, expected, where):
                text = f"its file is not in the package ({row.get('status')})"
                self.report.wrong("file-content-missing", text, **where)
        elif not is_logged_text(row.get("salt"), told, expected["after"]["content"]):
            self.report.wrong("file-content", "is not described as it was logged", **where)
        elif self.package.hashes.get(name) != json.loads(told)["sha256"]:
            self.report.wrong("file-content", f"{name} is not the file that was logged", **where)
        else:
            self.checked += 1

    def upload(self, body: dict[str, Any]) -> None:
        self.uploaded[body["target"]["id"]] = body["after"]["content"]

    def carry(self, files: list[dict[str, str]], index: int) -> None:
        """The message at `index` carries these: each was uploaded, and is here."""
        for file in files:
            if self.uploaded.pop(file["id"], None) != file["content"]:
                text = f"the file {file['id']} of this message is not here as it was logged"
                self.report.wrong("file-missing", text, file="attachments.jsonl", leaf=index)


class Stays:
    """members_at_start.jsonl: each joined before the period, and nobody left who was not there."""

    def __init__(self, package: Package, asked: Wanted, report: Report) -> None:
        self.asked, self.report = asked, report
        self.joins: list[tuple[int, dict[str, Any]]] = []
        self.present: set[tuple[Any, Any]] = set()
        name = "members_at_start.jsonl"
        for number, row in package.rows(name, report) if name in package.hashes else ():
            self.joins.append((number, row))
            self.present.add((row.get("conversation"), row.get("user")))

    def moved(self, body: dict[str, Any], index: int) -> None:
        """Somebody came or went in the period."""
        stay = (body["scope"], body["target"]["id"])
        if body["action"] in ("member:joined", "member:added"):
            self.present.add(stay)
            return
        left = body["action"] in ("member:left", "member:removed") and not self.asked.actors
        if left and stay not in self.present:
            text = f"{stay[1]} left {stay[0]}, and is not among those who were there before"
            where = {"file": "members_at_start.jsonl", "leaf": index}
            self.report.wrong("member-missing", text, **where)

    def end(self, context: dict[int, dict[str, Any]]) -> None:
        for number, row in self.joins:
            body = context.get(row.get("leaf", -1), {})
            if not (
                body.get("action") in ("member:joined", "member:added")
                and (body["scope"], body["target"]["id"]) == (row["conversation"], row["user"])
                and body["time"] == row["joined_at"]
                and body["time"] < self.asked.since
            ):
                text = f"the log does not say at leaf {row.get('leaf')} that this member joined"
                where = {"file": "members_at_start.jsonl", "line": number}
                self.report.wrong("member-unknown", text, **where)


def csv_line(cells: list[Any]) -> bytes:
    """A line of a table: all cells quoted, and none that a spreadsheet takes for a formula."""
    safe = [plain_cell(cell).replace('"', '""') for cell in cells]
    return (",".join(f'"{text}"' for text in safe) + "\r\n").encode()


def plain_cell(cell: Any) -> str:
    """A text that no spreadsheet takes for a formula."""
    text = "" if cell is None else str(cell)
    return "'" + text if text[:1] in FORMULA else text


def cells(row: dict[str, Any], columns: tuple[str, ...]) -> list[Any]:
    """A row's cells: `a.b` is b inside of a; what is no single value is JSON."""
    return [inside(row, name) if "." in name else row.get(name) for name in columns]


def inside(row: dict[str, Any], column: str) -> Any:
    outer, _, name = column.partition(".")
    value = (row.get(outer) or {}).get(name)
    return json.dumps(value, sort_keys=True) if isinstance(value, (dict, list)) else value


class Table:
    """A .csv, which must be the .jsonl of that name for people: compared while that is read."""

    def __init__(self, package: Package, report: Report, name: str) -> None:
        self.report, self.name, self.columns = report, name, TABLES[name]
        self.file: BinaryIO | None = None
        if f"{name}.csv" not in package.hashes:
            return  # not asked for; or missing, and check_files has named it
        self.file = package.hold(f"{name}.csv")
        head = b"\xef\xbb\xbf" + csv_line(list(self.columns))
        if self.file.read(len(head)) != head:
            self.wrong("has another head than expected", line=1)

    def wrong(self, text: str, **where: Any) -> None:
        """Name the first difference: what follows is displaced."""
        self.report.wrong("csv", text, file=f"{self.name}.csv", **where)
        self.file = None

    def beside(
        self, rows: Iterator[tuple[int, dict[str, Any]]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, row in rows:
            self.compare(number, row)
            yield number, row
        self.end()

    def compare(self, number: int, row: dict[str, Any]) -> None:
        if self.file is None:
            return
        expected = csv_line(cells(row, self.columns))
        if self.file.read(len(expected)) != expected:
            where = {"leaf": row.get("leaf"), "message": row.get("message")}
            self.wrong(f"differs from {self.name}.jsonl line {number}", **where)

    def end(self) -> None:
        if self.file and self.file.read(1):
            self.wrong("goes on after the last row")


# --- The pass over the log ----------------------------------------------------------------------


class Sweep:
    """Reads the log once, with everything that repeats it beside it."""

    def __init__(
        self, package: Package, manifest: dict[str, Any], asked: Wanted, report: Report
    ) -> None:
        self.package, self.manifest, self.asked, self.report = package, manifest, asked, report
        self.bodies = Bodies(package, report)
        self.erased = Erased(report)
        self.texts = Texts(report, self.erased)
        self.files = Files(package, report, self.erased)
        self.revisions, self.stays = Revisions(package), Stays(package, asked, report)
        self.messages = Rows("messages.jsonl", self.read("messages"), report, self.texts.check)
        self.views = VIEWS_OF[manifest["format"]]
        self.rows = {name: self.rows_of(name) for name in self.views}
        self.view_of: dict[str, str | None] = {}
        self.export: list[tuple[int, dict[str, Any]]] = []  # its own request and approval
        self.context: dict[int, dict[str, Any]] = {}
        self.items: dict[Any, Counter[str]] = {}
        self.due = self.versions = 0

    def rows_of(self, name: str) -> Rows:
        def check(row: dict[str, Any], expected: dict[str, Any], /, **where: Any) -> None:
            check_row(row, expected, self.report, **where)

        checked = self.files.check if name == "attachments.jsonl" else check
        return Rows(name, self.read(name.removesuffix(".jsonl")), self.report, checked)

    def read(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        rows = self.package.rows(f"{name}.jsonl", self.report)
        return Table(self.package, self.report, name).beside(rows) if name in TABLES else rows

    def run(self, tree: Tree) -> None:
        sha256, covers, bodies = hashlib.sha256, self.asked.covers, self.bodies
        for index, line in enumerate(read_leaves(self.package, self.report)):
            tree.add(sha256(b"\x00" + line).digest())
            try:
                leaf = parse_leaf(line.decode("latin-1"))
            except ValueError as error:
                where = {"file": "leaves.txt", "line": index + 1, "leaf": index}
                self.report.wrong("malformed", str(error), **where)
                continue
            due = covers(leaf)
            self.due += due
            if index % 1000 == 0:
                self.report.beat()
            if due or bodies.hash == leaf.body:
                for found in bodies.of(index, leaf, due):
                    self.entry(found)
        tree.end()
        for found in bodies.end():
            self.entry(found)
        self.end()

    def entry(self, line: Line) -> None:
        """An entry of the log, byte for byte; what must it find in the other files?"""
        body, due = json.loads(line.text), self.asked.covers(line.leaf)
        where = {"file": "bodies.jsonl", "line": line.number, "leaf": line.place}
        own = body["target"] == {"type": "export", "id": self.manifest["export"], "parent": ""}
        if own and body["action"] in ("export:requested", "export:approved"):
            self.export.append((line.place, body))
        if body["action"] in CONTEXT:
            self.context[line.place] = body
        if due:
            check_body(body, line.leaf, self.asked, self.report, **where)
            self.repeated(line.place, body)
        elif body["action"] == "attachment:uploaded" and self.views is VIEWS:
            self.view(line.place, body)
        elif not own and (body["action"] not in CONTEXT or self.views is not VIEWS):
            self.report.wrong("body-extra", "was not asked for", **where)

    def repeated(self, index: int, body: dict[str, Any]) -> None:
        action = body["action"]
        item = self.items.setdefault(body["scope"], Counter())
        item["entries"] += 1
        if action in MESSAGE_ACTIONS:
            self.versions += 1
            item["versions"] += 1
            expected = expected_of_version(body)
            self.revisions.add(expected["message"], expected["revision"], index)
            self.messages.expect(index, expected)
            self.files.carry(expected.get("attachments", []), index)
            return
        self.view(index, body)
        if action.startswith("member:"):
            self.stays.moved(body, index)

    def view(self, index: int, body: dict[str, Any]) -> None:
        """The row that repeats this entry, if any file does."""
        action = body["action"]
        if action == "attachment:uploaded":
            self.files.upload(body)
        if action not in self.view_of:
            found = [name for name, begins in self.views.items() if action.startswith(begins)]
            self.view_of[action] = found[0] if found else None
        name = self.view_of[action]
        if name:
            self.rows[name].expect(index, expected_of_event(body))

    def end(self) -> None:
        self.messages.end()
        for rows in self.rows.values():
            rows.end()
        self.erased.end(self.context)
        self.revisions.end(self.asked, self.report)
        if self.views is VIEWS:
            self.stays.end(self.context)
            check_items(self.package, self.items, self.report)


def check_items(package: Package, items: dict[Any, Counter[str]], report: Report) -> None:
    """items.jsonl has a row for each conversation, with as many entries and versions as the log."""
    left = dict(items)
    for number, row in package.rows("items.jsonl", report):
        counted = left.pop(row.get("conversation"), Counter())
        for name in ("entries", "versions"):
            if row.get(name) != counted[name]:
                text = f"says {row.get(name)} {name}, and the log has {counted[name]}"
                report.wrong("item", text, file="items.jsonl", line=number)
    for conversation in left:
        report.wrong("item", f"has no row for {conversation}", file="items.jsonl")


# --- Who asked, who approved, and the logged manifest -------------------------------------------


def check_approval(
    manifest: dict[str, Any], entries: list[tuple[int, dict[str, Any]]], report: Report
) -> None:
    """The log holds the request for exactly this scope, and its approval by somebody else."""
    requests = [item for item in entries if item[1]["action"] == "export:requested"]
    approvals = [item for item in entries if item[1]["action"] == "export:approved"]
    if len(requests) != 1 or len(approvals) != 1:
        text = "the log's request and approval of this export are not both here, once"
        report.wrong("approval", text, file="bodies.jsonl")
        return
    (asked_at, request), (approved_at, approval) = requests[0], approvals[0]
    # An older format had no choice of formats and no encryption.
    for name in ("scope", "formats", "recipient") if "formats" in manifest else ("scope",):
        if request["parameters"].get(name) != manifest.get(name):
            text = f"the {name} is not the {name} that was requested and approved"
            report.wrong("approval", text, file="manifest.json", leaf=asked_at)
    if request["actor"]["id"] == approval["actor"]["id"]:
        report.wrong("approval", "requested and approved by the same person", leaf=approved_at)
    people = (("requested_by", request), ("approved_by", approval))
    for field, body in people:
        if manifest[field]["id"] != body["actor"]["id"]:
            report.wrong("approval", f"{field} is not who the log says", file="manifest.json")
    report.lines.append(f"requested at leaf {asked_at}, approved by another at leaf {approved_at}")


class ManifestProof(NamedTuple):
    leaf: bytes
    body: bytes
    consistency: list[bytes]
    place: int
    inclusion: list[bytes]
    note: bytes


def parse_proof(data: bytes) -> ManifestProof:
    """c2sp.org/tlog-proof; `extra` holds the leaf, its body and a consistency proof."""
    head, separator, note = data.partition(b"\n\n")
    lines = head.decode().split("\n")
    if not separator or len(lines) < 3 or lines[0] != "c2sp.org/tlog-proof@v1":
        raise ValueError("is not a tlog-proof")
    if not lines[1].startswith("extra ") or not re.fullmatch(r"index (0|[1-9]\d*)", lines[2]):
        raise ValueError("lacks its extra or its index")
    extra = json.loads(base64.b64decode(lines[1][6:], validate=True))
    return ManifestProof(
        leaf=extra["leaf"].encode(),
        body=extra["body"].encode(),
        consistency=[base64.b64decode(item, validate=True) for item in extra["consistency"]],
        place=int(lines[2][6:]),
        inclusion=[base64.b64decode(line, validate=True) for line in lines[3:]],
        note=note,
    )


def check_manifest_proof(
    package: Package, checkpoint: Checkpoint | None, key: Key, report: Report
) -> None:
    """The hash of this manifest is an entry of the log, under a later checkpoint of it."""
    file = "manifest.tlog-proof"
    digest = hashlib.sha256(package.read("manifest.json")).hexdigest()
    manifest = json.loads(package.read("manifest.json"))
    try:
        proof = parse_proof(package.read(file))
        leaf, body = parse_leaf(proof.leaf.decode()), json.loads(proof.body)
        logged = body["after"]["manifest_sha256"]
        same_export = body["target"] == {"type": "export", "id": manifest["export"], "parent": ""}
    except (CannotCheck, ValueError, KeyError, TypeError, AttributeError) as error:
        report.wrong("proof", str(error) or type(error).__name__, file=file)
        return
    later = check_checkpoint(proof.note, key, file, report)
    if hashlib.sha256(proof.body).hexdigest() != leaf.body or leaf.time != body["time"]:
        report.wrong("proof", "its entry is not the entry of its leaf", file=file, leaf=proof.place)
    if body["action"] != "export:built" or not same_export:
        report.wrong("proof", "its entry is about something else", file=file, leaf=proof.place)
    if logged != digest:
        text = "is not the manifest that was logged when the package was built"
        report.wrong("manifest-changed", text, file="manifest.json", leaf=proof.place)
    if later is None:
        return
    where = {"file": file, "leaf": proof.place}
    if not included(leaf_hash(proof.leaf), proof.place, later.size, proof.inclusion, later.root):
        report.wrong("proof", "the log does not hold its entry at this index", **where)
    if checkpoint and not consistent(checkpoint, later, proof.consistency):
        report.wrong("proof", "its checkpoint does not continue the package's checkpoint", **where)
    report.lines.append(f"manifest logged at leaf {proof.place} of {later.size}")


# --- The whole ----------------------------------------------------------------------------------


def load_manifest(package: Package) -> dict[str, Any]:
    try:
        manifest = json.loads(package.read("manifest.json"), object_pairs_hook=without_duplicates)
    except ValueError as error:
        raise CannotCheck(f"manifest.json is not JSON: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") not in VIEWS_OF:
        known = " or ".join(sorted(VIEWS_OF))
        raise CannotCheck(f"manifest.json is not of the format {known}: take a later verify.py")
    return manifest


def choose_key(given: str | None, manifest: dict[str, Any], report: Report) -> Key:
    if given is not None:
        return parse_key(given)
    report.warnings.append(
        "NO --key WAS GIVEN: the key was taken from the package itself, so a forger could have "
        "put a key of their own there. Compare it with the key that the organization or its "
        f"auditor gave you by another way: {manifest['log']['key']}"
    )
    return parse_key(manifest["log"]["key"])


# What a damaged or malicious file may raise: JSON of another shape or depth, a broken zip.
MALFORMED = (
    KeyError,
    TypeError,
    AttributeError,
    ValueError,
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


def verify(
    path: str,
    key: str | None = None,
    known: list[str] | None = None,
    previous: str | None = None,
    beat: Callable[[], None] = lambda: None,
) -> Report:
    """Check the package at `path`, and that it continues the package at `previous`.

    `known` are files with checkpoints from elsewhere; `beat` is called now and then. Raises
    CannotCheck where no judgement is possible.
    """
    report = Report(beat)
    package = Package(path)
    try:
        with package.opened:
            manifest = load_manifest(package)
            chosen = choose_key(key, manifest, report)
            notes = {file: read_note(file) for file in known or []}
            older = load_previous(previous, key, report) if previous else None
            check_package(package, manifest, chosen, report, notes=notes, older=older)
    except (*MALFORMED, CannotCheck) as error:
        # What is already known to be wrong must not be lost to a malformed rest.
        reason = str(error) if isinstance(error, CannotCheck) else f"malformed: {error!r}"
        if not report.problems:
            raise CannotCheck(reason) from error
        report.wrong("malformed", f"the rest could not be checked: {reason}")
    return report


def read_note(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def check_package(
    package: Package,
    manifest: dict[str, Any],
    key: Key,
    report: Report,
    *,
    notes: dict[str, bytes],
    older: Package | None,
) -> None:
    check_files(package, manifest, report)
    if older:
        notes = {**notes, f"{older.path}: checkpoint": older.read("checkpoint")}
    checkpoint = check_checkpoint(package.read("checkpoint"), key, "checkpoint", report)
    others = {name: check_checkpoint(note, key, name, report) for name, note in notes.items()}
    signed = {"checkpoint": checkpoint, **others}
    tree = Tree({item.size for item in signed.values() if item})
    asked = wanted(manifest)
    sweep = Sweep(package, manifest, asked, report)
    sweep.run(tree)
    for name, item in signed.items():
        if item:
            check_tree(tree, item, report, name)
    if checkpoint:
        report.lines.append(f"{tree.size} leaves under the checkpoint signed by {key.name}")
        check_continued(manifest, checkpoint, report)
    report.lines.append(f"{sweep.due} entries asked for")
    report.lines.append(f"{sweep.versions} versions of messages against the log")
    if sweep.files.checked:
        report.lines.append(f"{sweep.files.checked} attached files against the log")
    check_approval(manifest, sweep.export, report)
    check_manifest_proof(package, checkpoint, key, report)
    if older:
        with older.opened:
            check_previous(package, older, asked, report)
    if manifest.get("state") != "complete":
        report.warnings.append("The package says of itself that it is PARTIAL.")
    report.facts = {
        "export": manifest["export"],
        "organization": manifest["organization"],
        "scope": manifest["scope"],
        "key": f"{key.name}+{key.id.hex()}",
        "size": checkpoint.size if checkpoint else None,
        "root": base64.b64encode(checkpoint.root).decode() if checkpoint else None,
        "entries": sweep.due,
        "versions": sweep.versions,
    }


# --- The package before this one ----------------------------------------------------------------


def check_continued(manifest: dict[str, Any], checkpoint: Checkpoint, report: Report) -> None:
    """The manifest's proof that this log goes on from that of the officer's export before."""
    earlier = manifest.get("previous")
    if not earlier:
        return
    old = Checkpoint(checkpoint.origin, earlier["size"], base64.b64decode(earlier["root"]))
    proof = [base64.b64decode(node, validate=True) for node in earlier["consistency"]]
    if not consistent(old, checkpoint, proof):
        text = f"the log does not go on from that of the export {earlier['export']}"
        report.wrong("previous", text, file="manifest.json")
        return
    report.lines.append(f"goes on from the log of export {earlier['export']} ({old.size} leaves)")


def load_previous(path: str, key: str | None, report: Report) -> Package:
    """The older package, which must itself hold."""
    found = verify(path, key)
    for problem in found.problems:
        report.wrong("previous", f"the older package itself is wrong: {problem}", file=path)
    return Package(path)


def check_previous(package: Package, older: Package, asked: Wanted, report: Report) -> None:
    """Each message of the older package that this one covers is in this one.

    Both are in the order of one log, so a message has the same leaf in both.
    """
    old_rows, new_rows = rows_by_leaf(older), rows_by_leaf(package)
    old, new = next(old_rows, None), next(new_rows, None)
    kept = outside = erased = 0
    for index, line in enumerate(read_leaves(package)):
        while new and new["leaf"] < index:
            new = next(new_rows, None)
        while old and old["leaf"] < index:
            old = next(old_rows, None)
        if old is None:
            break
        if old["leaf"] != index:
            continue
        if not asked.covers(parse_leaf(line.decode("latin-1"))):
            outside += 1
        elif new is None or new["leaf"] != index:
            text = "was in the older package, is asked for, and is not here"
            where = {"file": "messages.jsonl", "leaf": index, "message": old["message"]}
            report.wrong("previous-missing", text, **where)
        else:
            kept += 1
            erased += old["body"] is not None and new["body"] is None
    report.lines.append(
        f"{kept} versions of the older package are here; {outside} more are outside of this"
        f" scope; {erased} texts can be read there and here no more"
    )


def rows_by_leaf(package: Package) -> Iterator[dict[str, Any]]:
    for _, row in package.rows("messages.jsonl", Report()):
        if type(row.get("leaf")) is int:
            yield row


# --- What a person reads ------------------------------------------------------------------------


def describe(manifest_scope: dict[str, Any]) -> str:
    conversations, people = manifest_scope["conversations"], manifest_scope["people"]
    return "{}, {}, from {} to {}".format(
        f"{len(conversations)} conversations" if conversations else "the whole organization",
        f"{len(people)} people" if people else "everybody",
        manifest_scope["since"] or "the beginning",
        manifest_scope["until"] or "the checkpoint",
    )


def show(report: Report, out: Callable[[str], object]) -> None:
    for warning in report.warnings:
        out(f"WARNING  {warning}\n")
    if report.facts:
        out(f"export   {report.facts['export']}")
        out(f"scope    {describe(report.facts['scope'])}")
    for line in report.lines:
        out(f"checked  {line}")
    if not report.problems:
        out("\nVERIFIED: nothing is missing, nothing was changed.")
        return
    out(f"\nNOT VERIFIED: {len(report.problems) + report.unnamed} things are wrong.")
    for problem in report.problems:
        out(f"  - {problem}")
    if report.unnamed:
        out(f"  - and {report.unnamed} more")


def as_json(report: Report) -> str:
    return json.dumps(
        {
            "verdict": "failed" if report.problems else "verified",
            "problems": [problem._asdict() for problem in report.problems],
            "unnamed": report.unnamed,
            "warnings": report.warnings,
            "checked": report.lines,
            **report.facts,
        },
        indent=2,
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check a Parley export package.")
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("package", nargs="?", default=here, help="zip or folder (default: here)")
    parser.add_argument("--key", help="the log's verifier key, had by another way than the package")
    parser.add_argument(
        "--checkpoint",
        action="append",
        metavar="FILE",
        help="an older checkpoint of the log that you have from elsewhere; may be repeated",
    )
    parser.add_argument(
        "--previous",
        metavar="PACKAGE",
        help="an older package of the same log: shows that nothing of it is left out here",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    try:
        report = verify(options.package, options.key, options.checkpoint, options.previous)
    except (CannotCheck, ImportError, OSError) as error:
        text = f"CANNOT CHECK: {error}"
        verdict = json.dumps({"verdict": "cannot check", "reason": str(error)})
        print(verdict if options.json else text)
        return 2
    if options.json:
        print(as_json(report))
    else:
        show(report, print)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
