"""Measures the figures of docs/performance.md, on services of its own.

    make bench-evidence [part="fields log"] [args="--strict --scale 0.05"]

Prints each figure when it is there: median, spread, limit, verdict. Keeps them all in
`.parley/bench/evidence.json`. With `--strict` it exits with 1 when a limit was missed. With
`--scale` it works on that part of the rows: quick, and good for no verdict.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmarks.figures import HEADING, Figure, line

PARTS = ("fields", "writers", "log", "search", "export")
KEPT = Path(__file__).resolve().parent.parent / ".parley" / "bench" / "evidence.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-evidence", description=__doc__)
    parser.add_argument("part", nargs="*", default=PARTS, help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--strict", action="store_true", help="fail when a limit was missed")
    parser.add_argument("--scale", type=float, default=1.0, help="1: as many rows as promised")
    options = parser.parse_args()
    if unknown := {*options.part} - {*PARTS}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")

    _start_services()
    print(HEADING, flush=True)
    began, figures = time.monotonic(), []
    for part in options.part:
        measure: Callable[[float], Iterator[Figure]] = import_module(f"benchmarks.{part}").measure
        for figure in measure(options.scale):
            print(line(figure), flush=True)
            figures.append(figure)
    _keep(figures, options.scale, time.monotonic() - began)
    missed = [figure for figure in figures if figure.met is False]
    print(f"{len(missed)} limits missed; kept in {os.path.relpath(KEPT)}")
    return 1 if missed and options.strict else 0


def _start_services() -> None:
    """PostgreSQL and Redis as the tests have them: each part then makes a database of its own."""
    from tests import stack  # noqa: PLC0415  # nothing starts for a wrong argument

    stack._start()
    os.environ["DJANGO_SETTINGS_MODULE"] = "app.settings.test"
    import django  # noqa: PLC0415  # its settings need the services' addresses

    django.setup()


def _keep(figures: list[Figure], scale: float, seconds: float) -> None:
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds),
        "scale": scale,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "figures": [figure.document() for figure in figures],
    }
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
