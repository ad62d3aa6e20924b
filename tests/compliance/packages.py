"""Makes export packages with the standard library and a signing key: the format's second reading.

It shares no code with the product or with verify.py, so both are held to the written format.
"""

import base64
import hashlib
import hmac
import json
import shutil
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VERIFY = Path(__file__).parents[2] / "app" / "compliance" / "verify.py"
SPACE = UUID("7b1f3c1e-0000-4000-8000-000000000000")
ORGANIZATION = uuid5(SPACE, "northside")
WARD, PHARMACY = uuid5(SPACE, "ward"), uuid5(SPACE, "pharmacy")
ALICE, BOB, OLGA, OSCAR = (uuid5(SPACE, name) for name in ("alice", "bob", "olga", "oscar"))
EXPORT = uuid5(SPACE, "export")
START = datetime(2026, 11, 21, 8, 0, 0, 1)
ORIGIN = "parley.test/log"
VIEWS = {
    "membership.jsonl": "member:",
    "reactions.jsonl": "reaction:",
    "reads.jsonl": "trail:",
    "calls.jsonl": "call:",
    "attachments.jsonl": "attachment:",
    "holds.jsonl": "hold:",
    "erasures.jsonl": "erasure:",
}


def canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def key_of(subject: UUID) -> bytes:
    return hashlib.sha256(b"key of " + subject.bytes).digest()


def pseudonym(subject: UUID) -> str:
    return hmac.new(key_of(subject), subject.bytes, "sha256").digest()[:16].hex()


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\0" + leaf).digest()


class Tree:
    """RFC 6962 section 2.1, word by word: recursive, and slow."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = tuple(leaf_hash(leaf) for leaf in leaves)
        self.root_between = lru_cache(maxsize=None)(self._root_between)

    def _root_between(self, start: int, end: int) -> bytes:
        if start == end:
            return hashlib.sha256(b"").digest()
        if end - start == 1:
            return self.leaves[start]
        middle = start + split(end - start)
        both = self.root_between(start, middle) + self.root_between(middle, end)
        return hashlib.sha256(b"\1" + both).digest()

    def inclusion(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + split(end - start)
        if index < middle:
            return [*self.inclusion(index, start, middle), self.root_between(middle, end)]
        return [*self.inclusion(index, middle, end), self.root_between(start, middle)]

    def consistency(self, size: int, start: int, end: int, complete: bool = True) -> list[bytes]:
        if size == end - start:
            return [] if complete else [self.root_between(start, end)]
        half = split(end - start)
        middle = start + half
        if size <= half:
            return [
                *self.consistency(size, start, middle, complete),
                self.root_between(middle, end),
            ]
        return [
            *self.consistency(size - half, middle, end, False),
            self.root_between(start, middle),
        ]


def split(size: int) -> int:
    """The largest power of two that is smaller than `size`."""
    return 1 << (size - 1).bit_length() - 1


def signing_key(name: str = "the log") -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def vkey_of(key: Ed25519PrivateKey, name: str = ORIGIN) -> str:
    data = b"\1" + key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    return f"{name}+{key_id.hex()}+{b64(data)}"


def sign(text: str, key: Ed25519PrivateKey, name: str = ORIGIN) -> str:
    key_id = bytes.fromhex(vkey_of(key, name).split("+")[1])
    return f"{text}\n— {name} {b64(key_id + key.sign(text.encode()))}\n"


def checkpoint(leaves: list[bytes], key: Ed25519PrivateKey, origin: str = ORIGIN) -> str:
    root = Tree(leaves).root_between(0, len(leaves))
    return sign(f"{origin}\n{len(leaves)}\n{b64(root)}\n", key, origin)


WITNESS = "witness.test/w1"


def witness_vkey(key: Ed25519PrivateKey, name: str = WITNESS) -> str:
    """As `vkey_of`, of the kind that cosigns: c2sp.org/tlog-cosignature."""
    data = b"\4" + key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + data).hexdigest()[:8]
    return f"{name}+{key_id}+{b64(data)}"


def cosign(note: str, key: Ed25519PrivateKey, at: int = 1_795_000_000) -> str:
    """The note with the line of a witness, which signs the time too."""
    text = note.rpartition("\n\n")[0] + "\n"
    signature = key.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
    key_id = bytes.fromhex(witness_vkey(key).split("+")[1])
    return f"{note}— {WITNESS} {b64(key_id + at.to_bytes(8, 'big') + signature)}\n"


@dataclass
class History:
    """A log in the making: each call appends one entry."""

    leaves: list[bytes] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    texts: dict[int, tuple[str, bytes]] = field(default_factory=dict)

    def add(self, action: str, actor: UUID, scope: UUID | None, target: Any, **more: Any) -> int:
        index = len(self.leaves)
        at = START + timedelta(seconds=index)
        kind, identity, parent = target
        body = {
            "v": 1,
            "id": str(uuid5(SPACE, f"entry {index}")),
            "time": at.isoformat(timespec="microseconds") + "Z",
            "organization": str(ORGANIZATION),
            "action": action,
            "outcome": "success",
            "actor": {"kind": "user", "id": str(actor), "role": "member"},
            "origin": {"request_id": "", "session": "", "address": "", "agent": "", "method": ""},
            "target": {"type": kind, "id": str(identity), "parent": str(parent or "")},
            "scope": str(scope) if scope else None,
            "parameters": more.get("parameters", {}),
            "before": {},
            "after": more.get("after", {}),
        }
        digest = hashlib.sha256(canonical(body)).hexdigest()
        names = f"{pseudonym(scope or ORGANIZATION)} {pseudonym(actor)}"
        self.leaves.append(f"v1 {body['time']} {names} {digest}".encode())
        self.bodies.append(body)
        return index

    def say(self, text: str | None, *, message: str, revision: int, by: UUID, scope: UUID) -> int:
        action = "message:sent" if revision == 1 else "message:edited"
        version = uuid5(SPACE, f"{message} {revision}")
        after: dict[str, Any] = {"version": str(version), "revision": revision, "content": None}
        salt = hashlib.sha256(f"{message} {revision}".encode()).digest()[:16]
        if text is None:
            action = "message:deleted"
        else:
            sealed = b"parley/commitment/v1\0" + salt + text.encode()
            after["content"] = hashlib.sha256(sealed).hexdigest()
        target = ("message", uuid5(SPACE, message), scope)
        index = self.add(action, by, scope, target, after=after)
        if text is not None:
            self.texts[index] = (text, salt)
        return index


def a_day_on_the_ward(messages: int = 12) -> History:
    """Alice and Bob write on the ward and in the pharmacy; then Olga asks and Oscar approves."""
    history = History()
    history.add("member:joined", ALICE, WARD, ("member", ALICE, WARD))
    history.add("member:joined", BOB, WARD, ("member", BOB, WARD))
    for number in range(messages):
        who = (ALICE, BOB)[number % 2]
        where = (WARD, WARD, PHARMACY)[number % 3]
        text = f"=SUM({number}) bed {number}, schön \U0001f642"
        history.say(text, message=f"m{number}", revision=1, by=who, scope=where)
    history.say("bed 1, corrected", message="m1", revision=2, by=BOB, scope=WARD)
    history.say(None, message="m3", revision=2, by=BOB, scope=WARD)
    reaction = {"emoji": "1f44d"}
    message = ("message", uuid5(SPACE, "m0"), WARD)
    history.add("reaction:added", BOB, WARD, message, after=reaction)
    history.add("trail:read", OLGA, WARD, ("trail", ORGANIZATION, ""), parameters={"filter": {}})
    return history


@dataclass
class Made:
    """A package in a folder, what it was made from, and the key that its log is known by."""

    folder: Path
    history: History
    vkey: str
    manifest: dict[str, Any]


def make(
    folder: Path,
    *,
    history: History | None = None,
    conversations: tuple[UUID, ...] = (WARD,),
    people: tuple[UUID, ...] = (),
    since: str | None = None,
    until: str | None = None,
    approver: UUID = OSCAR,
    key: Ed25519PrivateKey | None = None,
) -> Made:
    history = history or a_day_on_the_ward()
    key = key or signing_key()
    scope = {
        "conversations": [str(item) for item in conversations],
        "people": [str(item) for item in people],
        "since": since,
        "until": until,
    }
    export = ("export", EXPORT, "")
    asked = {"scope": scope, "formats": ["csv"], "recipient": None}
    history.add("export:requested", OLGA, None, export, parameters=asked)
    history.add("export:approved", approver, None, export)
    size = len(history.leaves)
    due = [i for i in range(size) if covers(history, i, scope)]
    joined = {row["leaf"] for row in members_at_start(history, scope)}
    folder.mkdir(parents=True, exist_ok=True)
    own = [i for i in range(size) if history.bodies[i]["target"]["type"] == "export"]
    write(folder / "bodies.jsonl", [history.bodies[i] for i in sorted({*due, *own, *joined})])
    (folder / "leaves.txt").write_bytes(b"".join(leaf + b"\n" for leaf in history.leaves))
    (folder / "checkpoint").write_text(checkpoint(history.leaves, key))
    write_messages(folder, history, due)
    write_views(folder, history, due)
    write(folder / "members_at_start.jsonl", members_at_start(history, scope))
    write_items(folder, history, due)
    write(folder / "people.jsonl", [{"id": str(ALICE)}, {"id": str(BOB)}])
    shutil.copy(VERIFY, folder / "verify.py")
    manifest = {
        "format": "parley-export/2",
        "export": str(EXPORT),
        "created_at": "2026-11-21T09:00:00.000000Z",
        "organization": {"id": str(ORGANIZATION), "name": "Northside Clinic"},
        "requested_by": {"id": str(OLGA)},
        "approved_by": {"id": str(approver)},
        "state": "complete",
        **asked,
        "log": {"key": vkey_of(key)},
        "pseudonyms": {
            "scopes": {str(item): key_of(item).hex() for item in conversations},
            "actors": {str(item): key_of(item).hex() for item in people},
        },
    }
    seal(folder, manifest, history, key, size)
    return Made(folder, history, vkey_of(key), manifest)


def covers(history: History, index: int, scope: dict[str, Any]) -> bool:
    body = history.bodies[index]
    return (
        (not scope["conversations"] or body["scope"] in scope["conversations"])
        and (not scope["people"] or body["actor"]["id"] in scope["people"])
        and (scope["since"] or "") <= body["time"] < (scope["until"] or "9")
    )


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_bytes(b"".join(canonical(row) + b"\n" for row in rows))


COLUMNS = [
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
]


def write_messages(folder: Path, history: History, due: list[int]) -> None:
    rows = [message_row(history, i) for i in due if "message:" in history.bodies[i]["action"]]
    write(folder / "messages.jsonl", rows)
    lines: list[list[object]] = [
        list(COLUMNS),
        *([row.get(name) for name in COLUMNS] for row in rows),
    ]
    text = "".join(",".join(csv_cell(cell) for cell in line) + "\r\n" for line in lines)
    (folder / "messages.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())


def csv_cell(value: object) -> str:
    text = "" if value is None else str(value)
    text = "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
    return '"' + text.replace('"', '""') + '"'


def message_row(history: History, index: int) -> dict[str, Any]:
    body = history.bodies[index]
    text, salt = history.texts.get(index, (None, None))
    return {
        "leaf": index,
        "at": body["time"],
        "conversation": body["scope"],
        "message": body["target"]["id"],
        "version": body["after"]["version"],
        "revision": body["after"]["revision"],
        "kind": body["action"].partition(":")[2],
        "author": body["actor"]["id"],
        "actor": body["actor"]["id"],
        "commitment": body["after"]["content"],
        "body": text,
        "salt": salt.hex() if salt else None,
        "status": "ok",
    }


def write_views(folder: Path, history: History, due: list[int]) -> None:
    for name, subject in VIEWS.items():
        rows = [
            {
                "leaf": index,
                "at": history.bodies[index]["time"],
                "action": history.bodies[index]["action"],
                "conversation": history.bodies[index]["scope"],
                "actor": history.bodies[index]["actor"]["id"],
                **{key: history.bodies[index][key] for key in ("target", "parameters")},
                **{key: history.bodies[index][key] for key in ("before", "after")},
            }
            for index in due
            if history.bodies[index]["action"].startswith(subject)
        ]
        write(folder / name, rows)


def members_at_start(history: History, scope: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "conversation": body["scope"],
            "user": body["target"]["id"],
            "leaf": index,
            "joined_at": body["time"],
        }
        for index, body in enumerate(history.bodies)
        if body["action"] == "member:joined"
        and body["time"] < (scope["since"] or "")
        and (not scope["conversations"] or body["scope"] in scope["conversations"])
    ]


def write_items(folder: Path, history: History, due: list[int]) -> None:
    counted: dict[str | None, list[int]] = {}
    for index in due:
        body = history.bodies[index]
        item = counted.setdefault(body["scope"], [0, 0])
        item[0] += 1
        item[1] += body["action"].startswith("message:")
    rows = [
        {"conversation": scope, "entries": entries, "versions": versions}
        for scope, (entries, versions) in counted.items()
    ]
    write(folder / "items.jsonl", rows)


def seal(
    folder: Path,
    manifest: dict[str, Any],
    history: History,
    key: Ed25519PrivateKey,
    size: int,
    *,
    files: dict[str, dict[str, str]] | None = None,
) -> None:
    """Write the manifest, log its hash with what comes after, and prove that."""
    listed = files or {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in folder.iterdir()
        if path.name not in ("manifest.json", "manifest.tlog-proof")
    }
    manifest["files"] = listed
    data = json.dumps(manifest, indent=2, sort_keys=True).encode()
    (folder / "manifest.json").write_bytes(data)
    after = {"manifest_sha256": hashlib.sha256(data).hexdigest()}
    history.say("written meanwhile", message="m99", revision=1, by=ALICE, scope=WARD)
    index = history.add("export:built", OLGA, None, ("export", EXPORT, ""), after=after)
    history.say("and later", message="m100", revision=1, by=BOB, scope=WARD)
    write_proof(folder, history, key, size, index)


def write_proof(
    folder: Path, history: History, key: Ed25519PrivateKey, size: int, index: int
) -> None:
    tree, end = Tree(history.leaves), len(history.leaves)
    extra = {
        "leaf": history.leaves[index].decode(),
        "body": canonical(history.bodies[index]).decode(),
        "consistency": [b64(node) for node in tree.consistency(size, 0, end)],
    }
    inclusion = "".join(b64(node) + "\n" for node in tree.inclusion(index, 0, end))
    head = f"c2sp.org/tlog-proof@v1\nextra {b64(canonical(extra))}\nindex {index}\n{inclusion}"
    text = f"{head}\n{checkpoint(history.leaves, key)}"
    (folder / "manifest.tlog-proof").write_text(text)
