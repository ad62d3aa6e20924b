"""Puts a backup back into an empty database, as its owner."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from app.compliance import backups


class Command(BaseCommand):
    help = "Restore a backup into the empty database that OWNER_DATABASE_URL names."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="what `manage.py backup` made")
        parser.add_argument("--programs", type=Path, help="the folder of pg_restore")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            backups.put_back(options["folder"], programs=options["programs"], say=self.stdout.write)
        except backups.BackupFailed as failed:
            raise CommandError(str(failed)) from None
        self.stdout.write("restored. Now: manage.py keys replay-erasures; manage.py recovery")
