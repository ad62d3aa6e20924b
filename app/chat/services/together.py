"""Threads that send at the same moment commit together, as the gateway's sockets do.

Whoever is first commits for all who wait by then, tells each of them at once, and has the first
of those who came meanwhile commit next. A commit costs the same for ten messages as for one, so
it waits a moment for requests that are on their way here already (`coming`), and for as many as
there were just now: who was answered says the next thing at once. Who is alone waits for nobody.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from django.db import connection
from msgspec.structs import replace

from app.accounts.identity import Bearer
from app.accounts.services import admit
from app.audit.context import current_origin
from app.chat.services.sending import Draft, send_message, send_messages
from app.errors import DomainError, Unauthenticated
from app.realtime.protocol import Ack

PATIENCE = 0.02
"""Seconds that a commit waits at most for who is on the way: what a few of them need of a core."""
PAUSE = 0.005
"""Seconds without anybody on the way, after which nobody more is expected."""
_RECENT = 0.05
_LIMIT = 200


class _Waiting:
    """A draft whose thread sleeps until it has its outcome, or is to commit (no outcome)."""

    __slots__ = ("_asleep", "bearer", "draft", "outcome")

    def __init__(self, draft: Draft, bearer: Bearer | None) -> None:
        self.draft, self.bearer = draft, bearer
        self.outcome: Ack | DomainError | BaseException | None = None
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def sleep(self) -> None:
        self._asleep.acquire()

    def wake(self) -> None:
        self._asleep.release()


_waiting: deque[_Waiting] = deque()
_arrivals = threading.Condition()
_committing = False
_on_the_way = 0
_mine = threading.local()
_expected, _expected_at = 0, 0.0


@contextmanager
def coming() -> Iterator[None]:
    """Around a request that means to send: a commit waits until it has come, or has ended."""
    global _on_the_way  # noqa: PLW0603 - of this process, as the queue is
    with _arrivals:
        _on_the_way += 1
        if _on_the_way == 1:
            _arrivals.notify()
    _mine.is_coming = True
    try:
        yield
    finally:
        _come()


def _come() -> None:
    global _on_the_way  # noqa: PLW0603
    if getattr(_mine, "is_coming", False):
        _mine.is_coming = False
        with _arrivals:
            _on_the_way -= 1
            if not _on_the_way:
                _arrivals.notify()


def send_together(draft: Draft, bearer: Bearer | None = None) -> Ack:
    """Send one message, in one transaction with those of other threads.

    Raises as `send_message`, and Unauthenticated where the session of the `bearer`, whose draft
    it is, is over. Within a transaction of the caller's it is sent in that one.
    """
    if connection.in_atomic_block:
        if bearer and not admit([bearer]):
            raise Unauthenticated
        return send_message(draft)
    # Another thread may write it, which speaks for somebody else.
    mine = _Waiting(replace(draft, origin=draft.origin or current_origin.get()), bearer)
    if not _leads(mine):
        mine.sleep()
    if mine.outcome is None:
        try:
            _gather()
            _commit([_waiting.popleft() for _ in range(min(_LIMIT, len(_waiting)))], but=mine)
        finally:
            _hand_over()
    if isinstance(mine.outcome, Ack):
        return mine.outcome
    raise mine.outcome or RuntimeError("a message was left out of its commit")


def _leads(mine: _Waiting) -> bool:
    """Join those who wait; whether nobody commits now, so that it is to be us."""
    global _committing
    with _arrivals:
        _waiting.append(mine)
        leads, _committing = not _committing, True
        if not _on_the_way:
            _arrivals.notify()
    _come()
    return leads


def _hand_over() -> None:
    """Have the first of those who came meanwhile commit."""
    global _committing  # noqa: PLW0603
    with _arrivals:
        if _waiting:
            _waiting[0].wake()
        else:
            _committing = False


def _gather() -> None:
    began = monotonic()
    expected = _expected if began - _expected_at < _RECENT else 0
    with _arrivals:
        while (left := began + PATIENCE - monotonic()) > 0:
            if _on_the_way:
                _arrivals.wait_for(lambda: not _on_the_way, left)
                continue
            if len(_waiting) >= expected:
                return
            if not _arrivals.wait_for(
                lambda: _on_the_way or len(_waiting) >= expected, min(left, PAUSE)
            ):
                return


def _commit(batch: list[_Waiting], *, but: _Waiting) -> None:
    """Give each its outcome and wake its thread, `but` ours."""
    global _expected, _expected_at
    try:
        admitted = admit({one.bearer for one in batch if one.bearer})
        sent = [one for one in batch if one.bearer is None or one.bearer in admitted]
        outcomes = send_messages([one.draft for one in sent]) if sent else []
        for one, outcome in zip(sent, outcomes, strict=True):
            one.outcome = outcome
    except BaseException as error:
        for one in batch:
            one.outcome = error
    for one in batch:
        one.outcome = one.outcome or Unauthenticated()
        if one is not but:
            one.wake()
    _expected, _expected_at = len(batch) + len(_waiting), monotonic()
