"""`python -m loadtests.report <run>`: writes report.html and report.json into a run's folder,
says the verdict, and exits with it (`loadtests.judge`); 5 when there is nothing to report on.

    --objectives FILE      other objectives than loadtests/objectives.toml
    --baseline RUN         a run's folder, a file of --keep, or a name in loadtests/baselines/
    --unlike-machines      compare with a baseline of another machine all the same
    --keep NAME            keep this run as loadtests/baselines/NAME.json
    --schema               print the JSON schema of report.json and do nothing else
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from loadtests.comparison import FOLDER, Comparison, Kept, Unlike, compare, keep, read_kept
from loadtests.figures import summarize
from loadtests.judge import Outcome, Verdict, judge
from loadtests.objectives import FILE, BadObjectives, load
from loadtests.page import page
from loadtests.record import Unreadable, read
from loadtests.summary import Summary

NOTHING_TO_REPORT = 5


class Report(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """report.json. `python -m loadtests.report --schema` prints its JSON schema."""

    verdict: Verdict
    comparison: Comparison | None
    summary: Summary


def make(
    folder: Path,
    *,
    objectives: Path = FILE,
    baseline: str = "",
    unlike_machines: bool = False,
) -> Report:
    """Return the report about a run. Raises Unreadable, BadObjectives, Unlike."""
    record = read(folder)
    demanded = load(record.run.profile, objectives)
    summary = summarize(record, demanded)
    comparison = None
    if baseline:
        comparison = compare(keep(summary), _baseline(baseline), unlike_machines=unlike_machines)
    return Report(verdict=judge(summary, demanded), comparison=comparison, summary=summary)


def write(folder: Path, report: Report) -> Path:
    """Write report.json and report.html; returns the path of the latter."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=1)
    (folder / "report.json").write_bytes(text + b"\n")
    html = folder / "report.html"
    html.write_text(page(report.summary, report.verdict, report.comparison), encoding="utf-8")
    return html


def _baseline(named: str) -> Kept:
    path = Path(named)
    if path.is_dir():
        return keep(summarize(read(path)))
    if path.exists() or path.suffix or "/" in named:
        return read_kept(path)
    kept = FOLDER / f"{named}.json"
    if not kept.exists():
        known = ", ".join(sorted(one.stem for one in FOLDER.glob("*.json"))) or "none yet"
        raise Unlike(f"There is no baseline {named!r}. There are: {known}.")
    return read_kept(kept)


def _keep(name: str, report: Report) -> None:
    if report.verdict.code not in {Outcome.PASSED, Outcome.MISSED}:
        raise Unlike(f"Not kept: {report.verdict.title[0].lower()}{report.verdict.title[1:]}.")
    if not name.replace("-", "").isalnum():
        raise Unlike(f"A baseline's name has letters, digits and hyphens, not {name!r}.")
    FOLDER.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(keep(report.summary)), indent=1)
    (FOLDER / f"{name}.json").write_bytes(text + b"\n")
    print(f"Kept as {FOLDER / name}.json.")


def _told(report: Report, html: Path) -> str:
    lines = [report.verdict.title, *(f"  {one}" for one in report.verdict.sentences)]
    if report.comparison:
        lines += ["Beside the baseline", *(f"  {one}" for one in report.comparison.sentences)]
    return "\n".join([*lines, f"Report: {html}"])


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    given = _parser().parse_args(arguments)
    if given.schema:
        print(json.dumps(msgspec.json.schema(Report), indent=2))
        return 0
    if given.run is None:
        _parser().error("name the folder of a run, below .parley/loadtests/")
    try:
        report = make(
            given.run,
            objectives=given.objectives,
            baseline=given.baseline,
            unlike_machines=given.unlike_machines,
        )
        html = write(given.run, report)
        print(_told(report, html))
        if given.keep:
            _keep(given.keep, report)
    except (Unreadable, BadObjectives, Unlike, OSError) as problem:
        print(f"No report: {problem}", file=sys.stderr)
        return NOTHING_TO_REPORT
    return report.verdict.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.report")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--objectives", type=Path, default=FILE)
    parser.add_argument("--baseline", default="")
    parser.add_argument("--unlike-machines", action="store_true")
    parser.add_argument("--keep", default="")
    parser.add_argument("--schema", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
