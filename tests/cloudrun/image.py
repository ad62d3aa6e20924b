"""The image without a Docker engine: its folder, made by the Dockerfile's own steps, and its
processes, started as Cloud Run starts them.

What is as there: the files that `.dockerignore` lets through, collected by the Dockerfile's own
RUN step and then writable by nobody; the entry point and the arguments of the template; exactly
the variables that the template declares, with `PORT`; not root. What is not: the packages are
those of the environment that runs the tests, the secrets are made here, and addresses of Google's
services are those of servers on this machine (`there`, which names each).
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from dev.ports import LOOPBACK, free_port
from dev.privileges import is_root
from tests.cloudrun.rendered import container, rendered
from tests.settings.production import production_environment

PROJECT = Path(settings.BASE_DIR)
USER = 10001
GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL on Cloud Run."""


def dockerfile() -> dict[str, list[str]]:
    """The instructions of each stage of the Dockerfile, by its name; the last is `""`."""
    text = re.sub(r"^\s*#.*\n", "", (PROJECT / "Dockerfile").read_text(), flags=re.M)
    stages: dict[str, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if found := re.match(r"FROM \S+(?: AS (\w+))?$", line):
            stages[found[1] or ""] = []
        elif stages and line.strip():
            stages[[*stages][-1]].append(" ".join(line.split()))
    return stages


def build(folder: Path) -> None:
    """Make the image's `/parley` in `folder`, by the stage `files`; nobody may write there."""
    for instruction in dockerfile()["files"]:
        word, _, rest = instruction.partition(" ")
        if word == "COPY" and not rest.startswith("--from"):
            source, target = rest.split()
            _copy(PROJECT / source, folder / target)
        elif word == "RUN":
            script = rest.replace("/venv/bin/python", sys.executable)
            environment = {"PATH": os.environ["PATH"]}
            subprocess.run(
                ["sh", "-euc", script], cwd=folder, env=environment, check=True, timeout=300
            )
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o555 | 0o444)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target if target.suffix else target / source.name)


class Instance:
    """One container of a template. `there`: where its services are on this machine."""

    def __init__(self, image: Path, name: str, there: Mapping[str, str], log: Path) -> None:
        self.name, self._image, self._log = name, image, log
        self.template = rendered()[name]
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._there = dict(there)
        self._process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """The variables that the template declares, and those of Cloud Run and the image."""
        made = production_environment()
        declared: dict[str, str] = {}
        for one in container(self.template)["env"]:
            name = one["name"]
            value = one["value"] if "value" in one else made.get(name, "0" * 40)
            declared[name] = self._there.get(name, value)
        image = {"DJANGO_SETTINGS_MODULE": "app.settings.prod", "PYTHONUNBUFFERED": "1"}
        kms = "KMS_INSECURE_LOOPBACK_ENDPOINT"
        # Not declared: a KMS on this machine is for tests alone.
        spoken_to = {kms: self._there[kms]} if "KMS_KEY" in declared and kms in self._there else {}
        return (
            declared | image | spoken_to | {"PORT": str(self.port), "PYTHONDONTWRITEBYTECODE": "1"}
        )

    def start(self) -> None:
        entry = [sys.executable, "-m", "app.start"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_nobody_in_particular(), *entry, *container(self.template)["args"]],
                cwd=self._image,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """As the template's startup probe waits: so often, and no longer."""
        probe = container(self.template)["startupProbe"]
        until = time.monotonic() + probe["periodSeconds"] * probe["failureThreshold"]
        while not self.answers(probe["httpGet"]["path"]):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < until, f"{self.name} was not ready in time: {self.said()}"
            time.sleep(0.1)

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for it while the process lives, or fail with what that said."""
        deadline = time.monotonic() + 60
        while not true():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(self.url + path, timeout=4) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process
        return self._process

    def terminate(self) -> None:
        """SIGTERM to the one process of the container, as Cloud Run does."""
        self.process.send_signal(signal.SIGTERM)

    def ends(self) -> int:
        """Its exit code, within the grace: after it Cloud Run would kill."""
        return self.process.wait(GRACE)

    def is_ended(self) -> int:
        """As Cloud Run ends it: SIGTERM, and SIGKILL after the grace. Returns its exit code."""
        self.terminate()
        try:
            return self.ends()
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode

    def kill(self) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def said(self) -> str:
        return self._log.read_text(errors="replace")


def _as_nobody_in_particular() -> list[str]:
    """The user of the image. It may read this machine's Python wherever that is."""
    if not is_root():
        return []
    reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *reads]
