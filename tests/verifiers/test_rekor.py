"""sigstore's Python client accepts our checkpoints and inclusion proofs, and refuses others."""

import fcntl
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.audit.checkpoint import Signer
from dev.state import PROJECT
from tests.verifiers.kit import altered

_HERE = Path(__file__).parent
_LOCK = _HERE / "sigstore-lock.txt"


@pytest.fixture(scope="session")
def python() -> Path:
    """sigstore in an environment of its own, whose needs are not ours; made once, and kept."""
    name = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]
    folder = PROJECT / ".parley" / "verifiers" / f"sigstore-{name}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # processes of one run would make it at the same time
        if not (folder / "complete").exists():
            make(folder)
    return folder / "bin" / "python"


def make(folder: Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    venv = ["venv", "--quiet", "--clear", "-p", sys.executable, str(folder)]
    subprocess.run([uv, *venv], check=True)
    install = ["pip", "install", "--quiet", "-p", str(folder), "--require-hashes"]
    subprocess.run([uv, *install, "-r", str(_LOCK)], check=True)
    (folder / "complete").touch()


def verified(python: Path, kit: Path) -> tuple[int, list[str]]:
    command = [str(python), "-I", str(_HERE / "rekor.py"), str(kit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def test_it_verifies_checkpoint_and_inclusion(python: Path, kit: Path) -> None:
    assert verified(python, kit) == (0, ["checkpoint: holds", "inclusion: holds"])


@pytest.mark.parametrize(
    ("name", "step"),
    [("checkpoint", "checkpoint"), ("leaf", "inclusion"), ("inclusion.json", "inclusion")],
)
def test_it_refuses_what_was_altered(python: Path, kit: Path, name: str, step: str) -> None:
    altered(kit, name)
    code, said = verified(python, kit)
    assert code == 1
    assert said[-1].startswith(f"{step}: ")


def test_it_refuses_another_root_and_another_key(python: Path, kit: Path) -> None:
    proof = json.loads((kit / "inclusion.json").read_text())
    whole = json.dumps(proof)
    proof["root"] = "00" * 32
    (kit / "inclusion.json").write_text(json.dumps(proof))
    code, said = verified(python, kit)
    assert (code, said[0].partition(":")[0]) == (1, "checkpoint")
    (kit / "inclusion.json").write_text(whole)
    name = (kit / "checkpoint").read_text().partition("\n")[0]
    (kit / "vkey").write_text(Signer(name, bytes(32)).public.vkey)
    code, said = verified(python, kit)
    assert (code, said[0].partition(":")[0]) == (1, "checkpoint")
