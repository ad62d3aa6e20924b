"""OpenSSL alone accepts a checkpoint's signature, as docs/evidence.md says to ask it."""

import base64
import subprocess
from pathlib import Path

import pytest

from app.audit.checkpoint import Signer

# The DER of an Ed25519 public key without its 32 bytes: RFC 8410, section 4.
_DER = bytes.fromhex("302a300506032b6570032100")


def verifies(kit: Path, name: str) -> bool:
    text, _, line = (kit / name).read_bytes().rpartition(b"\n\n")
    raw = base64.b64decode((kit / "vkey").read_text().strip().split("+", 2)[2])[1:]
    (kit / "key.der").write_bytes(_DER + raw)
    (kit / "text").write_bytes(text + b"\n")
    (kit / "signature").write_bytes(base64.b64decode(line.split(b" ")[2])[4:])
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key.der"]
    files = ["-rawin", "-in", "text", "-sigfile", "signature"]
    done = subprocess.run([*command, *files], cwd=kit, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("name", ["checkpoint", "checkpoint.old"])
def test_openssl_accepts_a_checkpoint_and_refuses_an_altered_one(kit: Path, name: str) -> None:
    assert verifies(kit, name)
    content = (kit / name).read_text()
    (kit / name).write_text(content.replace("\n", "1\n", 2).replace("1\n", "\n", 1))
    assert not verifies(kit, name)


def test_openssl_refuses_another_key(kit: Path) -> None:
    name = (kit / "checkpoint").read_text().partition("\n")[0]
    (kit / "vkey").write_text(Signer(name, bytes(32)).public.vkey)
    assert not verifies(kit, "checkpoint")
