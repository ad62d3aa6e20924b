#!/usr/bin/env python3
"""Check a Parley export package. Trusts nobody: not the package, not the officer, not Parley.

    python verify.py [PACKAGE] --key VKEY      PACKAGE: the zip, or the folder it was unpacked to

It needs Python 3.9 or newer and the package `cryptography`, and nothing of Parley. It shows that
  1. the checkpoint is signed by the log's key, and every leaf that it stands for is in leaves.txt;
  2. each logged entry of the requested scope and period is in bodies.jsonl, byte for byte;
  3. each version of each message that these entries speak of is in messages.jsonl, in the order
     of the log, and its text is the text that was logged; the other files repeat the entries;
  4. two people asked for and approved exactly this scope, and the manifest was logged before
     anybody could download it.
It does not show that everything that happened was logged, nor that the log showed others the
same history: compare checkpoints from elsewhere (`--checkpoint FILE`) for that.

Exit status: 0 everything holds, 1 something is wrong (each thing is named), 2 cannot check.
"""

from __future__ import annotations  # this file alone must run on Python 3.9

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple
from uuid import UUID

FORMAT = "parley-export/1"
# These two stand outside the manifest: it cannot hold its own hash, nor the proof that was made
# after it.
OUTSIDE_MANIFEST = ("manifest.json", "manifest.tlog-proof")
# Which entries a file repeats, by how their action ("subject:action") begins.
VIEWS = {
    "membership.jsonl": ("member:",),
    "reactions.jsonl": ("reaction:",),
    "reads.jsonl": ("trail:", "names:", "message:disclosed", "export:downloaded"),
}
MESSAGE_ACTIONS = ("message:sent", "message:edited", "message:deleted")
CSV_COLUMNS = (
    "leaf",
    "at",
    "conversation",
    "conversation_name",
    "conversation_kind",
    "message",
    "thread",
    "revision",
    "kind",
    "author",
    "author_name",
    "author_email",
    "author_role",
    "actor",
    "actor_name",
    "actor_email",
    "actor_role",
    "body",
    "salt",
    "commitment",
    "status",
)
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

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.lines: list[str] = []
        self.facts: dict[str, Any] = {}

    def wrong(self, code: str, text: str, **where: Any) -> None:
        self.problems.append(Problem(code, text, **where))


# --- The package: a zip or a folder ------------------------------------------------------------


class Package:
    """Files by name, from a zip or from a folder."""

    def __init__(self, path: str) -> None:
        self.folder = path if os.path.isdir(path) else ""
        try:
            self.zip = None if self.folder else zipfile.ZipFile(path)
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
        return found

    def open(self, name: str) -> BinaryIO:
        """Raises KeyError or OSError when the file is not there."""
        if self.zip:
            return self.zip.open(name)  # type: ignore[return-value]
        return open(os.path.join(self.folder, name), "rb")

    def read(self, name: str) -> bytes:
        try:
            with self.open(name) as file:
                return file.read()
        except (KeyError, OSError):
            raise CannotCheck(f"{name} is missing") from None

    def rows(self, name: str, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
        """The objects of a JSON Lines file with their line numbers; a bad line is a problem."""
        try:
            file = self.open(name)
        except (KeyError, OSError):
            return  # check_files has named it
        strict = json.JSONDecoder(object_pairs_hook=without_duplicates)
        with file:
            for number, line in enumerate(file, 1):
                try:
                    row = strict.decode(line.decode())
                    if not isinstance(row, dict):
                        raise ValueError("not an object")
                except (ValueError, RecursionError) as error:
                    report.wrong("malformed", f"not a JSON object: {error}", file=name, line=number)
                else:
                    yield number, row


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


def root_of(hashes: list[bytes]) -> bytes:
    """The root over leaf hashes: pairs, level by level; one that is left over moves up."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    sha256 = hashlib.sha256
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2])  # noqa: B905 - a lone last one is moved up below
        above = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        hashes = above + hashes[-1:] if len(hashes) % 2 else above
    return hashes[0]


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


def read_leaves(package: Package, report: Report) -> tuple[list[Leaf | None], list[bytes]]:
    """Every leaf with its hash; a malformed one is a problem and None."""
    data = package.read("leaves.txt")
    lines = data.split(b"\n")
    if lines.pop() != b"":
        report.wrong("malformed", "does not end with a line feed", file="leaves.txt")
        lines = data.split(b"\n")
    sha256 = hashlib.sha256
    hashes = [sha256(b"\x00" + line).digest() for line in lines]
    leaves: list[Leaf | None] = []
    for index, line in enumerate(data.decode("latin-1").split("\n")[: len(lines)]):
        try:
            leaves.append(parse_leaf(line))
        except ValueError as error:
            report.wrong("malformed", str(error), file="leaves.txt", line=index + 1, leaf=index)
            leaves.append(None)
    return leaves, hashes


def check_tree(
    hashes: list[bytes], checkpoint: Checkpoint, report: Report, file: str = "checkpoint"
) -> None:
    """The leaves give the signed root; of an older checkpoint, the leaves that it knew."""
    if len(hashes) < checkpoint.size or (file == "checkpoint" and len(hashes) > checkpoint.size):
        report.wrong(
            "leaf-count",
            f"holds {len(hashes)} leaves, and {file} is signed for {checkpoint.size}",
            file="leaves.txt",
            leaf=min(len(hashes), checkpoint.size),
        )
    elif root_of(hashes[: checkpoint.size]) != checkpoint.root:
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


class Version(NamedTuple):
    """What the log says of one version of a message; the names are those of messages.jsonl."""

    at: str
    conversation: str
    message: str
    version: str
    revision: int
    kind: str  # sent, edited, deleted
    actor: str
    commitment: str | None


class Bodies(NamedTuple):
    """What later checks need of the entries, by leaf index."""

    messages: dict[int, Version]
    events: dict[int, dict[str, Any]]  # what a file of VIEWS repeats
    export: list[tuple[int, dict[str, Any]]]  # the export's own request and approval
    due: int  # how many were asked for


def check_bodies(
    package: Package,
    manifest: dict[str, Any],
    leaves: list[Leaf | None],
    asked: Wanted,
    report: Report,
) -> Bodies:
    """One body for each leaf that was asked for, byte for byte, in the order of the log."""
    index_of = {leaf.body: index for index, leaf in enumerate(leaves) if leaf}
    due = {index for index, leaf in enumerate(leaves) if leaf and asked.covers(leaf)}
    found = Bodies({}, {}, [], len(due))
    strangers: list[tuple[int, bytes]] = []
    last = -1
    seen: set[int] = set()
    try:
        file = package.open("bodies.jsonl")
    except (KeyError, OSError):
        return found
    with file:
        for number, line in enumerate(file, 1):
            where = {"file": "bodies.jsonl", "line": number}
            text = line[:-1] if line.endswith(b"\n") else line
            index = index_of.get(hashlib.sha256(text).hexdigest())
            if index is None:
                strangers.append((number, text))
                continue
            if index <= last:
                again = "stands here a second time" if index in seen else "is out of its order"
                report.wrong("body-order", again, leaf=index, **where)
            last = max(last, index)
            seen.add(index)
            body = json.loads(text)
            leaf = leaves[index]
            if leaf is None:
                continue
            own = body["target"]["type"] == "export" and body["target"]["id"] == manifest["export"]
            if own:
                found.export.append((index, body))
            if index in due:
                check_body(body, leaf, asked, report, leaf=index, **where)
                sort_body(index, body, found)
            elif not own:
                report.wrong("body-extra", "was not asked for", leaf=index, **where)
    name_missing_bodies(due - seen, strangers, leaves, report)
    return found


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


def sort_body(index: int, body: dict[str, Any], found: Bodies) -> None:
    if body["action"] in MESSAGE_ACTIONS:
        found.messages[index] = Version(
            at=body["time"],
            conversation=body["scope"],
            message=body["target"]["id"],
            version=body["after"]["version"],
            revision=body["after"]["revision"],
            kind=body["action"].partition(":")[2],
            actor=body["actor"]["id"],
            commitment=body["after"]["content"],
        )
    elif any(body["action"].startswith(prefixes) for prefixes in VIEWS.values()):
        found.events[index] = body


def name_missing_bodies(
    missing: set[int],
    strangers: list[tuple[int, bytes]],
    leaves: list[Leaf | None],
    report: Report,
) -> None:
    """A body that no leaf knows was changed or invented; its time tells which leaf it had."""
    by_time: dict[str, list[int]] = {}
    for index in sorted(missing):
        by_time.setdefault(leaves[index].time, []).append(index)  # type: ignore[union-attr]
    for number, line in strangers:
        try:
            time = str(json.loads(line)["time"])
        except (ValueError, KeyError, TypeError):
            time = ""
        if by_time.get(time):
            index = by_time[time].pop(0)
            missing.discard(index)
            text = f"was changed: the log has another entry of {time}"
            report.wrong("body-changed", text, file="bodies.jsonl", line=number, leaf=index)
        else:
            text = "is in no leaf of the log: changed or invented"
            report.wrong("body-unknown", text, file="bodies.jsonl", line=number)
    for index in sorted(missing):
        time = leaves[index].time  # type: ignore[union-attr]
        text = f"the entry of {time} was asked for and is not in the package"
        report.wrong("body-missing", text, file="bodies.jsonl", leaf=index)


# --- Messages and the other files that repeat entries -------------------------------------------


def commitment(salt: bytes, text: str) -> str:
    """What the log knows of a text: it can be checked against it, and not be guessed from it."""
    return hashlib.sha256(b"parley/commitment/v1\x00" + salt + text.encode()).hexdigest()


def check_messages(package: Package, bodies: Bodies, report: Report) -> None:
    """A row for each logged version, in the log's order, with the text that was logged."""
    table = Table(package, report)
    left = dict(bodies.messages)
    last = -1
    for number, row in package.rows("messages.jsonl", report):
        table.compare(number, row)
        where = {"file": "messages.jsonl", "line": number, "message": row.get("message")}
        index = row.get("leaf")
        logged = left.pop(index, None) if isinstance(index, int) else None
        if logged is None or index is None:
            again = "repeats" if index in bodies.messages else "has no entry at"
            report.wrong("row-extra", f"{again} leaf {index}", **where)
            continue
        if index < last:
            report.wrong("row-order", "is out of its order", leaf=index, **where)
        last = max(last, index)
        check_version(row, logged, report, leaf=index, **where)
    table.end()
    for index, logged in sorted(left.items()):
        text = f"revision {logged.revision} is in the log and not in the file"
        where = {"file": "messages.jsonl", "leaf": index, "message": logged.message}
        report.wrong("row-missing", text, **where)


def check_version(row: dict[str, Any], logged: Version, report: Report, **where: Any) -> None:
    """The row says what the log says, and who sent a message is its author."""
    expected = logged._asdict()
    if logged.kind == "sent":
        expected["author"] = logged.actor
    for name, value in expected.items():
        if row.get(name) != value:
            text = f"{name} differs from what was logged, {value!r}"
            report.wrong("row-differs", text, **where)
    check_content(row, logged.commitment, report, **where)


def check_content(row: dict[str, Any], expected: str | None, report: Report, **where: Any) -> None:
    """The text and its salt give the commitment that the log holds."""
    if expected is None:
        if row.get("body") is not None:
            report.wrong("content", "has a text, and none was logged (a deletion)", **where)
        return
    if row.get("body") is None or row.get("salt") is None:
        status = row.get("status", "not told")
        report.wrong("content-missing", f"its text is not in the package ({status})", **where)
        return
    try:
        actual = commitment(bytes.fromhex(row["salt"]), row["body"])
    except (ValueError, TypeError, AttributeError):
        actual = ""
    if actual != expected:
        report.wrong("content", "its text is not the text that was logged", **where)


def check_revisions(bodies: Bodies, asked: Wanted, report: Report) -> None:
    """Versions of a message follow one another without a gap (where everybody's are here)."""
    if asked.actors:
        return
    revisions: dict[str, dict[int, int]] = {}
    for index, logged in bodies.messages.items():
        revisions.setdefault(logged.message, {})[logged.revision] = index
    for message, known in revisions.items():
        first = min(known) if asked.since or asked.until else 1
        for revision in set(range(first, max(known) + 1)) - set(known):
            text = f"revision {revision} was never logged, later ones were"
            report.wrong("revision-gap", text, message=message, leaf=known[max(known)])


def check_views(package: Package, bodies: Bodies, report: Report) -> None:
    """membership, reactions, reads: each row repeats an entry, and each entry has its row."""
    for name, prefixes in VIEWS.items():
        events = bodies.events.items()
        left = {index: body for index, body in events if body["action"].startswith(prefixes)}
        for number, row in package.rows(name, report):
            where = {"file": name, "line": number}
            body = left.pop(row["leaf"], None) if isinstance(row.get("leaf"), int) else None
            if body is None:
                report.wrong("row-extra", f"has no entry at leaf {row.get('leaf')}", **where)
                continue
            for field, expected in expected_of_event(body).items():
                if row.get(field) != expected:
                    text = f"{field} differs from what was logged, {expected!r}"
                    report.wrong("row-differs", text, leaf=row["leaf"], **where)
        for index, body in sorted(left.items()):
            text = f"{body['action']} of {body['time']} is in the log and not in the file"
            report.wrong("row-missing", text, file=name, leaf=index)


def expected_of_event(body: dict[str, Any]) -> dict[str, Any]:
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


def csv_line(cells: list[Any]) -> bytes:
    """A line of messages.csv: all cells quoted, and none that a spreadsheet takes for a formula."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    safe = ["'" + text if text[:1] in tuple("=+-@\t\r") else text for text in texts]
    return (",".join('"' + text.replace('"', '""') + '"' for text in safe) + "\r\n").encode()


class Table:
    """messages.csv, which must be messages.jsonl for people: compared while that is read."""

    def __init__(self, package: Package, report: Report) -> None:
        self.report = report
        self.file: BinaryIO | None = None
        try:
            self.file = package.open("messages.csv")
        except (KeyError, OSError):
            return  # check_files has named it
        head = b"\xef\xbb\xbf" + csv_line(list(CSV_COLUMNS))
        if self.file.read(len(head)) != head:
            self.wrong("has another head than expected", line=1)

    def wrong(self, text: str, **where: Any) -> None:
        """Name the first difference: what follows is displaced."""
        self.report.wrong("csv", text, file="messages.csv", **where)
        if self.file:
            self.file.close()
        self.file = None

    def compare(self, number: int, row: dict[str, Any]) -> None:
        if self.file is None:
            return
        expected = csv_line([row.get(column) for column in CSV_COLUMNS])
        if self.file.read(len(expected)) != expected:
            where = {"leaf": row.get("leaf"), "message": row.get("message")}
            self.wrong(f"differs from messages.jsonl line {number}", **where)

    def end(self) -> None:
        file, self.file = self.file, None
        if file is None:
            return
        with file:
            if file.read(1):
                self.report.wrong("csv", "goes on after the last message", file="messages.csv")


# --- Who asked, who approved, and the logged manifest -------------------------------------------


def check_approval(manifest: dict[str, Any], bodies: Bodies, report: Report) -> None:
    """The log holds the request for exactly this scope, and its approval by somebody else."""
    requests = [item for item in bodies.export if item[1]["action"] == "export:requested"]
    approvals = [item for item in bodies.export if item[1]["action"] == "export:approved"]
    if len(requests) != 1 or len(approvals) != 1:
        text = "the log's request and approval of this export are not both here, once"
        report.wrong("approval", text, file="bodies.jsonl")
        return
    (asked_at, request), (approved_at, approval) = requests[0], approvals[0]
    if request["parameters"].get("scope") != manifest["scope"]:
        text = "the scope is not the scope that was requested and approved"
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
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise CannotCheck(f"manifest.json is not of the format {FORMAT}")
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


def verify(path: str, key: str | None = None, known: list[str] | None = None) -> Report:
    """Check the package at `path`; raises CannotCheck where no judgement is possible."""
    report = Report()
    package = Package(path)
    try:
        manifest = load_manifest(package)
        check_package(package, manifest, choose_key(key, manifest, report), known or [], report)
    except (*MALFORMED, CannotCheck) as error:
        # What is already known to be wrong must not be lost to a malformed rest.
        reason = str(error) if isinstance(error, CannotCheck) else f"malformed: {error!r}"
        if not report.problems:
            raise CannotCheck(reason) from error
        report.wrong("malformed", f"the rest could not be checked: {reason}")
    return report


def check_package(
    package: Package, manifest: dict[str, Any], key: Key, known: list[str], report: Report
) -> None:
    check_files(package, manifest, report)
    checkpoint = check_checkpoint(package.read("checkpoint"), key, "checkpoint", report)
    leaves, hashes = read_leaves(package, report)
    if checkpoint:
        check_tree(hashes, checkpoint, report)
        report.lines.append(f"{len(hashes)} leaves under the checkpoint signed by {key.name}")
    for path in known:
        with open(path, "rb") as file:
            other = check_checkpoint(file.read(), key, path, report)
        if other:
            check_tree(hashes, other, report, path)
    asked = wanted(manifest)
    bodies = check_bodies(package, manifest, leaves, asked, report)
    report.lines.append(f"{bodies.due} entries asked for")
    check_messages(package, bodies, report)
    check_revisions(bodies, asked, report)
    report.lines.append(f"{len(bodies.messages)} versions of messages against the log")
    check_views(package, bodies, report)
    check_approval(manifest, bodies, report)
    check_manifest_proof(package, checkpoint, key, report)
    if manifest.get("state") != "complete":
        report.warnings.append("The package says of itself that it is PARTIAL.")
    report.facts = {
        "export": manifest["export"],
        "organization": manifest["organization"],
        "scope": manifest["scope"],
        "key": f"{key.name}+{key.id.hex()}",
        "size": checkpoint.size if checkpoint else None,
        "root": base64.b64encode(checkpoint.root).decode() if checkpoint else None,
        "entries": bodies.due,
        "versions": len(bodies.messages),
    }


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
    out(f"\nNOT VERIFIED: {len(report.problems)} things are wrong.")
    for problem in report.problems:
        out(f"  - {problem}")


def as_json(report: Report) -> str:
    return json.dumps(
        {
            "verdict": "failed" if report.problems else "verified",
            "problems": [problem._asdict() for problem in report.problems],
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
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    try:
        report = verify(options.package, options.key, options.checkpoint)
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
