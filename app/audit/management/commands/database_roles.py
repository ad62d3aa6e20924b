"""Makes the database and its three logins, as an administrator of the server."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error, connection

from app.audit.logins import Login, make_database, make_logins


class Command(BaseCommand):
    help = (
        "Make the database and the logins that OWNER_DATABASE_URL, DATABASE_URL and "
        "SEALER_DATABASE_URL name, as ADMIN_DATABASE_URL; run it again to change passwords."
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = settings.DATABASE_LOGINS
        logins = {kind: Login(one["USER"], one["PASSWORD"]) for kind, one in wanted.items()}
        if len({login.name for login in logins.values()}) < len(logins):
            raise CommandError("The owner, the app and the sealer need three different users.")
        if len({one["NAME"] for one in wanted.values()}) > 1:
            raise CommandError("The three addresses must name one database.")
        try:
            with connection.cursor() as cursor:
                make_logins(cursor.cursor, logins)
                names = [login.name for login in logins.values()]
                database = wanted["owner"]["NAME"]
                make_database(cursor.cursor, database, owner=logins["owner"].name, logins=names)
        except Error as error:
            # Never its text: a statement may be in it.
            code = getattr(error.__cause__, "pgcode", None) or type(error).__name__
            raise CommandError(f"PostgreSQL refused ({code}): may this user make roles?") from None
        self.stdout.write(f"database {database}: {', '.join(names)}")
