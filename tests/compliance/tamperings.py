"""What a dishonest hand may do to a package, and what the verifier must name for it.

Each works on an unpacked package, made by the generator or by the product alike.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Named:
    """A problem that the verifier must report (others may stand beside it)."""

    code: str
    file: str = ""
    leaf: int | None = None
    message: str | None = None

    def is_in(self, problems: list[dict[str, Any]]) -> bool:
        return any(
            problem["code"] == self.code
            and problem["file"] == self.file
            and self.leaf in (None, problem["leaf"])
            and self.message in (None, problem["message"])
            for problem in problems
        )


Tampering = Callable[[Path], Named]


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of(folder, name)]


def lines_of(folder: Path, name: str) -> list[bytes]:
    return (folder / name).read_bytes().split(b"\n")[:-1]


def write_lines(folder: Path, name: str, lines: list[bytes]) -> None:
    (folder / name).write_bytes(b"".join(line + b"\n" for line in lines))


def write_rows(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    write_lines(folder, name, [json.dumps(row, ensure_ascii=False).encode() for row in rows])


def leaf_of(folder: Path, body: bytes) -> int:
    digest = hashlib.sha256(body).hexdigest().encode()
    return next(i for i, leaf in enumerate(lines_of(folder, "leaves.txt")) if digest in leaf)


def message_bodies(folder: Path) -> list[int]:
    """Line numbers (from 0) of the bodies that speak of message versions."""
    bodies = lines_of(folder, "bodies.jsonl")
    return [i for i, body in enumerate(bodies) if b'"action":"message:' in body]


def drop_a_message(folder: Path) -> Named:
    rows = rows_of(folder, "messages.jsonl")
    gone = rows.pop(2)
    write_rows(folder, "messages.jsonl", rows)
    return Named("row-missing", "messages.jsonl", gone["leaf"], gone["message"])


def drop_a_message_with_its_body(folder: Path) -> Named:
    named = drop_a_message(folder)
    return drop_body_of(folder, named.leaf)


def drop_body_of(folder: Path, leaf: int | None) -> Named:
    bodies = lines_of(folder, "bodies.jsonl")
    kept = [body for body in bodies if leaf_of(folder, body) != leaf]
    assert len(kept) == len(bodies) - 1
    write_lines(folder, "bodies.jsonl", kept)
    return Named("body-missing", "bodies.jsonl", leaf)


def drop_a_body(folder: Path) -> Named:
    bodies = lines_of(folder, "bodies.jsonl")
    return drop_body_of(folder, leaf_of(folder, bodies[message_bodies(folder)[0]]))


def edit_a_text(folder: Path) -> Named:
    rows = rows_of(folder, "messages.jsonl")
    row = next(row for row in rows if row["body"])
    row["body"] += " (not what was said)"
    write_rows(folder, "messages.jsonl", rows)
    return Named("content", "messages.jsonl", row["leaf"], row["message"])


def edit_a_text_and_its_commitment(folder: Path) -> Named:
    rows = rows_of(folder, "messages.jsonl")
    row = next(row for row in rows if row["body"])
    row["body"] = "something else"
    sealed = b"parley/commitment/v1\0" + bytes.fromhex(row["salt"]) + row["body"].encode()
    row["commitment"] = hashlib.sha256(sealed).hexdigest()
    write_rows(folder, "messages.jsonl", rows)
    return Named("row-differs", "messages.jsonl", row["leaf"], row["message"])


def edit_a_text_its_commitment_and_its_body(folder: Path) -> Named:
    row = rows_of(folder, "messages.jsonl")[0]
    named = edit_a_text_and_its_commitment(folder)
    forged = next(r for r in rows_of(folder, "messages.jsonl") if r["leaf"] == named.leaf)
    data = (folder / "bodies.jsonl").read_bytes()
    data = data.replace(row["commitment"].encode(), forged["commitment"].encode())
    (folder / "bodies.jsonl").write_bytes(data)
    return Named("body-changed", "bodies.jsonl", named.leaf)


def say_that_another_wrote_it(folder: Path) -> Named:
    rows = rows_of(folder, "messages.jsonl")
    row = rows[0]
    row["actor"] = next(other["actor"] for other in rows if other["actor"] != row["actor"])
    write_rows(folder, "messages.jsonl", rows)
    return Named("row-differs", "messages.jsonl", row["leaf"], row["message"])


def call_an_edit_the_first_version(folder: Path) -> Named:
    rows = rows_of(folder, "messages.jsonl")
    row = next(row for row in rows if row["kind"] == "edited")
    row["kind"] = "sent"
    write_rows(folder, "messages.jsonl", rows)
    return Named("row-differs", "messages.jsonl", row["leaf"], row["message"])


def give_a_message_another_author(folder: Path) -> Named:
    rows = rows_of(folder, "messages.jsonl")
    row = rows[0]
    row["author"] = next(other["author"] for other in rows if other["author"] != row["author"])
    write_rows(folder, "messages.jsonl", rows)
    return Named("row-differs", "messages.jsonl", row["leaf"], row["message"])


def give_a_message_another_time(folder: Path) -> Named:
    rows = rows_of(folder, "messages.jsonl")
    rows[0]["at"] = rows[1]["at"]
    write_rows(folder, "messages.jsonl", rows)
    return Named("row-differs", "messages.jsonl", rows[0]["leaf"], rows[0]["message"])


def put_text_into_a_deletion(folder: Path) -> Named:
    rows = rows_of(folder, "messages.jsonl")
    row = next(row for row in rows if row["commitment"] is None)
    row["body"], row["salt"] = "never said", "00" * 16
    write_rows(folder, "messages.jsonl", rows)
    return Named("content", "messages.jsonl", row["leaf"], row["message"])


def withhold_a_text(folder: Path) -> Named:
    rows = rows_of(folder, "messages.jsonl")
    row = next(row for row in rows if row["body"])
    row["body"] = row["salt"] = None
    write_rows(folder, "messages.jsonl", rows)
    return Named("content-missing", "messages.jsonl", row["leaf"], row["message"])


def invent_a_message(folder: Path) -> Named:
    rows = rows_of(folder, "messages.jsonl")
    rows.append({**rows[0], "message": "11111111-1111-4111-8111-111111111111", "leaf": 0})
    write_rows(folder, "messages.jsonl", rows)
    return Named("row-extra", "messages.jsonl", None, "11111111-1111-4111-8111-111111111111")


def repeat_a_message(folder: Path) -> Named:
    lines = lines_of(folder, "messages.jsonl")
    write_lines(folder, "messages.jsonl", [*lines, lines[0]])
    message = json.loads(lines[0])["message"]
    return Named("row-extra", "messages.jsonl", None, message)


def swap_two_messages(folder: Path) -> Named:
    lines = lines_of(folder, "messages.jsonl")
    lines[0], lines[1] = lines[1], lines[0]
    write_lines(folder, "messages.jsonl", lines)
    return Named("row-order", "messages.jsonl", json.loads(lines[1])["leaf"])


def swap_the_texts_of_two_messages(folder: Path) -> Named:
    rows = rows_of(folder, "messages.jsonl")
    one, other = [row for row in rows if row["body"]][:2]
    for name in ("body", "salt"):
        one[name], other[name] = other[name], one[name]
    write_rows(folder, "messages.jsonl", rows)
    return Named("content", "messages.jsonl", other["leaf"], other["message"])


def swap_two_bodies(folder: Path) -> Named:
    bodies = lines_of(folder, "bodies.jsonl")
    one, other = message_bodies(folder)[:2]
    bodies[one], bodies[other] = bodies[other], bodies[one]
    write_lines(folder, "bodies.jsonl", bodies)
    return Named("body-order", "bodies.jsonl", leaf_of(folder, bodies[other]))


def repeat_a_body(folder: Path) -> Named:
    bodies = lines_of(folder, "bodies.jsonl")
    at = message_bodies(folder)[0]
    write_lines(folder, "bodies.jsonl", [*bodies[: at + 1], *bodies[at:]])
    return Named("body-order", "bodies.jsonl", leaf_of(folder, bodies[at]))


def invent_a_body(folder: Path) -> Named:
    bodies = lines_of(folder, "bodies.jsonl")
    invented = json.loads(bodies[0]) | {"time": "2001-01-01T00:00:00.000000Z"}
    write_lines(folder, "bodies.jsonl", [*bodies, json.dumps(invented).encode()])
    return Named("body-unknown", "bodies.jsonl")


def truncate_the_leaves(folder: Path) -> Named:
    lines = lines_of(folder, "leaves.txt")[:-2]
    write_lines(folder, "leaves.txt", lines)
    return Named("leaf-count", "leaves.txt", len(lines))


def edit_a_leaf(folder: Path) -> Named:
    """A leaf of the scope is moved out of it, so that nobody would miss its body."""
    at = leaf_of(folder, lines_of(folder, "bodies.jsonl")[message_bodies(folder)[0]])
    lines = lines_of(folder, "leaves.txt")
    parts = lines[at].split(b" ")
    lines[at] = b" ".join([*parts[:2], b"0" * 32, *parts[3:]])
    write_lines(folder, "leaves.txt", lines)
    return Named("root", "leaves.txt")


def swap_two_leaves(folder: Path) -> Named:
    lines = lines_of(folder, "leaves.txt")
    lines[0], lines[1] = lines[1], lines[0]
    write_lines(folder, "leaves.txt", lines)
    return Named("root", "leaves.txt")


def break_a_leaf(folder: Path) -> Named:
    lines = lines_of(folder, "leaves.txt")
    lines[1] = b"v2" + lines[1][2:]
    write_lines(folder, "leaves.txt", lines)
    return Named("malformed", "leaves.txt", 1)


def forge_the_signature(folder: Path) -> Named:
    path = folder / "checkpoint"
    text = path.read_text()
    size = text.split("\n")[1]
    path.write_text(text.replace(f"\n{size}\n", f"\n{int(size) + 1}\n", 1))
    return Named("signature", "checkpoint")


def drop_the_signature(folder: Path) -> Named:
    path = folder / "checkpoint"
    path.write_text(path.read_text().split("\n\n")[0] + "\n\n")
    return Named("signature", "checkpoint")


def change_the_scope(folder: Path) -> Named:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["scope"]["since"] = "2026-11-21T08:00:03.000000Z"
    path.write_text(json.dumps(manifest))
    return Named("approval", "manifest.json")


def change_the_manifest(folder: Path) -> Named:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["created_at"] = "2001-01-01T00:00:00.000000Z"
    path.write_text(json.dumps(manifest))
    return Named("manifest-changed", "manifest.json")


def remove_a_file(folder: Path) -> Named:
    (folder / "messages.csv").unlink()
    return Named("file-missing", "messages.csv")


def remove_the_messages(folder: Path) -> Named:
    first = rows_of(folder, "messages.jsonl")[0]
    (folder / "messages.jsonl").unlink()
    return Named("row-missing", "messages.jsonl", first["leaf"], first["message"])


def remove_the_proof(folder: Path) -> Named:
    (folder / "manifest.tlog-proof").unlink()
    return Named("proof", "manifest.tlog-proof")


def add_a_file(folder: Path) -> Named:
    (folder / "more.jsonl").write_text("{}\n")
    return Named("file-extra", "more.jsonl")


def alter_the_csv(folder: Path) -> Named:
    row = next(row for row in rows_of(folder, "messages.jsonl") if row["body"])
    path = folder / "messages.csv"
    text = json.dumps(row["at"]).encode()
    path.write_bytes(path.read_bytes().replace(text, text.replace(b'"2', b'"1'), 1))
    return Named("csv", "messages.csv", row["leaf"], row["message"])


def drop_a_reaction(folder: Path) -> Named:
    rows = rows_of(folder, "reactions.jsonl")
    write_rows(folder, "reactions.jsonl", rows[1:])
    return Named("row-missing", "reactions.jsonl", rows[0]["leaf"])


def change_a_membership(folder: Path) -> Named:
    rows = rows_of(folder, "membership.jsonl")
    rows[0]["target"] = {**rows[0]["target"], "id": rows[0]["conversation"]}
    write_rows(folder, "membership.jsonl", rows)
    return Named("row-differs", "membership.jsonl", rows[0]["leaf"])


def point_the_proof_elsewhere(folder: Path) -> Named:
    path = folder / "manifest.tlog-proof"
    head, separator, rest = path.read_text().partition("\nindex ")
    index, _, rest = rest.partition("\n")
    path.write_text(f"{head}{separator}{int(index) - 1}\n{rest}")
    return Named("proof", "manifest.tlog-proof", int(index) - 1)


TAMPERINGS: dict[str, Tampering] = {
    function.__name__.replace("_", " "): function
    for function in (
        drop_a_message,
        drop_a_message_with_its_body,
        drop_a_body,
        edit_a_text,
        edit_a_text_and_its_commitment,
        edit_a_text_its_commitment_and_its_body,
        say_that_another_wrote_it,
        call_an_edit_the_first_version,
        give_a_message_another_author,
        give_a_message_another_time,
        put_text_into_a_deletion,
        withhold_a_text,
        invent_a_message,
        repeat_a_message,
        swap_two_messages,
        swap_the_texts_of_two_messages,
        swap_two_bodies,
        repeat_a_body,
        invent_a_body,
        truncate_the_leaves,
        edit_a_leaf,
        swap_two_leaves,
        break_a_leaf,
        forge_the_signature,
        drop_the_signature,
        change_the_scope,
        change_the_manifest,
        remove_a_file,
        remove_the_messages,
        remove_the_proof,
        add_a_file,
        alter_the_csv,
        drop_a_reaction,
        change_a_membership,
        point_the_proof_elsewhere,
    )
}


def rehash(folder: Path) -> None:
    """A careful forger lists the new hashes in the manifest, so that only the log objects."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {
        name: {**entry, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}
        for name, entry in manifest["files"].items()
        if (folder / name).exists()
    }
    path.write_text(json.dumps(manifest))
