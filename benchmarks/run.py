"""Runs the parts of a benchmark on services of its own, prints the table, keeps the figures."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmarks.figures import HEADING, Figure, Incorrect, line
from dev.errors import SetupProblem

_FOLDER = Path(__file__).resolve().parent.parent / ".parley" / "bench"
_QUICK = 0.2

Conditions = Callable[[], dict[str, object]]


def run(
    command: str,
    kept: str,
    *,
    package: str,
    parts: Sequence[str],
    about: str,
    conditions: Conditions,
) -> int:
    """Measure what the command line asks for; return the exit code.

    0: all is there; 1, with --strict alone: a limit was missed or a figure is void; 2: something
    was incorrect; 3: a part could not be measured, since a peer is not to be had.

    `command` is how it was called; figures are kept as `kept`. Each part is a module of
    `package` with `measure(scale)`. `conditions`, asked at the end, tells of machine and
    programs; what it says is printed under the table and kept with it.
    """
    parser = argparse.ArgumentParser(prog=command, description=about)
    parser.add_argument("part", nargs="*", default=parts, help=f"some of: {', '.join(parts)}")
    parser.add_argument("--strict", action="store_true", help="fail when a limit was missed")
    parser.add_argument("--scale", type=float, default=1.0, help="1: as much as promised")
    parser.add_argument(
        "--quick", action="store_const", dest="scale", const=_QUICK, help=f"--scale {_QUICK}"
    )
    options = parser.parse_args()
    if unknown := {*options.part} - {*parts}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")

    _start_services()
    print(HEADING, flush=True)
    began, figures, incorrect, impossible = time.monotonic(), [], [], []
    for part in options.part:
        measure: Callable[[float], Iterator[Figure]] = import_module(f"{package}.{part}").measure
        sys.stderr.write(f"{part}: after {time.monotonic() - began:.0f} s\n")
        try:
            for figure in measure(options.scale):
                print(line(figure), flush=True)
                figures.append(figure)
        except (Incorrect, TimeoutError) as error:
            incorrect.append(f"{part}: {type(error).__name__} {error}")
            print(f"INCORRECT {incorrect[-1]}", flush=True)
        except SetupProblem as problem:
            impossible.append(f"{part}: {problem}")
            print(f"NOT MEASURED {impossible[-1]}", flush=True)
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began),
        "scale": options.scale,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "incorrect": incorrect,
        "not measured": impossible,
        **conditions(),
    }
    print("\n".join(f"{key}: {value}" for key, value in document.items()))
    place = _keep(kept, document | {"figures": [figure.document() for figure in figures]})
    missed = [figure for figure in figures if figure.met is False]
    void = [figure for figure in figures if figure.void]
    print(f"{len(missed)} limits missed, {len(void)} void; kept in {place}")
    if incorrect or impossible:
        return 2 if incorrect else 3
    return 1 if (missed or void) and options.strict else 0


def _start_services() -> None:
    """PostgreSQL and Redis as the tests have them: each part then makes a database of its own."""
    from tests import stack  # noqa: PLC0415  # nothing starts for a wrong argument

    stack._start()
    os.environ["DJANGO_SETTINGS_MODULE"] = "app.settings.test"
    import django  # noqa: PLC0415  # its settings need the services' addresses

    django.setup()


def _keep(name: str, document: dict[str, object]) -> str:
    _FOLDER.mkdir(parents=True, exist_ok=True)
    place = _FOLDER / f"{name}.json"
    place.write_text(json.dumps(document, indent=1) + "\n")
    return os.path.relpath(place)
