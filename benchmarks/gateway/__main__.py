"""Measures the gateway and its peers, on services and processes of its own.

    make bench-gateway [part="relay fanout"] [args="--strict --quick"]

Servers have one core alone, everything else the other. Rates are for a processor second of the
server. With --quick it takes a fifth of the rounds: good for no verdict. Kept in
`.parley/bench/gateway.json`.
"""

import os
import sys
from collections.abc import Sequence

from benchmarks.gateway.machine import Watch, cores
from benchmarks.peers.install import versions
from benchmarks.run import run

PARTS = ("relay", "fanout", "sends", "rest", "memory", "joining", "resuming", "storm")


def main() -> int:
    return run_on_two_cores("make bench-gateway", "gateway", PARTS, __doc__)


def run_on_two_cores(command: str, kept: str, parts: Sequence[str], about: str) -> int:
    """Measure parts of this package: see `run`."""
    watch = Watch()
    # Before anything starts: PostgreSQL and Redis share the generator's core.
    os.sched_setaffinity(0, {cores()[1]})

    def conditions() -> dict[str, object]:
        return watch.conditions() | versions()

    package = "benchmarks.gateway"
    return run(command, kept, package=package, parts=parts, about=about, conditions=conditions)


if __name__ == "__main__":
    sys.exit(main())
