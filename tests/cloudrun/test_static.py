"""The image serves static files under names of their content."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("image")


@pytest.fixture
def collected(image: Path) -> Path:
    return image / "static"  # as app.settings.prod has it


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
