"""Makes the virtual environment from the locked requirements; does nothing when it is up to date.

Run by whatever Python the machine has, so: standard library only, and syntax that an old
one still reads, to be able to say what is wrong.
"""

import hashlib
import os
import shutil
import subprocess
import sys

MINIMUM = (3, 11)
PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STATE = os.path.join(PROJECT, ".parley")
VENV = os.path.join(STATE, "venv")
LOCK = os.path.join(PROJECT, "requirements-dev-lock.txt")
STAMP = os.path.join(VENV, "installed")


def main():
    if sys.version_info < MINIMUM:
        sys.exit(
            "Parley needs Python 3.11 or newer; %s is %d.%d. Name another one: make PYTHON=python3.12"
            % (sys.executable, sys.version_info[0], sys.version_info[1])
        )
    try:
        os.makedirs(STATE, exist_ok=True)
        lock_out_others()
        if read(STAMP) != wanted():
            install()
    except OSError as problem:
        sys.exit("Parley cannot make its environment in %s: %s" % (VENV, problem))
    except subprocess.CalledProcessError as problem:
        sys.exit("Parley cannot make its environment: `%s` failed." % " ".join(problem.cmd[:6]))


def wanted():
    """What the stamp of a complete environment says."""
    with open(LOCK, "rb") as lock:
        digest = hashlib.sha256(lock.read()).hexdigest()
    return "%s %s %s %s" % (digest, sys.version_info[:2], os.path.realpath(sys.executable), PROJECT)


def install():
    print("Making the environment in %s (once, about a minute) …" % os.path.relpath(VENV))
    sys.stdout.flush()
    if os.path.exists(VENV):
        shutil.rmtree(VENV)
    pip = make_venv() + ["--disable-pip-version-check", "--no-input"]
    subprocess.check_call(pip + ["install", "--quiet", "--require-hashes", "-r", LOCK])
    make_importable()
    with open(STAMP, "w") as stamp:
        stamp.write(wanted())


def make_venv():
    """Return the command of a pip that installs into it. Debian may have no ensurepip."""
    made = subprocess.call(
        [sys.executable, "-m", "venv", VENV], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if made == 0:
        return [venv_python(), "-m", "pip"]
    shutil.rmtree(VENV, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--python", venv_python()]
    bare = subprocess.call([sys.executable, "-m", "venv", "--without-pip", VENV])
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if bare != 0 or subprocess.call(pip + ["--version"], **quiet) != 0:
        sys.exit("This Python has neither `ensurepip` nor `pip`: install the package python3-venv.")
    return pip


def make_importable():
    """Let programs of the environment import the project, wherever they are started."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.check_output([venv_python(), "-c", code]).decode().strip()
    with open(os.path.join(packages, "parley.pth"), "w") as paths:
        paths.write(PROJECT + "\n")


def venv_python():
    return os.path.join(VENV, "bin", "python")


def lock_out_others():
    """Two `make` at once must not install over each other. Held until this program ends."""
    import fcntl  # here: the message about the version must come first everywhere

    handle = os.open(os.path.join(STATE, "bootstrap.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)


def read(path):
    if not os.path.exists(path):
        return ""
    with open(path) as handle:
        return handle.read()


if __name__ == "__main__":
    main()
