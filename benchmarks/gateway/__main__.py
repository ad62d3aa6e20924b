"""Measures the gateway beside bare `ws` and PeerJS, on services and processes of its own.

    make bench-gateway [part="relay fanout"] [args="--strict --quick"]

Servers have one core alone, everything else the other. Rates are for a processor second of the
server. With --quick it takes a fifth of the rounds: good for no verdict. Kept in
`.parley/bench/gateway.json`.
"""

import os
import sys

from benchmarks.gateway.machine import Watch, cores
from benchmarks.peers.install import versions
from benchmarks.run import run

PARTS = ("relay", "fanout", "sends", "rest", "synapse", "memory", "joining", "resuming", "storm")


def main() -> int:
    watch = Watch()
    # Before anything starts: PostgreSQL and Redis share the generator's core.
    os.sched_setaffinity(0, {cores()[1]})

    def conditions() -> dict[str, object]:
        return watch.conditions() | versions()

    return run("gateway", "benchmarks.gateway", PARTS, __doc__, conditions)


if __name__ == "__main__":
    sys.exit(main())
