"""What docs/operations.md says is shown by a test is shown by one that is there."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
_NAMED = re.compile(r"`(?:([a-z_/]+\.py))?::(test_\w+)`")


def missing(text: str) -> list[str]:
    """The tests that it names and that are not in the file that it names, or named last."""
    found, source = [], ""
    for file, name in _NAMED.findall(text):
        path = PROJECT / "tests" / (source := file or source)
        if not path.is_file() or f"\ndef {name}(" not in path.read_text():
            found.append(f"{source}::{name}")
    return found


def test_every_test_that_operations_name_is_there() -> None:
    text = (PROJECT / "docs/operations.md").read_text()
    assert len(_NAMED.findall(text)) >= 10
    assert missing(text) == []


def test_a_name_that_is_nowhere_is_found() -> None:
    here = "dev/test_operations.py"
    wrong = f"`{here}::test_a_name_that_is_nowhere_is_found`, `::test_none`, `dev/none.py::test_x`"
    assert missing(wrong) == [f"{here}::test_none", "dev/none.py::test_x"]
