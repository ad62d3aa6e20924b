"""Secrets are made once, for their maker's eyes; one supervisor at a time."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dev.errors import SetupProblem
from dev.state import PROJECT, State, read_env, write_env


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_stay_the_same_from_run_to_run(tmp_path: Path) -> None:
    state = State(tmp_path)
    first = state.secrets()
    write_env(state.file("env"), first)
    assert State(tmp_path).secrets() == first
    assert len(set(first.values())) == len(first)
    key = state.key_file("a.key").read_text()
    assert State(tmp_path).key_file("a.key").read_text() == key


def test_secrets_are_readable_by_their_maker_alone(tmp_path: Path) -> None:
    state = State(tmp_path)
    write_env(state.file("env"), state.secrets())
    assert _mode(state.file("env")) == 0o600
    assert _mode(state.key_file("a.key")) == 0o600


def test_a_file_of_settings_is_read_as_it_was_written(tmp_path: Path) -> None:
    values = {"A": "1", "URL": "redis://x/0?a=b", "EMPTY": ""}
    write_env(tmp_path / "env", values)
    assert read_env(tmp_path / "env") == values
    assert read_env(tmp_path / "none") == {}


def test_a_second_supervisor_is_told_who_runs(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.open()
    state.announce("process 7, http://localhost:8000")
    program = (
        "import pathlib, sys; from dev.state import State; State(pathlib.Path(sys.argv[1])).open()"
    )
    second = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode != 0
    assert "running from this folder already (process 7, http://localhost:8000)" in second.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_state_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(SetupProblem, match="belongs to nobody"):
        State(tmp_path).open()
