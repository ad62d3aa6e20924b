"""Makes the virtual environment from the locked requirements; does nothing when it is up to date.

Run by whatever Python 3 the machine has, so: the standard library only, and syntax that an
old one still reads, to be able to say what is wrong.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

MINIMUM = (3, 11)
PROJECT = Path(__file__).resolve().parent.parent
STATE = PROJECT / ".parley"
VENV = STATE / "venv"
PYTHON = str(VENV / "bin" / "python")
LOCK = PROJECT / "requirements-dev-lock.txt"
STAMP = VENV / "installed"


def main() -> None:
    if sys.version_info < MINIMUM:
        have = ".".join(map(str, sys.version_info[:2]))
        sys.exit(
            f"Parley needs Python 3.11 or newer; {sys.executable} is {have}."
            " Name another one: make PYTHON=python3.12 run"
        )
    try:
        STATE.mkdir(exist_ok=True)
        with (STATE / "bootstrap.lock").open("w") as lock:
            # Two `make` at once must not install over each other.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not STAMP.exists() or STAMP.read_text() != wanted():
                install()
    except OSError as problem:
        sys.exit(f"Parley cannot make its environment in {VENV}: {problem}")
    except subprocess.CalledProcessError as problem:
        command = " ".join(problem.cmd[:6])
        sys.exit(f"Parley cannot make its environment: `{command} …` failed, see above.")
    except KeyboardInterrupt:
        sys.exit("Interrupted: the next `make` begins the environment anew.")


def wanted() -> str:
    """What the stamp of a complete environment says."""
    locked = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    version = ".".join(map(str, sys.version_info[:2]))
    return f"{locked} {version} {os.path.realpath(sys.executable)} {PROJECT}\n"


def install() -> None:
    print(f"Making the environment in {VENV} (once, about a minute) …", flush=True)
    if VENV.exists():
        shutil.rmtree(str(VENV))
    pip = [*make_venv(), "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    # The lock names all that is needed, so pip need not look for it; and pip compiles on one core.
    quick = ["--no-deps", "--no-compile"]
    subprocess.check_call([*pip, *quick, "--require-hashes", "-r", str(LOCK)])
    # What cannot be compiled is no module (some packages have templates of such).
    folder = packages()
    succeeds([PYTHON, "-m", "compileall", "-q", "-j", "0", str(folder)])
    (folder / "parley.pth").write_text(f"{PROJECT}\n")  # wherever a program is started
    STAMP.write_text(wanted())


def make_venv() -> "list[str]":
    """Return the command of a pip that installs into it. Debian may have no ensurepip."""
    if succeeds([sys.executable, "-m", "venv", str(VENV)]):
        return [PYTHON, "-m", "pip"]
    shutil.rmtree(str(VENV), ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--python", PYTHON]
    if succeeds([sys.executable, "-m", "venv", "--without-pip", str(VENV)]) and succeeds(
        [*pip, "--version"]
    ):
        return pip
    sys.exit("This Python has neither `ensurepip` nor `pip`: install the package python3-venv.")


def packages() -> Path:
    """Where the environment's packages are."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.check_output([PYTHON, "-c", code]).decode().strip())


def succeeds(command: "list[str]") -> bool:
    done = subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done == 0


if __name__ == "__main__":
    main()
