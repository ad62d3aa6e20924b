"""Runs a short piece of work in a database transaction of its own.

For keys and their counters: a data key whose creation rolled back must not have sealed
anything, and a use that was counted must stay counted. So they commit by themselves, on a
connection of their own, whatever becomes of the transaction that needed them.
"""

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

from django.db import OperationalError, connection, transaction

from app.errors import Unavailable

# The caller may hold locks (a stream's row) and PostgreSQL cannot see that it waits for us:
# a deadlock through this thread would never be found. Work done here therefore only ever
# takes locks on rows of this app, which no caller keeps; the timeout is the second line.
LOCK_TIMEOUT = "5s"


Result = TypeVar("Result")


def apart(work: Callable[[], Result]) -> Result:
    """Return what `work` returns, once its transaction is committed; raise what it raises.

    A thread, because Django keeps a connection for each thread; opening one costs some
    milliseconds. Raises `Unavailable` when a lock is not given in time.
    """
    outcome: Future[Result] = Future()
    # The copied context carries who asked (the request's origin) into the audit entry.
    context = copy_context()
    thread = Thread(target=context.run, args=(_carry_out, work, outcome), name="keys-apart")
    thread.start()
    thread.join()
    return outcome.result()


def _carry_out(work: Callable[[], Result], outcome: "Future[Result]") -> None:
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
            result = work()
        outcome.set_result(result)
    except OperationalError as error:
        refusal = Unavailable("The key store is busy: try again in a moment.")
        refusal.__cause__ = error
        outcome.set_exception(refusal)
    except BaseException as error:  # handed to the caller's thread, whole
        outcome.set_exception(error)
    finally:
        connection.close()
