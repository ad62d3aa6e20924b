"""docs/evidence.md is enough to write a verifier: this one has the page, and no code of ours."""

import base64
import hashlib
import hmac
import json
import re
import struct
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PAGE = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text()
EXAMPLE = PAGE.partition("## Example")[2].partition("\n## ")[0]
BODY = next(line.strip() for line in EXAMPLE.splitlines() if line.startswith('    {"action"'))
NOTE = EXAMPLE.partition("```\n")[2].partition("```")[0]
SECRET, SALT = bytes(range(32)), bytes(range(16))


def told(name: str) -> str:
    """What the page gives as `name`."""
    found = re.search(rf"^    {name} +(\S.*)$", EXAMPLE, re.MULTILINE)
    assert found, name
    return found[1]


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, no salt, 32 bytes: one block."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def pseudonym(key: bytes, subject: bytes) -> str:
    return hmac.digest(key, subject, "sha256")[:16].hex()


def leaf() -> bytes:
    body = json.loads(BODY)
    parts = []
    for purpose, subject in (("scope", body["scope"]), ("actor", body["actor"]["id"])):
        id_ = UUID(subject).bytes
        info = f"parley/{purpose}/v1".encode() + UUID(body["organization"]).bytes + id_
        key = hkdf(SECRET, info)
        assert key.hex() == told(f"{purpose} key")
        parts.append(pseudonym(key, id_))
    return f"v1 {body['time']} {' '.join(parts)} {sha256(BODY.encode()).hex()}".encode()


def key_of(vkey: str, kind: int) -> tuple[str, bytes, Ed25519PublicKey]:
    name, id_, encoded = vkey.split("+", 2)
    raw = base64.b64decode(encoded)
    assert raw[0] == kind
    assert sha256(name.encode(), b"\n", raw)[:4].hex() == id_
    return name, bytes.fromhex(id_), Ed25519PublicKey.from_public_bytes(raw[1:])


def signature_of(note: str, name: str, id_: bytes) -> bytes:
    for line in note.rpartition("\n\n")[2].splitlines():
        dash, signer, encoded = line.split(" ")
        blob = base64.b64decode(encoded)
        if (dash, signer, blob[:4]) == ("\u2014", name, id_):
            return blob[4:]
    raise AssertionError("no signature of this key")


def check(note: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a note that both signed. Raises InvalidSignature."""
    text = note.rpartition("\n\n")[0] + "\n"
    name, id_, key = key_of(told("vkey"), 1)
    key.verify(signature_of(note, name, id_), text.encode())
    name, id_, key = key_of(told("witness"), 4)
    signed = signature_of(note, name, id_)
    (time,) = struct.unpack(">Q", signed[:8])
    key.verify(signed[8:], f"cosignature/v1\ntime {time}\n{text}".encode())
    origin, size, root = text.splitlines()
    return origin, int(size), base64.b64decode(root)


def test_the_body_is_in_its_canonical_form() -> None:
    value = json.loads(BODY)
    assert len(value) == 13
    assert json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")) == BODY


def test_the_text_gives_the_commitment_in_the_body() -> None:
    text = re.search("the text `(.+)`", EXAMPLE)
    assert text
    commitment = sha256(b"parley/commitment/v1\x00", SALT, text[1].encode()).hex()
    assert commitment == told("commitment") == json.loads(BODY)["after"]["content"]


def test_the_body_gives_the_leaf_and_its_hash() -> None:
    assert sha256(BODY.encode()).hex() == told("body")
    assert leaf().decode() == told("leaf")
    assert sha256(b"\x00", leaf()).hex() == told("leaf hash")


def test_the_leaves_give_the_root_that_log_and_witness_signed() -> None:
    first, second, third = (sha256(b"\x00", line) for line in (leaf(), b"second", b"third"))
    root = sha256(b"\x01", sha256(b"\x01", first, second), third)
    assert root.hex() == told("root")
    organization = json.loads(BODY)["organization"]
    assert check(NOTE) == (f"parley.example/log/{organization}", 3, root)


def test_an_altered_note_does_not_hold() -> None:
    with pytest.raises(InvalidSignature):
        check(NOTE.replace("\n3\n", "\n4\n"))


def test_our_own_code_says_the_same() -> None:
    """The example is of this project, not only of its page."""
    from app.audit import leaves
    from app.audit.checkpoint import PublicKey, open_checkpoint
    from app.audit.cosignature import WitnessKey

    body = json.loads(BODY)
    organization, scope = UUID(body["organization"]), UUID(body["scope"])
    ours = leaves.pseudonym(SECRET, leaves.SCOPE, organization, scope.bytes)
    assert told("leaf").split()[2] == ours
    for key in (PublicKey.parse(told("vkey")), WitnessKey.parse(told("witness"))):
        assert open_checkpoint(NOTE, [key]).root.hex() == told("root")
