"""Threads that send at the same moment commit together, as the gateway's sockets do.

Whoever is first commits for all who wait by then; the others find their outcome there. A commit
costs the same for ten messages as for one.
"""

from collections import deque
from concurrent.futures import Future
from dataclasses import replace
from threading import Lock

from django.db import connection

from app.audit.context import current_origin
from app.chat.services.sending import Draft, send_message, send_messages
from app.errors import DomainError
from app.realtime.protocol import Ack

_LIMIT = 200
_waiting: deque[tuple[Draft, "Future[Ack | DomainError]"]] = deque()
_committing = Lock()


def send_together(draft: Draft) -> Ack:
    """Send one message, in one transaction with those of other threads.

    Raises as `send_message`. Within a transaction of the caller's it is sent in that one.
    """
    if connection.in_atomic_block:
        return send_message(draft)
    # Another thread may write it, which speaks for somebody else.
    draft = replace(draft, origin=draft.origin or current_origin.get())
    mine: Future[Ack | DomainError] = Future()
    _waiting.append((draft, mine))
    with _committing:
        while not mine.done():
            _commit([_waiting.popleft() for _ in range(min(_LIMIT, len(_waiting)))])
    outcome = mine.result()
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def _commit(batch: list[tuple[Draft, "Future[Ack | DomainError]"]]) -> None:
    try:
        outcomes = send_messages([draft for draft, _ in batch])
    except BaseException as error:
        for _, future in batch:
            future.set_exception(error)
    else:
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            future.set_result(outcome)
