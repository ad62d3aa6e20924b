"""Go's sumdb/note and sumdb/tlog accept what this project made, and refuse it altered."""

import os
import subprocess
from pathlib import Path

import pytest

from app.audit.checkpoint import Checkpoint, Signer
from tests.audit.trail import SEED
from tests.compliance.packages import WITNESS
from tests.verifiers.kit import altered

pytestmark = pytest.mark.go
_SOURCE = Path(__file__).parent / "sumdb"
_GOPATH = Path("/usr/share/gocode")  # where Debian's golang-golang-x-mod-dev is


@pytest.fixture(scope="session")
def sumdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier, built from source without any network."""
    folder = tmp_path_factory.mktemp("go")
    environment = {
        "GO111MODULE": "off",
        "GOPATH": str(_GOPATH),
        "GOCACHE": str(folder / "cache"),
        "GOTOOLCHAIN": "local",
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
    }
    command = ["go", "build", "-o", str(folder / "sumdb"), "main.go"]
    subprocess.run(command, cwd=_SOURCE, env=environment, check=True)
    return folder / "sumdb"


def verified(sumdb: Path, kit: Path) -> tuple[int, list[str]]:
    done = subprocess.run([sumdb, kit], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


STEPS = ["checkpoint", "old checkpoint", "inclusion", "consistency", "entries", "tiles"]
STEPS += ["proof from tiles"]


def test_it_verifies_checkpoints_inclusion_consistency_tiles_and_entries(
    sumdb: Path, kit: Path
) -> None:
    assert verified(sumdb, kit) == (0, [f"{step}: holds" for step in STEPS])


def test_what_it_verified_carries_a_witness_s_signature_too(kit: Path) -> None:
    lines = (kit / "checkpoint").read_text().partition("\n\n")[2].splitlines()
    assert [line.split(" ")[1] for line in lines][1:] == [WITNESS]


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("vkey", "checkpoint"),
        ("checkpoint", "checkpoint"),
        ("checkpoint.old", "old checkpoint"),
        ("leaf", "inclusion"),
        ("inclusion.json", "inclusion"),
        ("consistency.json", "consistency"),
        ("tile/0/000", "tiles"),
        ("tile/1/000.p/3", "tiles"),
        ("tile/0/002", "tiles"),
        ("tile/entries/000", "entries"),
    ],
)
def test_it_refuses_what_was_altered(sumdb: Path, kit: Path, name: str, step: str) -> None:
    altered(kit, name)
    code, said = verified(sumdb, kit)
    assert code == 1
    assert said[-1].startswith(f"{step}: ")
    assert not said[-1].endswith(": holds")


def test_it_refuses_another_history_that_the_same_key_signed(sumdb: Path, kit: Path) -> None:
    note = (kit / "checkpoint.old").read_text()
    old = Checkpoint.parse(note.partition("\n\n")[0] + "\n")
    forked = Signer(old.origin, SEED).sign(old.size, bytes(32))
    (kit / "checkpoint.old").write_text(forked)
    code, said = verified(sumdb, kit)
    assert (code, said[:3]) == (1, [f"{step}: holds" for step in STEPS[:3]])
    assert said[3].startswith("consistency: ")
