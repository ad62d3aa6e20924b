"""Rebuilds the trail from its rows; exits with 1 and names what is wrong and where."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from app.audit.access import organizations
from app.audit.checkpoint import BadNote, Checkpoint, PublicKey
from app.audit.findings import Known, Report
from app.audit.verification import remember, verify_everywhere
from app.audit.verify import verify


class Command(BaseCommand):
    help = "Verify the trail: bodies, leaves, trees, signatures."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", type=UUID, help="only this one")
        parser.add_argument("--json", action="store_true", help="one JSON document a line")
        parser.add_argument(
            "--key",
            action="append",
            default=[],
            help="a vkey to believe, instead of the keys in the database",
        )
        parser.add_argument(
            "--checkpoint",
            action="append",
            type=Path,
            default=[],
            help="a file with a checkpoint that was kept outside, which the log must extend",
        )
        parser.add_argument(
            "--offline",
            action="store_true",
            help="ask no anchor: finds no history that was rewritten with the signing key",
        )
        parser.add_argument("--remember", action="store_true", help="show officers the result")

    def handle(self, *args: Any, **options: Any) -> None:
        keys = _keys(options["key"])
        known = [(path, _checkpoint(path)) for path in options["checkpoint"]]
        chosen = [options["organization"]] if options["organization"] else organizations()
        _refuse_foreign(known, chosen)
        check = verify if options["offline"] else verify_everywhere
        wrong = unread = 0
        for organization in chosen:
            trusted = [key for key in keys if key.name.endswith(f"/{organization}")]
            if keys and not trusted:
                raise CommandError(f"--key: none of them is of organization {organization}")
            report = check(
                organization,
                trusted=trusted,
                known=[
                    Known(each.size, each.root, str(path))
                    for path, each in known
                    if _is_of(each, organization)
                ],
            )
            if options["remember"]:
                remember(report)
            self.stdout.write(json.dumps(report.document()) if options["json"] else text(report))
            wrong += not report.ok
            unread += len(report.unread)
        if wrong:
            raise CommandError(f"{wrong} of {len(chosen)} logs do not agree", returncode=1)
        if unread:
            raise CommandError(f"{unread} anchors could not be asked: see above", returncode=1)


def text(report: Report) -> str:
    """The report for people: a verdict, then a line for each problem."""
    verdict = "agrees" if report.ok else f"DOES NOT AGREE, {report.found} problems"
    lines = [
        f"{report.organization}: {verdict}; {report.size} leaves, {report.checkpoints} "
        f"checkpoints, {report.waiting} entries waiting, {report.seconds:.1f} s"
    ]
    lines += [f"  {each.place}: {each.message} [{each.fault}]" for each in report.problems]
    lines += [f"  not compared with {reason}" for reason in report.unread]
    if report.found > len(report.problems):
        lines.append(f"  and {report.found - len(report.problems)} more")
    return "\n".join(lines)


def _keys(vkeys: list[str]) -> list[PublicKey]:
    try:
        return [PublicKey.parse(vkey) for vkey in vkeys]
    except BadNote as error:
        raise CommandError(f"--key: {error}") from None


def _is_of(checkpoint: Checkpoint, organization: UUID) -> bool:
    return checkpoint.origin.endswith(f"/{organization}")


def _refuse_foreign(known: list[tuple[Path, Checkpoint]], chosen: list[UUID]) -> None:
    """A checkpoint that would be compared with nothing must not pass for one that agrees."""
    for path, checkpoint in known:
        if not any(_is_of(checkpoint, organization) for organization in chosen):
            raise CommandError(f"--checkpoint {path}: it is of no log that is verified here")


def _checkpoint(path: Path) -> Checkpoint:
    try:
        return Checkpoint.parse(path.read_text().partition("\n\n")[0] + "\n")
    except (OSError, UnicodeDecodeError, BadNote) as error:
        raise CommandError(f"--checkpoint {path}: {error}") from None
