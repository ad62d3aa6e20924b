"""`manage.py migrate`, which keeps nobody waiting who serves meanwhile.

A change of a table waits for whoever uses it, and everybody who comes later waits behind it. So
it waits LOCK_SECONDS at most, lets the others go first, and tries again. What is applied stays.
"""

import time
from random import SystemRandom
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as Migrate
from django.db import OperationalError, connections
from django.db.migrations import Migration

LOCK_SECONDS = 2.0
"""As long as this a send may wait for a migration that waits."""
PAUSE_SECONDS = (1.0, 3.0)
TRIES = 100
LOCK_NOT_AVAILABLE = "55P03"


class Command(Migrate):
    def handle(self, *args: Any, **options: Any) -> None:
        self._alias = options["database"]
        for left in reversed(range(TRIES)):
            try:
                super().handle(*args, **options)
            except OperationalError as error:
                if getattr(error.__cause__, "pgcode", "") != LOCK_NOT_AVAILABLE:
                    raise
            else:
                return
            self.stdout.write(f"\n  Others use the table: {left} more tries")
            time.sleep(SystemRandom().uniform(*PAUSE_SECONDS))
        raise CommandError(
            "A table was in use each time, and what comes after it is not applied. Who has used it "
            "for so long, an administrator sees: SELECT pid, application_name, xact_start FROM "
            "pg_stat_activity ORDER BY xact_start. End that, and migrate again: it goes on there."
        )

    def migration_progress_callback(
        self, action: str, migration: Migration | None = None, fake: bool = False
    ) -> None:
        """Called before each migration, among others."""
        if migration and action in {"apply_start", "unapply_start"}:
            # What is not atomic (CREATE INDEX CONCURRENTLY) waits without anybody behind it, and
            # would leave an index that is not valid.
            self._lock_timeout(LOCK_SECONDS if migration.atomic else 0)
        elif migration:
            self._lock_timeout(LOCK_SECONDS)  # also for what follows the last one
        super().migration_progress_callback(action, migration, fake)

    def _lock_timeout(self, seconds: float) -> None:
        with connections[self._alias].cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{seconds}s"])
