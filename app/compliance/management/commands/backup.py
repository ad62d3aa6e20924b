"""Takes a backup of the database, as its owner."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from app.compliance import backups


class Command(BaseCommand):
    help = "Back the database up into a folder; the list of erasures and the keys are not in it."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="where to; it is made")
        parser.add_argument("--programs", type=Path, help="the folder of pg_dump, if not on PATH")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = backups.take(
                options["folder"], programs=options["programs"], say=self.stdout.write
            )
        except backups.BackupFailed as failed:
            raise CommandError(str(failed)) from None
        entries = sum(made.logs.values())
        self.stdout.write(
            f"{options['folder']}: {made.bytes / 1e6:.1f} MB, {len(made.logs)} logs with {entries}"
            f" signed entries, of {made.at}. Keep the list of erasures and the keys elsewhere."
        )
