"""Runs a short piece of work in a database transaction of its own.

For keys and their counters: a data key whose creation rolled back must not have sealed
anything, and a use that was counted must stay counted. So they commit by themselves, on a
connection of their own, whatever becomes of the transaction that needed them.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from app.errors import Unavailable

# The caller may hold locks (a stream's row), and PostgreSQL cannot see that its connection
# waits for ours: a deadlock between the two would never be found. Work done here therefore
# takes locks on rows of this app only, which no caller keeps; the timeout is the second line.
LOCK_SECONDS = 5.0
AT_ONCE = 2
"""Such connections of a process at a time: a thread more waits, as long as for a lock."""

BUSY = "The key store is busy: try again in a moment."

Result = TypeVar("Result")

# At most one, open: connecting (TLS, SCRAM) costs more than the work.
_idle: list[BaseDatabaseWrapper] = []
# A child must not write to its parent's socket; psycopg2 closes only what its process opened.
os.register_at_fork(after_in_child=_idle.clear)
_turns = threading.BoundedSemaphore(AT_ONCE)


def apart(work: Callable[[], Result]) -> Result:
    """Return what `work` returns, once its transaction is committed; raise what it raises.

    Raises `Unavailable` when the database is away, or a lock is not given in time.
    """
    if not _turns.acquire(timeout=LOCK_SECONDS):
        raise Unavailable(BUSY)
    try:
        with _connection_of_our_own(), transaction.atomic():
            with connection.cursor() as cursor:
                timeout = f"{LOCK_SECONDS}s"
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [timeout])
            return work()
    except OperationalError as error:
        raise Unavailable(BUSY) from error
    finally:
        _turns.release()


def disconnect() -> None:
    """Close the connection that is kept between two calls."""
    while _idle:
        _idle.pop().close()


@contextmanager
def _connection_of_our_own() -> Iterator[None]:
    """Within, this thread's default connection is another one than the caller's."""
    callers, own = connections[DEFAULT_DB_ALIAS], _take()
    connections[DEFAULT_DB_ALIAS] = own
    try:
        yield
    except BaseException:
        own.close()  # whatever went wrong, the next one starts afresh
        raise
    else:
        if _idle:
            own.close()
        else:
            _idle.append(own)
    finally:
        connections[DEFAULT_DB_ALIAS] = callers


def _take() -> BaseDatabaseWrapper:
    try:
        own = _idle.pop()
    except IndexError:  # none, or another thread has it
        own = connections.create_connection(DEFAULT_DB_ALIAS)
        own.inc_thread_sharing()  # one thread at a time: who took it from the list
    if own.connection is not None and not own.is_usable():
        own.close()  # the server was restarted meanwhile
    return own
