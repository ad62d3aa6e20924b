"""After a restore, nobody is let in before what was erased is destroyed again.

The list of erasures says what was; a backup that is older has those keys alive.
"""

import time

from django.db import OperationalError

from app.encryption import erasures
from app.encryption.access import erased_but_alive
from app.errors import Unavailable

_AGAIN = 5.0  # seconds between two looks, while the answer is good

_good_until = 0.0


class NotReplayed(Unavailable):
    default_message = (
        "Parley was restored from a backup and is not open yet. Whoever operates it runs"
        " `manage.py keys replay-erasures` first."
    )


def require_open() -> None:
    """Raise NotReplayed, or ErasureListUnusable; cheap enough for every request."""
    global _good_until  # noqa: PLW0603 - an answer a process
    if time.monotonic() < _good_until:
        return
    try:
        alive = erased_but_alive(erasures.listed())
    except OperationalError:
        return  # without the database nobody gets anything anyway
    if alive:
        raise NotReplayed
    _good_until = time.monotonic() + _AGAIN
