"""Fetches what Parley is compared with into .parley/peers; nothing is installed on the machine.

    .parley/venv/bin/python -m benchmarks.peers.install [node debian synapse]

- node: bare `ws` and the PeerJS server, locked in node/package-lock.json (needs node and npm)
- debian: ejabberd and prosody with all that they need, as Debian 12 has them, unpacked
- synapse: Synapse in an environment of its own, locked in synapse-lock.txt

What is there already is not fetched again. `make bench` asks for what its parts need.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dev.errors import SetupProblem
from dev.processes import PROJECT

HERE = Path(__file__).parent
SCRIPTS = HERE / "node"
PLACE = PROJECT / ".parley" / "peers"
DEBIAN = {"ejabberd": "23.01-1", "prosody": "0.12.3-1+deb12u1"}
_NPM_LOCK, _SYNAPSE_LOCK = SCRIPTS / "package-lock.json", HERE / "synapse-lock.txt"


def node() -> Path:
    """Return the folder of node's modules. Raises SetupProblem, as the others do."""

    def fetch() -> None:
        npm = _program("npm", "The peers ws and PeerJS need node and npm (apt install nodejs npm)")
        for name in ("package.json", _NPM_LOCK.name):
            shutil.copy(SCRIPTS / name, PLACE / name)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
        _run([npm, "ci", *quiet], PLACE)

    _once("node", "ws and PeerJS by npm", _NPM_LOCK.read_text(), fetch)
    return PLACE / "node_modules"


def debian() -> Path:
    """Return the folder under which Debian's packages lie as they would under `/`."""
    root, archives = PLACE / "debian", PLACE / "archives"
    wanted = [f"{name}={version}" for name, version in DEBIAN.items()]

    def fetch() -> None:
        why = "The peers ejabberd and prosody come from Debian's packages (dpkg, apt-get)"
        apt, dpkg = _program("apt-get", why), _program("dpkg", why)
        for folder in (root, archives):
            shutil.rmtree(folder, ignore_errors=True)
        (archives / "partial").mkdir(parents=True)
        nothing = PLACE / "nothing-is-installed"  # so that all they need comes along
        nothing.touch()
        options = {
            "Debug::NoLocking": "1",
            "Dir::Cache::archives": str(archives),
            "Dir::State::status": str(nothing),
        }
        given = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        how = ["install", "--download-only", "--no-install-recommends", "-qq", "--yes"]
        _run([apt, *given, *how, *wanted], PLACE)
        for package in sorted(archives.glob("*.deb")):
            _run([dpkg, "--extract", str(package), str(root)], PLACE)
        shutil.rmtree(archives)

    _once("debian", "ejabberd and prosody from Debian 12, about 45 MB", repr(wanted), fetch)
    return root


def synapse() -> Path:
    """Return the Python of Synapse's environment."""
    folder = PLACE / "synapse"

    def fetch() -> None:
        uv = str(Path(sys.executable).with_name("uv"))
        _run([uv, "venv", "--quiet", "--clear", "-p", sys.executable, str(folder)], PLACE)
        into = ["pip", "install", "--quiet", "-p", str(folder), "--require-hashes"]
        _run([uv, *into, "-r", str(_SYNAPSE_LOCK)], PLACE)

    _once("synapse", "Synapse from PyPI, about 60 MB", _SYNAPSE_LOCK.read_text(), fetch)
    return folder / "bin" / "python"


def versions() -> dict[str, str]:
    """Return the version of each peer."""
    modules: dict[str, str] = json.loads((SCRIPTS / "package.json").read_text())["dependencies"]
    line = next(line for line in _SYNAPSE_LOCK.read_text().splitlines() if "-synapse==" in line)
    return modules | DEBIAN | {"synapse": line.split("==")[1].split()[0]}


def _once(name: str, what: str, wanted: str, fetch: Callable[[], None]) -> None:
    """Call `fetch` unless exactly `wanted` was fetched to its end before."""
    done = PLACE / f"{name}.done"
    if done.is_file() and done.read_text() == wanted:
        return
    PLACE.mkdir(parents=True, exist_ok=True)
    done.unlink(missing_ok=True)
    sys.stderr.write(f"fetching {what} into {PLACE}\n")
    fetch()
    done.write_text(wanted)


def _program(name: str, why: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SetupProblem(f"{why}; there is no {name} here.")
    return found


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise SetupProblem(f"{Path(command[0]).name} could not fetch a peer:\n{said}")


PEERS: dict[str, Callable[[], Path]] = {"node": node, "debian": debian, "synapse": synapse}


def main() -> int:
    asked = sys.argv[1:] or [*PEERS]
    if unknown := {*asked} - {*PEERS}:
        sys.stderr.write(f"no such peers: {', '.join(sorted(unknown))}; {', '.join(PEERS)}\n")
        return 2
    try:
        for name in asked:
            sys.stdout.write(f"{name}: {PEERS[name]()}\n")
    except SetupProblem as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
