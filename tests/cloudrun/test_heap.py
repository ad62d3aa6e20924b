"""What a process that `app.start` becomes keeps of memory that its threads have given back."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from app.start import HEAP
from dev.processes import PROJECT

PROGRAM = """
import ctypes, json, os, pathlib, threading
both = threading.Barrier(8)
def work():
    held = [bytes(2000) for _ in range(100)]
    both.wait()
for thread in (threads := [threading.Thread(target=work) for _ in range(8)]):
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
told = ctypes.c_void_p(libc.fopen(b"told.xml", b"w"))
libc.malloc_info(0, told)
libc.fclose(told)
heaps = pathlib.Path("told.xml").read_text().count("<heap nr")
print(json.dumps([heaps, dict(os.environ)]))
"""


def become(folder: Path, environment: dict[str, str]) -> tuple[int, dict[str, str]]:
    """How many heaps eight threads have there, and the environment that they see."""
    (folder / "manage.py").write_text(PROGRAM)
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)} | environment
    done = subprocess.run(
        [sys.executable, "-m", "app.start", "manage", "check"],
        cwd=folder,
        env=given,
        capture_output=True,
        check=True,
    )
    heaps, seen = json.loads(done.stdout)
    return heaps, seen


def test_threads_share_two_heaps(tmp_path: Path) -> None:
    heaps, seen = become(tmp_path, {})
    assert heaps <= 2
    assert seen.items() >= HEAP.items()


def test_glibc_knows_what_it_is_told() -> None:
    """It says nothing of a name that it does not know."""
    mapped = Path("/proc/self/maps").read_text().split()
    loader = next(path for path in mapped if path.startswith("/") and "/ld-linux" in path)
    done = subprocess.run([loader, "--list-tunables"], env=HEAP, capture_output=True, check=True)
    told = dict(re.findall(r"^(\S+): (\w+)", done.stdout.decode(), re.MULTILINE))
    for wanted in HEAP["GLIBC_TUNABLES"].split(":"):
        name, _, value = wanted.partition("=")
        assert int(told[name], 0) == int(value)


def test_an_operator_may_say_otherwise(tmp_path: Path) -> None:
    heaps, _ = become(tmp_path, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=8"})
    assert heaps > 2  # so it is ours that holds them together
