#!/usr/bin/env python3
"""Check a Parley export package. Trusts nobody: not the package, not the officer, not Parley.

    python verify.py [PACKAGE] --key VKEY      PACKAGE: the zip, or the folder it was unpacked to

It needs Python 3.9 or newer and the package `cryptography`, and nothing of Parley. It shows that
  1. the checkpoint is signed by the log's key, and every leaf that it stands for is in leaves.txt;
  2. each logged entry of the requested scope and period is in bodies.jsonl, byte for byte;
  3. each version of each message that these entries speak of is in messages.jsonl, in the order
     of the log, and its text is the text that was logged; the other .jsonl files and the tables
     repeat the entries, and each attached file is the file that was logged;
  4. two people asked for and approved exactly this scope, and the manifest was logged before
     anybody could download it;
  5. with `--previous OLD`, that the log goes on from that of an older package, and that nothing
     of it is left out here; with `--witness VKEY`, that this witness has signed for the log.
It does not show that everything that happened was logged, nor that the log showed others the
same history: compare checkpoints from elsewhere (`--checkpoint FILE`), or ask a witness, for that.
Workbooks, pages and mails are the files that were logged, by their hash; it does not read them.

How to read it: `check_package` is the order of things. Every file is in the order of the log, so
one pass (`Sweep.run`) reads leaves.txt with bodies and rows beside it, in constant memory.

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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from typing import Any, BinaryIO, NamedTuple
from uuid import UUID

FORMAT = "parley-export/2"
# These two stand outside the manifest: it cannot hold its own hash, nor the proof that was made
# after it.
OUTSIDE_MANIFEST = ("manifest.json", "manifest.tlog-proof")
# A checkpoint that witnesses have signed too, where the package's own has no such signature yet.
WITNESSED = "checkpoint.witnessed"
# Which entries a file repeats, by how their action ("subject:action") begins.
VIEWS = {
    "membership.jsonl": ("member:",),
    "reactions.jsonl": ("reaction:",),
    "reads.jsonl": (
        "read:", "trail:", "names:", "message:disclosed", "search:", "conversation:opened",
        "attachment:downloaded", "export:downloaded",
    ),
    "calls.jsonl": ("call:",),
    "attachments.jsonl": ("attachment:uploaded", "attachment:deleted"),
    "holds.jsonl": ("hold:",),
    "erasures.jsonl": ("erasure:", "data_key:destroyed"),
}  # fmt: skip
JOINED, LEFT = ("member:joined", "member:added"), ("member:left", "member:removed")
# Entries that may stand beside what was asked for, because a row refers to them: who was a member
# when the period began, a file uploaded before its message's period, the end of a data key; and
# the end of somebody's stay in a call, which another person or nobody may have caused.
CONTEXT = (*JOINED, "attachment:uploaded", "data_key:destroyed")
END_OF_STAY = "call:left"
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
FORMULA = frozenset("=+-@\t\r")
UNREAD = (".xlsx", ".pdf", ".eml.zip")
MOST_PROBLEMS = 1000  # that are named one by one
TIME = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"
LEAF = re.compile(rf"v1 {TIME} ([0-9a-f]{{32}}) ([0-9a-f]{{32}}) ([0-9a-f]{{64}})", re.ASCII)
Row = dict[str, Any]
NumberedRows = Iterator[tuple[int, Row]]  # with their line numbers, from 1


decode = json.JSONDecoder().decode


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
        leaf = f"leaf {self.leaf}" if self.leaf is not None else ""
        message = f"message {self.message}" if self.message else ""
        place = ", ".join(part for part in (where, f"{leaf} {message}".strip()) if part)
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

    def wrong(self, code: str, text: str, file: str = "", **where: Any) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(code, text, file, **where))
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

    def hold(self, name: str) -> BinaryIO | None:
        """The file, open until the end of the check; None where check_files named its absence."""
        try:
            return self.opened.enter_context(self.open(name))
        except (KeyError, OSError):
            return None

    def read(self, name: str) -> bytes:
        try:
            with self.open(name) as file:
                return file.read()
        except (KeyError, OSError):
            raise CannotCheck(f"{name} is missing") from None

    def rows(self, name: str, report: Report) -> NumberedRows:
        """The objects of a JSON Lines file; a bad line is a problem."""
        strict = json.JSONDecoder(object_pairs_hook=without_duplicates).decode
        for number, line in enumerate(self.hold(name) or (), 1):
            try:
                row = strict(line.decode())
                if not isinstance(row, dict):
                    raise ValueError("not an object")
            except (ValueError, RecursionError) as error:
                report.wrong("malformed", f"not a JSON object: {error}", name, line=number)
            else:
                yield number, row


def is_encrypted(path: str) -> bool:
    """Is it still an age file (age-encryption.org/v1)?"""
    try:
        with open(path, "rb") as file:
            return file.read(21) == b"age-encryption.org/v1"
    except OSError:
        return False


def without_duplicates(pairs: list[tuple[str, Any]]) -> Row:
    """A JSON object; a repeated key would show different readers different values."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is repeated")
    return result


def check_files(package: Package, manifest: Row, report: Report) -> None:
    """Each file is listed in the manifest with its hash, and there are no others."""
    present, listed = Counter(package.names()), manifest["files"]
    for name in sorted(present.keys() - listed.keys() - {*OUTSIDE_MANIFEST}):
        report.wrong("file-extra", "is not listed in the manifest", name)
    for name in sorted(name for name, times in present.items() if times > 1):
        report.wrong("file-twice", "is in the package more than once", name)
    for name, expected in sorted(listed.items()):
        if name not in present:
            report.wrong("file-missing", "is listed in the manifest and missing", name)
            continue
        digest = hashlib.sha256()
        with package.open(name) as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
        package.hashes[name] = digest.hexdigest()
        if digest.hexdigest() != expected["sha256"]:
            report.wrong("file-changed", "is not the file that the manifest lists", name)
    report.lines.append(f"{len(listed)} files against the manifest's SHA-256")
    unread = [name for name in sorted(listed) if name.endswith(UNREAD)]
    if unread:
        report.lines.append(f"{', '.join(unread)}: by hash only, not read; messages.jsonl is")


# --- Signed checkpoints (c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature) ---------------


class Key(NamedTuple):
    name: str
    id: bytes
    public: bytes

    def signature(self, note: bytes) -> bytes | None:
        """What stands in this key's line below the note; None if it has none."""
        prefix = f"— {self.name} ".encode()
        for line in note.rpartition(b"\n\n")[2].split(b"\n"):
            if line.startswith(prefix):
                signature = base64.b64decode(line[len(prefix) :], validate=True)
                if signature[:4] == self.id:
                    return signature[4:]
        return None

    def check(self, signature: bytes, text: bytes) -> None:
        """Raises ValueError unless it is this key's Ed25519 signature over the text."""
        # Imported here: main names its absence.
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature:
            raise ValueError(f"the signature of {self.name} is forged or of another text") from None


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes


LOG, WITNESS = 1, 4  # kinds of keys


def parse_key(vkey: str, kind: int = LOG) -> Key:
    """`<name>+<key id, 8 hex>+<base64 of the kind and the 32 bytes of the Ed25519 key>`."""
    try:
        name, key_id, encoded = vkey.strip().split("+", 2)
        data = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise CannotCheck(f"the key is not a verifier key: {vkey!r}") from None
    expected = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    if len(data) != 33 or data[0] != kind or key_id != expected.hex():
        raise CannotCheck(f"the key is damaged, or of another kind than is needed: {vkey!r}")
    return Key(name, expected, data[1:])


def open_checkpoint(note: bytes, key: Key) -> Checkpoint:
    """Raises ValueError unless `key` signed this well-formed checkpoint."""
    text, separator, _ = note.rpartition(b"\n\n")
    signature = key.signature(note)
    if not separator or signature is None:
        raise ValueError(f"it carries no signature by the key {key.name}+{key.id.hex()}")
    key.check(signature, text + b"\n")
    lines = text.decode().split("\n")
    if len(lines) < 3 or not re.fullmatch(r"0|[1-9][0-9]*", lines[1]):
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
        report.wrong("signature", str(error), file)
        return None
    return checkpoint


def check_witness(witness: Key, notes: dict[str, bytes], report: Report) -> None:
    """The witness has cosigned one of these checkpoints of the log, and none of them wrongly."""
    found = False
    for file, note in notes.items():
        try:
            signature = witness.signature(note)
            if signature is None:
                continue
            seconds = int.from_bytes(signature[:8], "big")
            text = note.rpartition(b"\n\n")[0] + b"\n"
            witness.check(signature[8:], b"cosignature/v1\ntime %d\n%b" % (seconds, text))
            when = datetime.fromtimestamp(seconds, timezone.utc)  # noqa: UP017 - Python 3.9
        except (ValueError, OverflowError, OSError) as error:
            report.wrong("cosignature", str(error), file)
        else:
            found = True
            report.lines.append(
                f"{file} cosigned by {witness.name} at {when:%Y-%m-%d %H:%M:%S} UTC"
            )
    if not found:
        where = " and ".join(notes) or "no genuine checkpoint"
        why = f"{witness.name} has cosigned nothing that is here: {where}"
        report.wrong("cosignature", why, "checkpoint")


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

    def extend(self, hashes: list[bytes]) -> None:
        number, complete, sha256, sizes = self.size, self._complete, hashlib.sha256, self._sizes
        for leaf in hashes:
            if number in sizes:
                self.roots[number] = self.root()
            node, height = leaf, number
            while height & 1:  # two complete trees of one height are one of the next
                node = sha256(b"\x01" + complete.pop() + node).digest()
                height >>= 1
            complete.append(node)
            number += 1
        self.size = number

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


def nodes(encoded: list[str]) -> list[bytes]:
    return [base64.b64decode(node, validate=True) for node in encoded]


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
    return Leaf(*match.groups())


def read_leaves(package: Package, report: Report | None = None) -> Iterator[bytes]:
    """Every leaf; with a report, a last one that is cut off is a problem."""
    try:
        file = package.open("leaves.txt")
    except (KeyError, OSError):
        raise CannotCheck("leaves.txt is missing") from None
    with file:
        for line in iter(partial(file.readline, 1 << 16), b""):  # a leaf has 160 bytes
            if line.endswith(b"\n"):
                yield line[:-1]
                continue
            if report:
                report.wrong("malformed", "does not end with a line feed", "leaves.txt")
            yield line


def check_tree(tree: Tree, checkpoint: Checkpoint, report: Report, file: str) -> None:
    """The leaves give the signed root; of an older checkpoint, the leaves that it knew."""
    if tree.size < checkpoint.size or (file == "checkpoint" and tree.size > checkpoint.size):
        text = f"holds {tree.size} leaves, and {file} is signed for {checkpoint.size}"
        place = min(tree.size, checkpoint.size)
        report.wrong("leaf-count", text, "leaves.txt", leaf=place)
    elif tree.roots[checkpoint.size] != checkpoint.root:
        report.wrong(
            "root",
            f"the leaves do not give the root that {file} signs: a leaf was changed, "
            "moved, put in or left out",
            "leaves.txt",
        )


def pseudonyms(keys: dict[str, str], identities: list[str], what: str) -> dict[str, str]:
    """Pseudonym in leaves to identity, for each that was asked for; only its key links them."""
    found = {}
    for identity in identities:
        if identity not in keys:
            raise CannotCheck(f"manifest.json reveals no key for the {what} {identity}")
        key = bytes.fromhex(keys[identity])
        digest = hmac.new(key, UUID(identity).bytes, hashlib.sha256).hexdigest()
        found[digest[:32]] = identity
    return found


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


def wanted(manifest: Row) -> Wanted:
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
        self.strangers: list[tuple[int, str]] = []  # line and time: of no leaf
        self.places: dict[str, int] = {}
        self.number, self.text, self.hash = 0, b"", ""
        self.file = package.hold("bodies.jsonl")
        self.advance()

    def advance(self) -> None:
        line = self.file.readline() if self.file else b""
        self.number += 1
        self.text = line[:-1] if line.endswith(b"\n") else line
        self.hash = hashlib.sha256(self.text).hexdigest() if line else ""

    def of(self, index: int, leaf: Leaf, due: bool) -> Iterator[Line]:
        """The body of this leaf, after any that come too late for theirs."""
        while due and self.hash and self.hash != leaf.body and self.place_of(self.hash) <= index:
            yield from self.misplaced()
        if self.hash == leaf.body:
            yield Line(self.number, self.text, index, leaf)
            self.advance()
        elif due:
            self.awaited[leaf.body] = (index, leaf)

    def place_of(self, digest: str) -> int:
        """Where the log has this body, or -1. Only a package with a fault needs this table."""
        if not self.places:
            leaves = enumerate(read_leaves(self.package))
            self.places = {leaf[-64:].decode("latin-1"): index for index, leaf in leaves}
        return self.places.get(digest, -1)

    def misplaced(self) -> Iterator[Line]:
        """Name the present line, which stands where it should not; yield what was awaited."""
        place = self.place_of(self.hash)
        where: Row = {"line": self.number, "leaf": place}
        if self.hash in self.awaited:
            index, leaf = self.awaited.pop(self.hash)
            self.report.wrong("body-order", "is out of its order", "bodies.jsonl", **where)
            yield Line(self.number, self.text, index, leaf)
        elif place >= 0:
            text = "stands here a second time, or out of its order and was not asked for"
            self.report.wrong("body-order", text, "bodies.jsonl", **where)
        else:
            self.strangers.append((self.number, time_of(self.text)))
        self.advance()

    def end(self) -> Iterator[Line]:
        """The rest; then a body that no leaf knows is told by its time whose it should be."""
        while self.hash:
            yield from self.misplaced()
        missing = {index: leaf.time for index, leaf in sorted(self.awaited.values())}
        at: dict[str, list[int]] = {}
        for index, time in missing.items():
            at.setdefault(time, []).append(index)
        for number, time in self.strangers:
            if at.get(time):
                index = at[time].pop(0)
                del missing[index]
                text = f"was changed: the log has another entry of {time}"
                self.report.wrong("body-changed", text, "bodies.jsonl", line=number, leaf=index)
            else:
                text = "is in no leaf of the log: changed or invented"
                self.report.wrong("body-unknown", text, "bodies.jsonl", line=number)
        for index, time in missing.items():
            text = f"the entry of {time} was asked for and is not in the package"
            self.report.wrong("body-missing", text, "bodies.jsonl", leaf=index)


def time_of(body: bytes) -> str:
    try:
        return str(json.loads(body)["time"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def check_body(body: Row, leaf: Leaf, asked: Wanted, report: Report, where: Row) -> None:
    """The entry says of itself what its leaf says of it."""
    scope, actor = asked.scopes.get(leaf.scope), asked.actors.get(leaf.actor)
    if body["time"] != leaf.time:
        report.wrong("body-leaf", f"its time is not the leaf's {leaf.time}", **where)
    if scope is not None and scope not in (body["scope"], body["organization"]):
        report.wrong("body-leaf", f"its scope is not the leaf's {scope}", **where)
    if actor is not None and body["actor"]["id"] != actor:
        report.wrong("body-leaf", f"its actor is not the leaf's {actor}", **where)


# --- Messages and the other files that repeat entries -------------------------------------------


class Rows:
    """A file that repeats entries, read beside them: each row names the leaf of its entry.

    `check(row, expected, where)` compares a row with what its entry says.
    """

    def __init__(
        self, name: str, file: NumberedRows, report: Report, check: Callable[[Row, Row, Row], None]
    ) -> None:
        self.name, self.file, self.report, self.check = name, file, report, check
        self.early: dict[int, tuple[int, Row]] = {}  # rows before their entry
        self.missing: dict[int, Row] = {}  # entries before their row
        self.leaf: Any = -1
        self.advance()

    def advance(self) -> None:
        """The next row that names a leaf; -1 at the end."""
        for number, row in self.file:
            self.number, self.row, self.leaf = number, row, row.get("leaf")
            if type(self.leaf) is int and self.leaf >= 0:
                return
            self.unknown(number, row)
        self.leaf = -1

    def unknown(self, number: int, row: Row) -> None:
        text = f"repeats, or has no entry at, leaf {row.get('leaf')}"
        where = {"line": number, "message": row.get("message")}
        self.report.wrong("row-extra", text, self.name, **where)

    def expect(self, index: int, expected: Row) -> None:
        """The entry at `index` has its row here."""
        self.skip(index)
        if self.leaf == index:
            self.compare(self.number, self.row, index, expected)
            self.advance()
        elif index in self.early:
            self.compare(*self.early.pop(index), index, expected, late=True)
        else:
            self.missing[index] = expected

    def skip(self, index: float) -> None:
        """Put aside what stands before the row of `index`."""
        while 0 <= self.leaf < index:
            if self.leaf in self.missing:
                expected = self.missing.pop(self.leaf)
                self.compare(self.number, self.row, self.leaf, expected, late=True)
            elif self.leaf in self.early:
                self.unknown(self.number, self.row)
            else:
                self.early[self.leaf] = (self.number, self.row)
            self.advance()

    def compare(self, number: int, row: Row, index: int, expected: Row, late: bool = False) -> None:
        message = row.get("message")
        where: Row = {"file": self.name, "line": number, "leaf": index, "message": message}
        if late:
            self.report.wrong("row-order", "is out of its order", **where)
        self.check(row, expected, where)

    def end(self) -> None:
        self.skip(float("inf"))
        for number, row in self.early.values():
            self.unknown(number, row)
        for index, expected in sorted(self.missing.items()):
            text = f"what was logged at {expected['at']} is in the log and not in the file"
            where = {"leaf": index, "message": expected.get("message")}
            self.report.wrong("row-missing", text, self.name, **where)


def expected_of_version(body: Row) -> Row:
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


def expected_of_event(body: Row) -> Row:
    """What a row of the other files must say, by the log."""
    told = {name: body[name] for name in ("action", "target", "parameters", "before", "after")}
    return {
        "at": body["time"], "conversation": body["scope"], "actor": body["actor"]["id"], **told
    }  # fmt: skip


def is_logged_text(salt: Any, text: Any, expected: Any) -> bool:
    """Do the text and its salt give the commitment that the log holds?"""
    try:
        opened = b"parley/commitment/v1\x00" + bytes.fromhex(salt) + text.encode()
        return bool(hashlib.sha256(opened).hexdigest() == expected)
    except (ValueError, TypeError, AttributeError):
        return False


class Contents:
    """Rows against their entries, texts and files against the commitments in these.

    A message's entry names its files with the commitments of theirs. What a destroyed key took is
    judged at the end, because the log holds first, then destroys.
    """

    def __init__(self, package: Package, report: Report) -> None:
        self.package, self.report = package, report
        self.uploaded: dict[str, str] = {}  # commitment by id, of those no message carries so far
        self.files = 0
        # By the leaf that says so, conversation and month: where first, and how many.
        self.erased: dict[tuple[Any, ...], tuple[Row, int]] = {}

    def check(self, row: Row, expected: Row, where: Row) -> None:
        for name, value in expected.items():
            if row.get(name) != value:
                text = f"{name} differs from what was logged, {value!r}"
                self.report.wrong("row-differs", text, **where)

    def check_text(self, row: Row, expected: Row, where: Row) -> None:
        self.check(row, expected, where)
        text, salt = row.get("body"), row.get("salt")
        if expected["commitment"] is None:
            if text is not None:
                why = "has a text, and none was logged (a deletion)"
                self.report.wrong("content", why, **where)
        elif text is not None and salt is not None:
            if not is_logged_text(salt, text, expected["commitment"]):
                self.report.wrong("content", "its text is not the text that was logged", **where)
        elif not self.is_erased(row, expected, where):
            why = f"its text is not in the package ({row.get('status')})"
            self.report.wrong("content-missing", why, **where)

    def check_file(self, row: Row, expected: Row, where: Row) -> None:
        self.check(row, expected, where)
        if expected["action"] != "attachment:uploaded":
            return
        told, file_id = row.get("description"), expected["target"]["id"]
        name = f"attachments/{file_id}"
        if told is None:
            if row.get("status") == "not sent":
                self.uploaded.pop(file_id, None)  # a message that carries it is then named
            elif not self.is_erased(row, expected, where):
                text = f"its file is not in the package ({row.get('status')})"
                self.report.wrong("file-content-missing", text, **where)
        elif not is_logged_text(row.get("salt"), told, expected["after"]["content"]):
            self.report.wrong("file-content", "is not described as it was logged", **where)
        elif self.package.hashes.get(name) != json.loads(told)["sha256"]:
            self.report.wrong("file-content", f"{name} is not the file that was logged", **where)
        else:
            self.files += 1

    def carry(self, files: list[dict[str, str]], index: int) -> None:
        """The message at `index` carries these: each was uploaded, and is here."""
        for file in files:
            if self.uploaded.pop(file["id"], None) != file["content"]:
                text = f"the file {file['id']} of this message is not here as it was logged"
                self.report.wrong("file-missing", text, "attachments.jsonl", leaf=index)

    def is_erased(self, row: Row, expected: Row, where: Row) -> bool:
        """Does the row say that a destroyed key is why it lacks its content?"""
        if row.get("status") != "erased" or type(row.get("erased_by")) is not int:
            return False
        reason = (row["erased_by"], expected["conversation"], expected["at"][:7])
        first, number = self.erased.get(reason, (where, 0))
        self.erased[reason] = (first, number + 1)
        return True

    def end(self, context: dict[int, Row]) -> None:
        for (leaf, conversation, month), (first, number) in sorted(self.erased.items()):
            body = context.get(leaf, {})
            if (
                body.get("action") == "data_key:destroyed"
                and body["scope"] == conversation
                and str(body["before"].get("month", month)).startswith(month)
            ):
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
            " (PARTITION BY message ORDER BY revision) AS earlier FROM version"
            " WHERE message IN (SELECT message FROM version WHERE revision > 1))"
            " WHERE revision > earlier + 1 AND earlier >= 0",
            [first],
        )
        for message, revision, leaf in gaps if not asked.actors else ():
            text = f"revision {revision} was never logged, later ones were"
            report.wrong("revision-gap", text, message=message, leaf=leaf)


class Stays:
    """members_at_start.jsonl: each joined before the period, and nobody left who was not there."""

    name = "members_at_start.jsonl"

    def __init__(self, package: Package, asked: Wanted, report: Report) -> None:
        self.asked, self.report = asked, report
        self.joins = list(package.rows(self.name, report))
        self.present = {(row.get("conversation"), row.get("user")) for _, row in self.joins}

    def moved(self, body: Row, index: int) -> None:
        """Somebody came or went in the period."""
        stay = (body["scope"], body["target"]["id"])
        if body["action"] in JOINED:
            self.present.add(stay)
        elif body["action"] in LEFT and not self.asked.actors and stay not in self.present:
            text = f"{stay[1]} left {stay[0]}, and is not among those who were there before"
            self.report.wrong("member-missing", text, self.name, leaf=index)

    def end(self, context: dict[int, Row]) -> None:
        for number, row in self.joins:
            body = context.get(row.get("leaf", -1), {})
            if not (
                body.get("action") in JOINED
                and (body["scope"], body["target"]["id"]) == (row["conversation"], row["user"])
                and body["time"] == row["joined_at"]
                and body["time"] < self.asked.since
            ):
                text = f"the log does not say at leaf {row.get('leaf')} that this member joined"
                self.report.wrong("member-unknown", text, self.name, line=number)


class Calls:
    """Stays in calls: each that began in the period has its end there, if it ended.

    Who asks for some people's entries has the ends that others caused beside them. The log does
    not say of a leaf whose stay it ended; but a device is in one call at a time, so of several
    stays of one all but the last have ended.
    """

    def __init__(self, asked: Wanted, report: Report) -> None:
        self.asked, self.report = asked, report
        self.began: dict[str, tuple[tuple[str, str], int]] = {}  # by participant: device and leaf
        self.ended: set[str] = set()  # before their beginning came: out of order, or of the period

    def is_end(self, body: Row) -> bool:
        """Is this the end of a stay that was asked for?"""
        people, conversations = self.asked.actors.values(), self.asked.scopes.values()
        return (
            body["action"] == END_OF_STAY
            and body["parameters"]["user"] in people
            and (not conversations or body["scope"] in conversations)
            and self.asked.since <= body["time"]
            and (not self.asked.until or body["time"] < self.asked.until)
        )

    def happened(self, body: Row, index: int) -> None:
        pid = body["target"]["id"]
        if body["action"] == "call:joined" and pid not in self.ended:
            told = body["parameters"]
            self.began[pid] = (told["user"], told["device"]), index
        elif body["action"] == END_OF_STAY and self.began.pop(pid, None) is None:
            self.ended.add(pid)

    def end(self) -> None:
        last: dict[tuple[str, str], int] = {}
        for device, index in sorted(self.began.values(), key=lambda one: one[1]):
            if device in last:
                text = "the stay in a call that began here has ended, and its end is not here"
                self.report.wrong("stay-end-missing", text, "calls.jsonl", leaf=last[device])
            last[device] = index
        for (user, _), index in last.items() if self.asked.actors else ():
            self.report.lines.append(
                f"the stay of {user} in a call that began at leaf {index} has no end here: at the"
                " end of the period, or of the log, they were there still"
            )


# --- The tables for people ----------------------------------------------------------------------


def csv_line(cells: list[Any]) -> bytes:
    """A line of a table: all cells quoted, and none that a spreadsheet takes for a formula."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    safe = [("'" + text if text[:1] in FORMULA else text).replace('"', '""') for text in texts]
    return ('"' + '","'.join(safe) + '"\r\n').encode()


def plain_cell(cell: Any) -> str:
    """A text that no spreadsheet takes for a formula."""
    text = "" if cell is None else cell if type(cell) is str else str(cell)
    return "'" + text if text[:1] in FORMULA else text


def cells(row: Row, columns: tuple[str, ...]) -> list[Any]:
    """A row's cells: `a.b` is b inside of a; what is no single value is JSON."""
    if columns is CSV_COLUMNS:  # none is inside of another: a quarter of the time
        return [*map(row.get, columns)]
    return [inside(row, name) if "." in name else row.get(name) for name in columns]


def inside(row: Row, column: str) -> Any:
    outer, _, name = column.partition(".")
    value = (row.get(outer) or {}).get(name)
    return json.dumps(value, sort_keys=True) if isinstance(value, (dict, list)) else value


def with_table(package: Package, name: str, report: Report) -> NumberedRows:
    """The rows of `name`.jsonl; `name`.csv, if it was asked for, must be the same for people."""
    rows, columns, table = package.rows(f"{name}.jsonl", report), TABLES.get(name), f"{name}.csv"
    # One that is missing has been named.
    file = package.hold(table) if columns and table in package.hashes else None
    if not file or not columns:
        yield from rows
        return
    head = b"\xef\xbb\xbf" + csv_line(list(columns))
    same = file.read(len(head)) == head
    if not same:
        report.wrong("csv", "has another head than expected", table, line=1)
    for number, row in rows:
        expected = csv_line(cells(row, columns)) if same else b""
        if same and file.read(len(expected)) != expected:
            same = False  # the first difference is named: what follows is displaced
            where = {"leaf": row.get("leaf"), "message": row.get("message")}
            report.wrong("csv", f"differs from {name}.jsonl line {number}", table, **where)
        yield number, row
    if same and file.read(1):
        report.wrong("csv", "goes on after the last row", table)


# --- The pass over the log ----------------------------------------------------------------------


class Sweep:
    """Reads the log once, with everything that repeats it beside it."""

    def __init__(self, package: Package, manifest: Row, asked: Wanted, report: Report) -> None:
        self.package, self.asked, self.report = package, asked, report
        self.own = {"type": "export", "id": manifest["export"], "parent": ""}
        self.bodies, self.contents = Bodies(package, report), Contents(package, report)
        self.revisions, self.stays = Revisions(package), Stays(package, asked, report)
        self.calls = Calls(asked, report)
        checks = {
            "messages.jsonl": self.contents.check_text,
            "attachments.jsonl": self.contents.check_file,
        }
        self.rows = {
            name: Rows(
                name,
                with_table(package, name.removesuffix(".jsonl"), report),
                report,
                checks.get(name, self.contents.check),
            )
            for name in ("messages.jsonl", *VIEWS)
        }
        self.view_of: dict[str, Rows | None] = {}
        self.export: list[tuple[int, Row]] = []  # its own request and approval
        self.context: dict[int, Row] = {}
        self.items: dict[Any, Counter[str]] = defaultdict(Counter)
        self.due = self.versions = 0

    def run(self, tree: Tree) -> None:
        hashes: list[bytes] = []
        fullmatch, make = LEAF.fullmatch, Leaf._make
        sha256, covers, bodies = hashlib.sha256, self.asked.covers, self.bodies
        for index, line in enumerate(read_leaves(self.package, self.report)):
            hashes.append(sha256(b"\x00" + line).digest())
            if len(hashes) == 1000:
                tree.extend(hashes)
                hashes.clear()
                self.report.beat()
            match = fullmatch(line.decode("latin-1"))
            if not match:
                where = {"line": index + 1, "leaf": index}
                self.report.wrong("malformed", "is not a leaf of version 1", "leaves.txt", **where)
                continue
            leaf = make(match.groups())
            due = covers(leaf)
            self.due += due
            if due or bodies.hash == leaf.body:
                for found in bodies.of(index, leaf, due):
                    self.entry(found)
        tree.extend(hashes)
        tree.end()
        for found in bodies.end():
            self.entry(found)
        for rows in self.rows.values():
            rows.end()
        self.contents.end(self.context)
        self.revisions.end(self.asked, self.report)
        self.stays.end(self.context)
        self.calls.end()
        check_items(self.package, self.items, self.report)

    def entry(self, line: Line) -> None:
        """An entry of the log, byte for byte; what must it find in the other files?"""
        body, index = decode(line.text.decode()), line.place
        action, own = body["action"], body["target"] == self.own
        where: Row = {"file": "bodies.jsonl", "line": line.number, "leaf": index}
        if own and action in ("export:requested", "export:approved"):
            self.export.append((index, body))
        if action in CONTEXT:
            self.context[index] = body
        if self.asked.covers(line.leaf):
            check_body(body, line.leaf, self.asked, self.report, where)
            item = self.items[body["scope"]]
            item["entries"] += 1
            if action in MESSAGE_ACTIONS:
                item["versions"] += 1
                self.version(index, body)
                return
            self.view(index, body)
            if action.startswith("member:"):
                self.stays.moved(body, index)
            elif action.startswith("call:"):
                self.calls.happened(body, index)
        elif action == "attachment:uploaded":
            self.view(index, body)
        elif self.calls.is_end(body):
            self.calls.happened(body, index)
            self.view(index, body)
        elif not own and action not in CONTEXT:
            self.report.wrong("body-extra", "was not asked for", **where)

    def version(self, index: int, body: Row) -> None:
        self.versions += 1
        expected = expected_of_version(body)
        self.revisions.add(expected["message"], expected["revision"], index)
        self.rows["messages.jsonl"].expect(index, expected)
        self.contents.carry(expected.get("attachments", []), index)

    def view(self, index: int, body: Row) -> None:
        """The row that repeats this entry, if any file does."""
        action = body["action"]
        if action == "attachment:uploaded":
            self.contents.uploaded[body["target"]["id"]] = body["after"]["content"]
        if action not in self.view_of:
            names = (name for name, begins in VIEWS.items() if action.startswith(begins))
            self.view_of[action] = self.rows.get(next(names, ""))
        rows = self.view_of[action]
        if rows:
            rows.expect(index, expected_of_event(body))


def check_items(package: Package, items: dict[Any, Counter[str]], report: Report) -> None:
    """items.jsonl has a row for each conversation, with as many entries and versions as the log."""
    left = dict(items)
    for number, row in package.rows("items.jsonl", report):
        counted = left.pop(row.get("conversation"), Counter())
        for name in ("entries", "versions"):
            if row.get(name) != counted[name]:
                text = f"says {row.get(name)} {name}, and the log has {counted[name]}"
                report.wrong("item", text, "items.jsonl", line=number)
    for conversation in left:
        text = f"has no row for {conversation or 'the organization'}, and the log has entries of it"
        report.wrong("item", text, "items.jsonl")


# --- The export itself: agreed to by two people, and logged -------------------------------------


def check_approval(manifest: Row, entries: list[tuple[int, Row]], report: Report) -> None:
    """The log holds the request for exactly this scope, and its approval by somebody else."""
    if sorted(body["action"] for _, body in entries) != ["export:approved", "export:requested"]:
        text = "the log's request and approval of this export are not both here, once"
        report.wrong("approval", text, "bodies.jsonl")
        return
    (approved_at, approval), (asked_at, request) = sorted(entries, key=lambda e: e[1]["action"])
    for name in ("scope", "formats", "recipient"):
        if request["parameters"].get(name) != manifest.get(name):
            text = f"the {name} is not the {name} that was requested and approved"
            report.wrong("approval", text, "manifest.json", leaf=asked_at)
    if request["actor"]["id"] == approval["actor"]["id"]:
        report.wrong("approval", "requested and approved by the same person", leaf=approved_at)
    for field, body in (("requested_by", request), ("approved_by", approval)):
        if manifest[field]["id"] != body["actor"]["id"]:
            report.wrong("approval", f"{field} is not who the log says", "manifest.json")
    report.lines.append(f"requested at leaf {asked_at}, approved by another at leaf {approved_at}")


class ManifestProof(NamedTuple):
    """c2sp.org/tlog-proof; its `extra` holds the leaf, its body and a consistency proof."""

    leaf: bytes
    body: bytes
    consistency: list[bytes]
    place: int
    inclusion: list[bytes]
    note: bytes

    @classmethod
    def parse(cls, data: bytes) -> ManifestProof:
        """Raises ValueError, KeyError or TypeError for anything else."""
        head, _, note = data.partition(b"\n\n")
        pattern = r"c2sp\.org/tlog-proof@v1\nextra (.*)\nindex (0|[1-9]\d*)((?:\n.*)*)"
        match = re.fullmatch(pattern, head.decode(), re.ASCII)
        if not match:
            raise ValueError("is not a tlog-proof with extra and index")
        extra = json.loads(base64.b64decode(match[1], validate=True))
        leaf, body = extra["leaf"].encode(), extra["body"].encode()
        consistency, inclusion = nodes(extra["consistency"]), nodes(match[3].split("\n")[1:])
        return cls(leaf, body, consistency, int(match[2]), inclusion, note)


def check_manifest_proof(
    package: Package, export: str, checkpoint: Checkpoint | None, key: Key, report: Report
) -> None:
    """The hash of this manifest is an entry of the log, under a later checkpoint of it."""
    file = "manifest.tlog-proof"
    digest = hashlib.sha256(package.read("manifest.json")).hexdigest()
    try:
        proof = ManifestProof.parse(package.read(file))
        leaf, body = parse_leaf(proof.leaf.decode()), json.loads(proof.body)
        logged, about = body["after"]["manifest_sha256"], (body["action"], body["target"])
        is_entry = (hashlib.sha256(proof.body).hexdigest(), body["time"]) == (leaf.body, leaf.time)
    except (CannotCheck, ValueError, KeyError, TypeError, AttributeError) as error:
        report.wrong("proof", str(error) or type(error).__name__, file)
        return
    index = proof.place
    if not is_entry:
        report.wrong("proof", "its entry is not the entry of its leaf", file, leaf=index)
    if about != ("export:built", {"type": "export", "id": export, "parent": ""}):
        report.wrong("proof", "its entry is about something else", file, leaf=index)
    if logged != digest:
        text = "is not the manifest that was logged when the package was built"
        report.wrong("manifest-changed", text, "manifest.json", leaf=index)
    later = check_checkpoint(proof.note, key, file, report)
    if later is None:
        return
    if not included(leaf_hash(proof.leaf), index, later.size, proof.inclusion, later.root):
        report.wrong("proof", "the log does not hold its entry at this index", file, leaf=index)
    if checkpoint and not consistent(checkpoint, later, proof.consistency):
        text = "its checkpoint does not continue the package's checkpoint"
        report.wrong("proof", text, file, leaf=index)
    report.lines.append(f"manifest logged at leaf {index} of {later.size}")


# --- The package before this one ----------------------------------------------------------------


def check_continued(manifest: Row, checkpoint: Checkpoint, report: Report) -> None:
    """The manifest's proof that this log goes on from that of the officer's export before."""
    earlier = manifest.get("previous")
    if not earlier:
        return
    old = Checkpoint(checkpoint.origin, earlier["size"], base64.b64decode(earlier["root"]))
    if consistent(old, checkpoint, nodes(earlier["consistency"])):
        text = f"goes on from the log of export {earlier['export']} ({old.size} leaves)"
        report.lines.append(text)
    else:
        text = f"the log does not go on from that of the export {earlier['export']}"
        report.wrong("previous", text, "manifest.json")


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
            where = {"leaf": index, "message": old["message"]}
            report.wrong("previous-missing", text, "messages.jsonl", **where)
        else:
            kept += 1
            erased += old["body"] is not None and new["body"] is None
    report.lines.append(
        f"{kept} versions of the older package are here; {outside} more are outside of this"
        f" scope; {erased} texts can be read there and here no more"
    )


def rows_by_leaf(package: Package) -> Iterator[Row]:
    for _, row in package.rows("messages.jsonl", Report()):
        if type(row.get("leaf")) is int:
            yield row


# --- The whole ----------------------------------------------------------------------------------


def load_manifest(package: Package) -> Row:
    try:
        manifest = json.loads(package.read("manifest.json"), object_pairs_hook=without_duplicates)
    except ValueError as error:
        raise CannotCheck(f"manifest.json is not JSON: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise CannotCheck(f"manifest.json is not of the format {FORMAT}: take another verify.py")
    return manifest


def choose_key(given: str | None, manifest: Row, report: Report) -> Key:
    if given is None:
        given = str(manifest["log"]["key"])
        report.warnings.append(
            "NO --key WAS GIVEN: the key was taken from the package itself, so a forger could have "
            "put a key of their own there. Compare it with the key that the organization or its "
            f"auditor gave you by another way: {given}"
        )
    return parse_key(given)


# What a damaged or malicious file may raise: JSON of another shape or depth, a broken zip.
MALFORMED = (
    KeyError, TypeError, AttributeError, ValueError, RuntimeError, EOFError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def verify(
    path: str,
    key: str | None = None,
    known: list[str] | None = None,
    previous: str | None = None,
    *,
    beat: Callable[[], None] = lambda: None,
    witnesses: list[str] | None = None,
) -> Report:
    """Check the package at `path`, and that it continues the package at `previous`.

    `known` are files with checkpoints from elsewhere, `witnesses` keys of which each must have
    cosigned a checkpoint; `beat` is called now and then. Raises CannotCheck where no judgement is
    possible.
    """
    report = Report(beat)
    package = Package(path)
    try:
        with package.opened:
            manifest = load_manifest(package)
            chosen = choose_key(key, manifest, report)
            trusted = [parse_key(vkey, WITNESS) for vkey in witnesses or ()]
            notes = {}
            for file in known or ():
                with open(file, "rb") as opened:
                    notes[file] = opened.read()
            older = Package(previous) if previous else None
            if previous:  # it must itself hold
                for problem in verify(previous, key).problems:
                    text = f"the older package itself is wrong: {problem}"
                    report.wrong("previous", text, previous)
            check_package(
                package, manifest, chosen, report, notes=notes, witnesses=trusted, older=older
            )
    except (*MALFORMED, CannotCheck) as error:
        # What is already known to be wrong must not be lost to a malformed rest.
        reason = str(error) if isinstance(error, CannotCheck) else f"malformed: {error!r}"
        if not report.problems:
            raise CannotCheck(reason) from error
        report.wrong("malformed", f"the rest could not be checked: {reason}")
    return report


def check_package(
    package: Package,
    manifest: Row,
    key: Key,
    report: Report,
    *,
    notes: dict[str, bytes],
    witnesses: list[Key],
    older: Package | None,
) -> None:
    check_files(package, manifest, report)
    notes = {"checkpoint": package.read("checkpoint"), **notes}
    if WITNESSED in package.hashes:
        notes[WITNESSED] = package.read(WITNESSED)
    if older:
        notes[f"{older.path}: checkpoint"] = older.read("checkpoint")
    signed = {name: check_checkpoint(note, key, name, report) for name, note in notes.items()}
    checkpoint = signed["checkpoint"]
    genuine = {name: note for name, note in notes.items() if signed[name]}
    for witness in witnesses:
        check_witness(witness, genuine, report)
    tree, asked = Tree({item.size for item in signed.values() if item}), wanted(manifest)
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
    if sweep.contents.files:
        report.lines.append(f"{sweep.contents.files} attached files against the log")
    check_approval(manifest, sweep.export, report)
    check_manifest_proof(package, manifest["export"], checkpoint, key, report)
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


# --- What a person reads ------------------------------------------------------------------------


def describe(scope: Row) -> str:
    conversations, people = scope["conversations"], scope["people"]
    return "{}, {}, from {} to {}".format(
        f"{len(conversations)} conversations" if conversations else "the whole organization",
        f"{len(people)} people" if people else "everybody",
        scope["since"] or "the beginning",
        scope["until"] or "the checkpoint",
    )


def show(report: Report) -> None:
    for warning in report.warnings:
        print(f"WARNING  {warning}\n")
    if report.facts:
        print(f"export   {report.facts['export']}")
        print(f"scope    {describe(report.facts['scope'])}")
    for line in report.lines:
        print(f"checked  {line}")
    if not report.problems:
        print("\nVERIFIED: nothing is missing, nothing was changed.")
        return
    print(f"\nNOT VERIFIED: {len(report.problems) + report.unnamed} things are wrong.")
    for problem in report.problems:
        print(f"  - {problem}")
    if report.unnamed:
        print(f"  - and {report.unnamed} more")


def as_json(report: Report) -> str:
    document = {
        "verdict": "failed" if report.problems else "verified",
        "problems": [problem._asdict() for problem in report.problems],
        "unnamed": report.unnamed,
        "warnings": report.warnings,
        "checked": report.lines,
        **report.facts,
    }
    return json.dumps(document, indent=2)


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
        "--witness",
        action="append",
        metavar="VKEY",
        help="the key of a witness that must have cosigned the log; may be repeated",
    )
    parser.add_argument(
        "--previous",
        metavar="PACKAGE",
        help="an older package of the same log: shows that nothing of it is left out here",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    asked = parser.parse_args(arguments)
    try:
        report = verify(
            asked.package, asked.key, asked.checkpoint, asked.previous, witnesses=asked.witness
        )
    except (CannotCheck, ImportError, OSError) as error:
        verdict = json.dumps({"verdict": "cannot check", "reason": str(error)})
        print(verdict if asked.json else f"CANNOT CHECK: {error}")
        return 2
    if asked.json:
        print(as_json(report))
    else:
        show(report)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
