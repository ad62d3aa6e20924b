"""Production serves static files under names of their content."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.settings.production import production_environment

PROJECT = Path(__file__).resolve().parents[2]
_COLLECT = """
import sys
from django.conf import settings
import app.settings.prod as prod
prod.STATIC_ROOT = sys.argv.pop(1)
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "collectstatic", "--no-input", "--verbosity", "0"])
"""


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("static")
    subprocess.run(
        [sys.executable, "-c", _COLLECT, str(target)],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"]} | production_environment(),
        check=True,
        capture_output=True,
    )
    return target


def test_every_import_of_a_hashed_module_names_a_hashed_module(collected: Path) -> None:
    hashed = [
        path for path in collected.rglob("*.js") if re.search(r"\.[0-9a-f]{12}\.js$", path.name)
    ]
    imports = [
        (path, specifier)
        for path in hashed
        for specifier in re.findall(
            r"""^\s*(?:import|export)\b[^;'"]*["'](\.[^"']+)["']""", path.read_text(), re.M
        )
    ]
    assert len(imports) > 20
    wrong = [
        f"{path.relative_to(collected)}: {specifier}"
        for path, specifier in imports
        if not re.search(r"\.[0-9a-f]{12}\.js$", specifier)
        or not (path.parent / specifier).is_file()
    ]
    assert wrong == []


def test_files_are_there_compressed(collected: Path) -> None:
    scripts = [p for p in collected.rglob("*.js") if p.stat().st_size > 4096]
    assert scripts
    assert [p.name for p in scripts if not p.with_name(p.name + ".br").is_file()] == []
