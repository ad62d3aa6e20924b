"""Children are kept running, given up loudly, stopped in order, and found after a crash."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dev import supervisor as module
from dev.leftovers import Roll, started_at
from dev.supervisor import Child, Supervisor, Terminal


@pytest.fixture
def roll(tmp_path: Path) -> Roll:
    return Roll(tmp_path / "processes")


@pytest.fixture
def supervisor(roll: Roll, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    return Supervisor(Terminal(), roll)


def _python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_a_child_that_keeps_ending_is_restarted_and_then_given_up(
    supervisor: Supervisor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starts = tmp_path / "starts"
    program = f"open({str(starts)!r}, 'a').write('x'); raise SystemExit(3)"
    supervisor.start(Child("doomed", _python(program)))
    assert supervisor.watch() == "doomed"
    assert starts.read_text() == "xxxx"
    assert "doomed ended (exit code 3): starting it again" in capsys.readouterr().out


def test_children_are_stopped_in_the_reverse_order_of_their_start(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    ended = tmp_path / "ended"
    for name in ("first", "second", "third"):
        program = (
            "import signal, sys, time\n"
            "def end(*_):\n"
            f"    open({str(ended)!r}, 'a').write('{name} ')\n"
            "    sys.exit()\n"
            "signal.signal(signal.SIGTERM, end)\n"
            f"open({str(tmp_path / name)!r}, 'w')\n"
            "time.sleep(60)\n"
        )
        supervisor.start(Child(name, _python(program)))
        _wait_for(tmp_path / name)
    supervisor.stop()
    assert ended.read_text().split() == ["third", "second", "first"]


def test_a_child_that_does_not_end_is_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    program = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(tmp_path / 'up')!r}, 'w')\n"
        "time.sleep(60)\n"
    )
    child = Child("stubborn", _python(program), grace=0.2)
    supervisor.start(child)
    _wait_for(tmp_path / "up")
    supervisor.stop()
    assert not child.is_running


def test_what_a_killed_supervisor_left_behind_is_found_and_ended(roll: Roll) -> None:
    left = subprocess.Popen(_python("import time; time.sleep(60)"))
    roll.add(left.pid, "worker")
    assert roll.end_leftovers() == ["worker"]
    assert left.wait(5) != 0
    assert roll.end_leftovers() == []


def test_a_process_that_got_the_id_of_a_dead_child_is_left_alone(
    roll: Roll, tmp_path: Path
) -> None:
    stranger = subprocess.Popen(_python("import time; time.sleep(60)"))
    try:
        earlier = int(started_at(stranger.pid)) - 1
        (tmp_path / "processes").write_text(f"{stranger.pid} {earlier} web\n")
        assert roll.end_leftovers() == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not come up"
        time.sleep(0.02)
