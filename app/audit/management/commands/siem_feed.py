"""Hands the logs to a SIEM in OCSF, as lines of JSON: to a file, to standard output, or to the
collector of SIEM_URL. Goes on where it was; run again after a failure, it loses nothing."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from app.audit.access import organizations
from app.audit.collector import Collector, CollectorFailed, lines
from app.audit.context import Origin, acting_from
from app.audit.feed import Gap, Take, feed
from app.errors import NotSigned


class Command(BaseCommand):
    help = "Hand what was sealed since the last time to a SIEM, in OCSF."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", type=UUID, help="only this one's log")
        parser.add_argument("--name", default="command", help="whose cursor is moved")
        parser.add_argument("--file", type=Path, help="append to it, not to what is set up")
        parser.add_argument(
            "--after", type=int, help="from the entry after this place of one log; no cursor moves"
        )

    def handle(
        self, *args: Any, organization: UUID | None, after: int | None, **options: Any
    ) -> None:
        if after is not None and organization is None:
            raise CommandError("--after is a place in one log: name its --organization")
        start = None if after is None else after + 1
        total = 0
        try:
            with acting_from(Origin(method="command")), _receiver(options["file"]) as take:
                for each in [organization] if organization else organizations():
                    total += feed(options["name"], each, take, start=start)
        except (CollectorFailed, Gap, NotSigned) as error:
            raise CommandError(f"after {total} entries: {error}") from error
        self.stderr.write(f"{total} entries")


@contextmanager
def _receiver(file: Path | None) -> Iterator[Take]:
    if file is not None:
        with file.open("a") as out:
            yield _writing(out)
    elif settings.SIEM_URL:
        yield Collector(settings.SIEM_URL, settings.SIEM_AUTHORIZATION)
    else:
        yield _writing(sys.stdout)


def _writing(out: TextIO) -> Take:
    def write(events: Sequence[dict[str, Any]]) -> None:
        out.write(lines(events))
        out.flush()

    return write
