"""Whether a thread's kept connection to PostgreSQL works, without asking PostgreSQL.

Django asks it before the first query of each request (CONN_HEALTH_CHECKS), a round trip. One that
worked a moment ago, and that nobody has closed or written to since, need not be asked.
"""

import select
import threading
import time
from typing import Any

from django.db import connection

FRESH = 5.0
"""Seconds after some work that its connection is believed to work, unless it was closed."""


class KeptConnection(threading.local):
    """The connection that this thread had at the end of its last work, a request or a batch."""

    def __init__(self) -> None:
        self._kept: Any = None
        self._until = 0.0

    def begin(self) -> None:
        """To be called before the work, after `close_old_connections`."""
        if self._is_well():
            connection.health_check_done = True  # type: ignore[attr-defined]  # not in the stubs

    def worked(self) -> None:
        """To be called when the work was done."""
        self._kept, self._until = connection.connection, time.monotonic() + FRESH

    def _is_well(self) -> bool:
        kept = self._kept
        if kept is None or kept is not connection.connection or kept.closed:
            return False
        if time.monotonic() >= self._until:
            return False
        # PostgreSQL says nothing unasked, but when it ends: then there is something to read.
        unasked = select.poll()
        unasked.register(kept.fileno(), select.POLLIN)
        return not unasked.poll(0)
