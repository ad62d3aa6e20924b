"""What an outsider collects of a log: over the REST API, as a member of the organization."""

import json
from pathlib import Path

from django.test import Client

from app.audit.tiles import WIDTH

INDEX = 700
"""The leaf whose inclusion is proven: neither first nor last, and in a full tile."""


def collect(client: Client, organization: str, folder: Path, old: str) -> None:
    """Write vkey, checkpoints, a leaf, proofs and every tile; `old` is an earlier checkpoint."""
    state = client.get("/api/audit/checkpoint").json()
    size, prefix = state["size"], f"/api/audit/logs/{organization}"
    (folder / "vkey").write_text(state["verifier_key"] + "\n")
    (folder / "checkpoint.old").write_text(old)
    _save(client, f"{prefix}/checkpoint", folder / "checkpoint")
    entries = client.get("/api/audit/entries", {"start": INDEX, "limit": 1}).json()["entries"]
    (folder / "leaf").write_text(entries[0]["leaf"])
    _save(client, f"/api/audit/proof?index={INDEX}&size={size}", folder / "inclusion.json")
    first = int(old.split("\n")[1])
    _save(client, f"/api/audit/proof?first={first}&second={size}", folder / "consistency.json")
    for path in tile_paths(size):
        _save(client, f"{prefix}/{path}", folder / path)


def tile_paths(size: int) -> list[str]:
    """The names of every tile of a tree: c2sp.org/tlog-tiles."""
    assert size < 1000 * WIDTH, "further tiles have longer names"
    paths, level, nodes = [], 0, size
    while nodes:
        kinds = [str(level), "entries"] if level == 0 else [str(level)]
        for kind in kinds:
            paths += [f"tile/{kind}/{n:03}" for n in range(nodes // WIDTH)]
            if rest := nodes % WIDTH:
                paths.append(f"tile/{kind}/{nodes // WIDTH:03}.p/{rest}")
        level, nodes = level + 1, nodes // WIDTH
    return paths


def _save(client: Client, url: str, file: Path) -> None:
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.content)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(answer.content)


def altered(kit: Path, name: str) -> None:
    """Change one bit: of a checkpoint's root, of a hash where it is JSON, else in the middle."""
    file = kit / name
    if file.suffix == ".json":
        document = json.loads(file.read_text())
        first = document["hashes"][0]
        document["hashes"][0] = ("0" if first[0] != "0" else "1") + first[1:]
        file.write_text(json.dumps(document))
        return
    content = bytearray(file.read_bytes())
    is_note = name.startswith("checkpoint")
    content[
        content.index(b"\n", content.index(b"\n") + 1) + 9 if is_note else len(content) // 2
    ] ^= 1
    file.write_bytes(bytes(content))
