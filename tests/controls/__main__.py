"""`python -m tests.controls` writes docs/controls.md; `--tests` prints the tests that it names."""

import sys
from pathlib import Path

from tests.controls.matrix import CONTROLS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "controls.md"
HEAD = """# Controls

What rules ask of a system like this, and the tests that show that Parley does it. The
requirements are in our own words and short: read the rule itself before you rely on them, and
ask a lawyer where it matters. Made by `python -m tests.controls` from `tests/controls/matrix.py`;
a test fails when one that is named here does not exist.

*Shown* means that each named test fails when the control does; *in part*, that something is
missing, which is said; *open*, that no test shows it. To run what is named here, and nothing else:

    .parley/venv/bin/python -m pytest $(.parley/venv/bin/python -m tests.controls --tests)

| control | requirement | status | shown by |
|---|---|---|---|
"""


def named() -> list[str]:
    """The node ids of all tests that show a control, each once."""
    return list(dict.fromkeys(test for control in CONTROLS for test in control.tests))


def page() -> str:
    """docs/controls.md as it should be."""
    lines = []
    for control in CONTROLS:
        status = f"{control.status}: {control.lacks}" if control.lacks else control.status
        tests = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in control.tests)
        lines.append(f"| {control.id} | {control.requirement} | {status} | {tests} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--tests" in sys.argv:
        print("\n".join(named()))
    else:
        PAGE.write_text(page())
