"""From the report of a run to what so many members need on Cloud Run, and what a month costs.

    python -m loadtests.capacity <run> --members 5000 [--assume sends_per_hour=12] …

The model is `loadtests.plan`; what no run measures is assumed, in `capacity.toml`, and printed.
Prints a table, and writes capacity.html and capacity.json into the run's folder. Exits 5 with
words when it cannot tell.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from loadtests.assumptions import FILE, BadCapacity, load
from loadtests.capacity_page import page, table
from loadtests.comparison import Unlike
from loadtests.judge import Outcome
from loadtests.objectives import FILE as OBJECTIVES
from loadtests.objectives import BadObjectives
from loadtests.plan import measured, plan
from loadtests.record import Unreadable
from loadtests.report import NOTHING_TO_REPORT, make


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        assumptions = load(given.assumptions, given.assume)
        report = make(given.run, objectives=given.objectives)
        if report.verdict.code in {Outcome.INCORRECT, Outcome.VOID} and not given.knee:
            raise BadCapacity(f"{report.verdict.title}: nothing is built on this run.")
        found = measured(report.summary.at_knee, assumptions.deployment, given.knee)
        made = plan(given.members, found, assumptions)
        print(table(made, found, assumptions, report.summary))
        html = given.run / "capacity.html"
        html.write_text(page(made, found, assumptions, report.summary), encoding="utf-8")
        text = msgspec.json.format(msgspec.json.encode(made), indent=1)
        (given.run / "capacity.json").write_bytes(text + b"\n")
        print(f"Page: {html}")
    except (BadCapacity, Unreadable, BadObjectives, Unlike, OSError) as problem:
        print(f"No capacity: {problem}", file=sys.stderr)
        return NOTHING_TO_REPORT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.capacity")
    parser.add_argument("run", type=Path)
    parser.add_argument("--members", type=int, required=True)
    parser.add_argument("--knee", type=_positive, help="deliveries a second of one instance")
    parser.add_argument("--assume", action="append", default=[], metavar="NAME=NUMBER")
    parser.add_argument("--assumptions", type=Path, default=FILE)
    parser.add_argument("--objectives", type=Path, default=OBJECTIVES)
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e9:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
