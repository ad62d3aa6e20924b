"""Measures Parley and its peers side by side: Synapse, ejabberd, prosody, PeerJS, bare `ws`.

    make bench [part="synapse relay"] [args="--strict --quick"]

What is not here yet is fetched into `.parley/peers`. Servers take turns on one core alone,
everything else has the other; rates are for a processor second of the server, and a ratio is of
turns that followed each other. With --quick it takes a fifth of the rounds: good for no verdict.
Kept in `.parley/bench/peers.json`.
"""

import sys

from benchmarks.gateway.__main__ import run_on_two_cores

PARTS = ("synapse", "relay", "fanout", "rest")


def main() -> int:
    return run_on_two_cores("make bench", "peers", PARTS, __doc__)


if __name__ == "__main__":
    sys.exit(main())
