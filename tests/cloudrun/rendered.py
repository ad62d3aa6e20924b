"""The templates of `cloudrun/`, filled in by `deploy.sh` itself."""

import os
import re
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from django.conf import settings

CLOUDRUN = Path(settings.BASE_DIR) / "cloudrun"
EXAMPLE = CLOUDRUN / "config.env.example"


def deploy(
    *arguments: str, config: Path = EXAMPLE, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `deploy.sh` with nothing of this machine's environment but where programs are."""
    given = {"PATH": os.environ["PATH"], "RELEASE": "r1", "PAUSE": "0"}
    return subprocess.run(
        [CLOUDRUN / "deploy.sh", "--config", config, *arguments],
        env=given | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@lru_cache(maxsize=1)
def rendered() -> dict[str, dict[str, Any]]:
    """Each whole template by its name, as what it says."""
    with TemporaryDirectory() as folder:
        done = deploy("render", folder)
        assert done.returncode == 0, done.stderr
        return {path.stem: yaml.safe_load(path.read_text()) for path in Path(folder).iterdir()}


def container(of: dict[str, Any]) -> dict[str, Any]:
    """The container of ours of a service, a pool or a job."""
    found: dict[str, Any] = revision(of)["containers"][0]
    assert found["image"].startswith("europe-west1-docker.pkg.dev/my-project/")
    return found


def revision(of: dict[str, Any]) -> dict[str, Any]:
    """What says how an instance runs."""
    spec: dict[str, Any] = of["spec"]["template"]["spec"]
    return spec if "containers" in spec else spec["template"]["spec"]


def secrets_of(of: dict[str, Any]) -> set[str]:
    """The names of the secrets that it is given, as variables or as files."""
    variables = container(of).get("env", [])
    refs = [one["valueFrom"]["secretKeyRef"]["name"] for one in variables if "valueFrom" in one]
    files = [
        one["secret"]["secretName"] for one in revision(of).get("volumes", []) if "secret" in one
    ]
    return {*refs, *files}


def readers() -> dict[str, set[str]]:
    """Who may read which secret, by deploy.sh."""
    table = re.search(r'^secrets="\n(.*?)^"', (CLOUDRUN / "deploy.sh").read_text(), re.M | re.S)
    assert table
    return {line.split()[0]: set(line.split()[1:]) for line in table[1].splitlines()}
