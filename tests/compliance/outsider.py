"""Runs verify.py as an outsider would: another process, isolated, with `cryptography` alone."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What an outsider installs: `pip install cryptography` brings cffi with it.
INSTALLED = ("cryptography", "cffi", "_cffi_backend", "pycparser")


@dataclass
class Verdict:
    status: int
    text: str

    @property
    def document(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.text)
        return result

    @property
    def problems(self) -> list[dict[str, Any]]:
        problems: list[dict[str, Any]] = self.document["problems"]
        return problems


def outside(tmp: Path) -> Path:
    """A folder for sys.path that holds `cryptography` and what it needs, and nothing of ours."""
    site = tmp / "site"
    site.mkdir(exist_ok=True)
    for name in INSTALLED:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        source = origin.parent if spec.submodule_search_locations else origin
        if not (site / source.name).exists():
            (site / source.name).symlink_to(source)
    return site


def check(package: Path, *arguments: str, site: Path, program: Path | None = None) -> Verdict:
    """`python -I -S verify.py …` with only `site` beside the standard library."""
    program = program or package / "verify.py"
    start = (
        f"import sys, runpy; sys.path.append({str(site)!r}); sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-I", "-S", "-c", start, str(program), str(package), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert not done.stderr, done.stderr
    return Verdict(done.returncode, done.stdout)
