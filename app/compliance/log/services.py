"""Looks at the log that are recorded before they are given."""

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.actions import Action
from app.audit.lookup import PlacedEntry
from app.compliance.log import access
from app.compliance.services.looks import note_look


def read_entries(officer: User, start: int, limit: int) -> tuple[int, list[PlacedEntry]]:
    """The signed tree's size, and its entries from index `start` on, with their bodies."""
    require(officer, Permission.TRAIL_READ)
    note_look(officer, Action.TRAIL_READ, {"entries": {"start": start, "limit": limit}})
    return access.bodies(officer, start, limit)
