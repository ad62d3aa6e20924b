#!/usr/bin/env python
"""Django's command line; `DJANGO_SETTINGS_MODULE` defaults to the development settings."""

import os
import sys

from django.core.management import execute_from_command_line

# Who a command is to the database. Every other one works as the app, which may not
# change the schema or the log.
ROLES = {"migrate": "owner", "seal": "sealer"}

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings.dev")
    if len(sys.argv) > 1:
        os.environ.setdefault("DATABASE_ROLE", ROLES.get(sys.argv[1], "app"))
    execute_from_command_line(sys.argv)
