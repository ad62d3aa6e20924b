"""Asks whether the receipts in collected logs are in the trail; exits with 1 if one is not."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from app.audit.receipt_check import check, told


class Command(BaseCommand):
    help = "Check receipts, from lines that our processes wrote to their standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="*", type=Path, help="collected logs; none: stdin")

    def handle(self, *args: Any, files: list[Path], **options: Any) -> None:
        answer = check(told(_lines(files)))
        self.stdout.write(f"{answer.sealed} in the log, {answer.waiting} not sealed yet")
        for lost in answer.unknown:
            self.stdout.write(f"not known: {lost.leaf_hash.hex()} of {lost.organization}")
        if answer.unknown:
            raise CommandError(
                f"{len(answer.unknown)} receipts of ours are not in the log", returncode=1
            )


def _lines(files: list[Path]) -> Iterator[str]:
    if not files:
        yield from sys.stdin
    for path in files:
        try:
            with path.open(errors="replace") as lines:
                yield from lines
        except OSError as error:
            raise CommandError(f"{path}: {type(error).__name__}") from None
