"""Installs what the gateway is compared with into .parley/peers: `ws` and the PeerJS server.

    .parley/venv/bin/python -m benchmarks.gateway.peers

Needs node and npm. The versions and their hashes are locked in node/package-lock.json.
"""

import filecmp
import json
import shutil
import subprocess
import sys
from pathlib import Path

from dev.processes import PROJECT

SCRIPTS = Path(__file__).parent / "node"
PLACE = PROJECT / ".parley" / "peers"
_LOCK = "package-lock.json"


def install() -> Path:
    """Install what is not there yet; return the folder of modules."""
    modules = PLACE / "node_modules"
    done = PLACE / "installed.json"  # the lock of what was installed to its end
    if not (done.is_file() and filecmp.cmp(SCRIPTS / _LOCK, done, shallow=False)):
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit("The peers need node and npm (Debian: apt install nodejs npm).")
        PLACE.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", _LOCK):
            shutil.copy(SCRIPTS / name, PLACE / name)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
        subprocess.run([npm, "ci", *quiet], cwd=PLACE, check=True)
        shutil.copy(SCRIPTS / _LOCK, done)
    return modules


def versions() -> dict[str, str]:
    """Return the version of each peer."""
    wanted = json.loads((SCRIPTS / "package.json").read_text())["dependencies"]
    return {str(name): str(version) for name, version in wanted.items()}


if __name__ == "__main__":
    sys.stdout.write(f"{install()}\n")
