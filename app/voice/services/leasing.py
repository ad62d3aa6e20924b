"""Keeping leases, and putting out of rooms who gave no sign of life or may not stay.

Whoever sees it may do it: the rows decide, once, under their locks.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from uuid import UUID

from django.db import DatabaseError, transaction

from app import metrics
from app.accounts.access import live_sessions
from app.audit.context import SYSTEM, Origin, acting_from
from app.errors import DomainError, StaleGeneration
from app.voice import access, leases, lifetimes, rooms
from app.voice.leases import Away
from app.voice.lifetimes import Holder, Living, Plan, Turn
from app.voice.models import Participant
from app.voice.services.entries import Act
from app.voice.services.writing import limits, lock, write

logger = logging.getLogger(__name__)

_owed: dict[UUID, Holder] = {}
"""Whose renewal this process took while Redis was away: said again as soon as it answers."""


def renew_many(holders: Sequence[Holder]) -> list[DomainError | None]:
    """Prolong leases, in one round trip to Redis; for each None, or why not.

    While Redis is away the rows alone are asked, as nobody is put out meanwhile.
    """
    if not holders:
        return []
    try:
        renewed = _renewed(holders)
    except Away:
        renewed = access.present(holders)
        _owed.update({holder.pid: holder for holder in renewed})
    return [None if holder in renewed else StaleGeneration() for holder in holders]


def _renewed(holders: Sequence[Holder]) -> set[Holder]:
    """Those who hold their lease on. Raises Away.

    What is not running (late, or lost) is decided under the lock of its row.
    """
    done = dict(zip(holders, leases.renew(holders), strict=True))
    late = [holder for holder, ok in done.items() if not ok]
    return {holder for holder, ok in done.items() if ok} | (_regrant(late) if late else set())


def owes() -> bool:
    """Whether there is something for `say_again`."""
    return bool(_owed)


def say_again() -> None:
    """Tell Redis of the renewals that it did not hear. Raises Away."""
    owed = dict(_owed)
    if owed:
        _renewed(list(owed.values()))
        for pid, holder in owed.items():
            if _owed.get(pid) is holder:  # else another one came meanwhile
                _owed.pop(pid)


@transaction.atomic
def _regrant(holders: Sequence[Holder]) -> set[Holder]:
    """Grant to those of the holders who are there; returns them."""
    there = access.present(holders, lock=True)
    leases.grant(list(there))
    return there


def sweep() -> None:
    """Put out who has left without a word, and who may not stay; mend lost leases.

    To be called every two seconds by each gateway; one of them has its turn.
    """
    with acting_from(Origin(request_id="voice-sweep", method="job")):
        try:
            say_again()
            turn = leases.turn()
            if turn is Turn.NOT_YET:
                return
            metrics.VOICE_SWEEPS.add()
            reading = leases.read()
        except Away:
            # Nobody's lease can be judged; who is no member any more leaves all the same.
            _each(revoke, [one for one in access.living() if not one.may_stay])
            return
        _carry_out(
            lifetimes.plan(
                reading,
                access.living(),
                live_sessions=live_sessions(reading.sessions()),
                after_a_gap=turn is Turn.AFTER_A_GAP,
            )
        )


def _carry_out(plan: Plan) -> None:
    leases.drop(plan.forget)
    if plan.grant:
        _regrant(plan.grant)
    with suppress(Away):
        leases.swept()
    _each(revoke, plan.revoke)
    _each(expire, plan.expire)


def _each(put_out: Callable[[UUID, int], None], found: Collection[Living]) -> None:
    """One transaction each: who cannot be put out now keeps nobody else in."""
    for one in found:
        try:
            put_out(one.pid, one.gen)
        except (Away, DatabaseError) as error:
            logger.warning("sweep_put_off", extra={"error": type(error).__name__})


@transaction.atomic
def expire(pid: UUID, gen: int) -> None:
    """Put out whose lease has run out, unless they were faster. Raises Away."""
    row = _locked(pid)
    # Asked again under the row's lock: a late renewal is granted under it, or refused after us.
    if row is not None and leases.read([pid]).ended(pid, gen):
        house = access.house([row.conversation_id], pid)
        act = Act(row.conversation.organization_id, SYSTEM)
        write(act, rooms.expire(house, pid, gen, limits()))


@transaction.atomic
def revoke(pid: UUID, gen: int) -> None:
    """Put out who may not be there any more; nothing happens to a later generation."""
    row = _locked(pid)
    if row is not None:
        house = access.house([row.conversation_id], pid)
        act = Act(row.conversation.organization_id, SYSTEM)
        write(act, rooms.revoke(house, pid, gen, limits()))


def _locked(pid: UUID) -> Participant | None:
    """The row and its room, locked, if they are there; in the order of all others: room first."""
    found = access.there(pid)
    if found is not None:
        lock([found.conversation_id])
        found = access.there(pid, lock=True)
    return found
