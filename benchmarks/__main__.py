"""Measures the figures of docs/performance.md, on services of its own.

    make bench-evidence [part="fields log"] [args="--strict --scale 0.05"]

Prints each figure when it is there: median, spread, limit, verdict. Keeps them all in
`.parley/bench/evidence.json`. With `--strict` it exits with 1 when a limit was missed. With
`--scale` it works on that part of the rows: quick, and good for no verdict.
"""

import sys

from benchmarks.run import run

PARTS = ("fields", "writers", "log", "search", "export")


def main() -> int:
    return run(
        "make bench-evidence",
        "evidence",
        package="benchmarks",
        parts=PARTS,
        about=__doc__,
        conditions=dict,
    )


if __name__ == "__main__":
    sys.exit(main())
