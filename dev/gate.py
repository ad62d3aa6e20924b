"""`make lint` and `make test`: the steps of the gate, at the same time where they can."""

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dev.errors import SetupProblem
from dev.state import PROJECT

BIN = Path(sys.executable).parent
_NODE = 20
_GO_MOD = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True)
class Step:
    """A program of the gate; it passes when it exits with 0."""

    name: str
    command: list[str]


@dataclass(frozen=True, slots=True)
class Result:
    step: Step
    code: int
    output: str
    seconds: float


def lint() -> int:
    """Run every check, two at a time, and show the output of those that fail."""
    began = time.monotonic()
    failed = []
    # The slowest first, so that the two columns end together.
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for result in pool.map(_run, _lint_steps()):
            verdict = "ok" if result.code == 0 else "FAILED"
            print(f"{verdict:<7}{result.step.name:<24}{result.seconds:5.1f} s", flush=True)
            if result.code:
                failed.append(result)
    for result in failed:
        print(f"\n--- {result.step.name}: {' '.join(result.step.command)}\n{result.output}")
    print(f"lint: {len(failed)} failed, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def test(arguments: list[str]) -> int:
    """The client's own tests, then pytest with a worker a core."""
    code = 0
    if npm := _npm_step("test"):
        result = _run(npm)
        code = result.code
        print(f"{'ok' if code == 0 else 'FAILED'}: {npm.name}, {result.seconds:.0f} s")
        if code:
            print(result.output)
    sys.stdout.flush()
    command = [sys.executable, "-m", "pytest", *_selection()]
    if not arguments:
        command += ["-n", str(min(os.cpu_count() or 2, 4)), "--dist", "loadgroup"]
    return subprocess.call([*command, *arguments], cwd=PROJECT) or code


def _lint_steps() -> list[Step]:
    python = sys.executable
    environment = ["env", "DJANGO_SETTINGS_MODULE=app.settings.test"]
    steps = [
        Step("types", [str(BIN / "mypy")]),
        Step("missing migrations", [*environment, python, "manage.py", "makemigrations",
                                    "--check", "--dry-run"]),
        Step("borne migrations", [python, "-m", "dev.migrations"]),
        Step("import contracts", [str(BIN / "lint-imports"), "--no-logo"]),
        Step("protocol schema", [*environment, python, "-m", "app.realtime.schema", "--check"]),
        Step("catalogue of actions", [*environment, python, "-m", "app.audit.catalogue",
                                      "--check"]),
        Step("lint", [str(BIN / "ruff"), "check", "."]),
        Step("format", [str(BIN / "ruff"), "format", "--check", "."]),
    ]  # fmt: skip
    if npm := _npm_step("types"):
        steps.insert(1, npm)
    return steps


def _npm_step(script: str) -> Step | None:
    """A script of package.json. Without node: None, and a line that says how to get it."""
    if not shutil.which("npm") or _node_version() < _NODE:
        _must_not_be_missing(
            f"node {_NODE} or later, with npm", "see https://nodejs.org", f"npm run {script}"
        )
        return None
    if not _packages_are_current():
        install = ["npm", "ci", "--no-audit", "--no-fund", "--silent"]
        if subprocess.call(install, cwd=PROJECT):
            raise SetupProblem("`npm ci` failed: it needs its registry once, for the tools.")
    return Step(f"npm run {script}", ["npm", "run", "--silent", script])


def _node_version() -> int:
    """The major version; 0 where there is none."""
    try:
        said = subprocess.check_output(["node", "--version"], text=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(said.removeprefix("v").split(".")[0])


def _packages_are_current() -> bool:
    """Whether node_modules was installed after package-lock.json last changed."""
    installed = PROJECT / "node_modules" / ".package-lock.json"
    wanted = PROJECT / "package-lock.json"
    return installed.exists() and installed.stat().st_mtime >= wanted.stat().st_mtime


def _selection() -> list[str]:
    """Which tests are left out, because what they need is not on this machine."""
    left_out = []
    if not any(map(shutil.which, _BROWSERS)):
        _must_not_be_missing("Chromium", "apt-get install chromium", "the browser tests")
        left_out.append("not browser")
    if not (shutil.which("go") and _GO_MOD.is_dir()):
        packages = "apt-get install golang-go golang-golang-x-mod-dev"
        _must_not_be_missing("Go with golang.org/x/mod", packages, "what Go's verifier says")
        left_out.append("not go")
    return ["-m", " and ".join(left_out)] if left_out else []


def _must_not_be_missing(what: str, remedy: str, left_out: str) -> None:
    if os.environ.get("CI"):
        sys.exit(f"{what} is missing ({remedy}), and in CI nothing is left out.")
    print(f"Left out: {left_out}, because {what} is not here. To have it: {remedy}", flush=True)


def _run(step: Step) -> Result:
    began = time.monotonic()
    done = subprocess.run(
        step.command,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Result(step, done.returncode, done.stdout, time.monotonic() - began)
