"""The matrix of controls names tests that exist, and its page is the one that it makes."""

import ast
from pathlib import Path

import pytest

from tests.controls.__main__ import PAGE, named, page
from tests.controls.matrix import CONTROLS, Control

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("node", named())
def test_a_test_that_shows_a_control_exists(node: str) -> None:
    path, _, name = node.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    found = {
        item.name for item in tree.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in found, f"{path} has no {name}"


def test_the_page_is_the_matrix() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.controls"


def test_each_control_is_there_once_and_says_what_it_asks() -> None:
    assert len({control.id for control in CONTROLS}) == len(CONTROLS)
    assert all(control.requirement for control in CONTROLS)


def test_a_control_without_a_test_is_open_and_never_shown() -> None:
    assert Control("X", "Something").status == "open"
    assert Control("X", "Something", (), "everything").status == "open"
    assert Control("X", "Something", ("tests/x.py::test_y",), "a bit").status == "in part"
    assert Control("X", "Something", ("tests/x.py::test_y",)).status == "shown"
