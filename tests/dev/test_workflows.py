"""The files of hosted CI, against their published schemas, which come with check-jsonschema."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.conf import settings

PROJECT = Path(settings.BASE_DIR)
FILES = {
    "vendor.github-workflows": PROJECT / ".github/workflows/ci.yml",
    "vendor.dependabot": PROJECT / ".github/dependabot.yml",
    "vendor.compose-spec": PROJECT / "docker-compose.yml",
}


def check(schema: str, path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, path],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("schema", FILES)
def test_it_is_what_it_should_be_and_a_mistake_in_it_is_found(schema: str, tmp_path: Path) -> None:
    done = check(schema, FILES[schema])
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / FILES[schema].name
    told = yaml.safe_load(FILES[schema].read_text())
    told["a-key-that-nobody-knows"] = {"runs-on": 3}
    wrong.write_text(yaml.safe_dump(told))
    assert check(schema, wrong).returncode == 1


def test_hosted_ci_runs_the_same_gate_on_every_python_we_say_we_run_on() -> None:
    gate = yaml.safe_load(FILES["vendor.github-workflows"].read_text())["jobs"]["gate"]
    assert gate["steps"][-1] == {"run": ".ci/run"}
    assert gate["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
