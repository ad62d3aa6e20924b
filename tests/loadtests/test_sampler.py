"""What a sampler says of a real process."""

import subprocess
import sys

import psutil

from loadtests.sampler import _process, _Scales

MIB = 1 << 20
_TAKES_WHEN_TOLD = """
import sys
sys.stdout.write("there\\n"); sys.stdout.flush(); sys.stdin.readline()
taken = bytearray(b"x") * (30 << 20)
sys.stdout.write("taken\\n"); sys.stdout.flush(); sys.stdin.readline()
"""


def test_memory_that_a_process_takes_is_seen_and_is_in_no_file() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _TAKES_WHEN_TOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin
        assert child.stdout
        assert child.stdout.readline() == "there\n"
        before = _process("child", "web", child.pid, _Scales())
        child.stdin.write("go on\n")
        child.stdin.flush()
        assert child.stdout.readline() == "taken\n"
        after = _process("child", "web", child.pid, _Scales())
        resident = psutil.Process(child.pid).memory_info().rss
        child.stdin.close()
    assert before
    assert after
    for one in (before, after):
        assert one.unfiled_bytes is not None
        assert 2 * MIB < one.unfiled_bytes < one.memory_bytes <= resident
    assert 29 * MIB < after.unfiled_bytes - before.unfiled_bytes < 35 * MIB  # type: ignore[operator]
    assert 29 * MIB < after.memory_bytes - before.memory_bytes < 35 * MIB


def test_a_process_that_is_gone_has_no_sample() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    assert _process("child", "web", child.pid, _Scales()) is None
