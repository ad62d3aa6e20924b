#!/usr/bin/env python
"""Django's command line; `DJANGO_SETTINGS_MODULE` defaults to the development settings."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

# Who a command is to the database. Every other one works as the app, which may not
# change the schema or the log.
ROLES = {
    "migrate": "owner",
    "backup": "owner",
    "restore": "owner",
    "seal": "sealer",
    "database_roles": "admin",
}


def main(arguments: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings.dev")
    if len(arguments) > 1:
        os.environ.setdefault("DATABASE_ROLE", ROLES.get(arguments[1], "app"))
    # What a command prints is its answer; receipts of what it did go elsewhere.
    os.environ.setdefault("RECEIPTS", "stderr")
    try:
        # Django would go on without settings and fail later with a riddle.
        settings.INSTALLED_APPS  # noqa: B018
    except ImproperlyConfigured as problem:
        sys.exit(str(problem))
    execute_from_command_line(arguments)


if __name__ == "__main__":
    main(sys.argv)
