"""Pointing Django's connection at a database, in a given role."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import dj_database_url
from django.db import connection, connections

from app.encryption import apart
from tests.stack import Database


class LiveDatabase:
    """A test's own database: commits are real, other processes may connect."""

    def __init__(self, database: Database) -> None:
        self.name = database.name
        self.owner_url = database.owner_url
        self.app_url = database.app_url
        self.sealer_url = database.sealer_url
        self.superuser_url = database.superuser_url

    @contextmanager
    def acting_as(self, role: Literal["app", "owner", "sealer", "superuser"]) -> Iterator[None]:
        """Django's connection logs in as `role` within."""
        before = dict(connections.settings["default"])
        point_django_at(getattr(self, f"{role}_url"))
        try:
            yield
        finally:
            connection.close()
            apart.disconnect()
            connections.settings["default"].update(before)


def point_django_at(url: str) -> None:
    """Every thread's next connection goes to `url`; this thread's present one is closed."""
    connection.close()
    apart.disconnect()
    # One dict is shared by the connections of all threads.
    connections.settings["default"].update(dj_database_url.parse(url))
