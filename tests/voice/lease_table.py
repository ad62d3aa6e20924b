"""What the scripts of `app.voice.leases` do to Redis, in Python: for simulations.

tests/voice/test_leases.py shows that both do the same.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

from app.voice.leases import Away
from app.voice.lifetimes import GAP_MS, LEASE_MS, SWEEP_MS, Holder, Lease, Reading, Turn


class LeaseTable:
    """`clock` gives the table's own time in ms."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._held: dict[UUID, tuple[Holder, int]] = {}
        self._begun: int | None = None
        self._swept: int | None = None
        self._away = False
        self.outages = 0

    @property
    def away(self) -> bool:
        return self._away

    @away.setter
    def away(self, away: bool) -> None:
        self.outages += away and not self._away
        self._away = away

    def grant(self, holders: Sequence[Holder]) -> None:
        for holder in () if self.away else holders:
            had = self._held.get(holder.pid)
            session = holder.session or (had[0].session if had else "")
            kept = Holder(holder.pid, holder.gen, holder.user, session)
            self._held[holder.pid] = (kept, self._clock() + LEASE_MS)

    def drop(self, pids: Sequence[UUID]) -> None:
        for pid in () if self.away else pids:
            self._held.pop(pid, None)

    def renew(self, holders: Sequence[Holder]) -> list[bool]:
        self._answer()
        return [self._renew(holder) for holder in holders]

    def _renew(self, holder: Holder) -> bool:
        had, until = self._held.get(holder.pid, (None, 0))
        if had is None or (had.gen, had.user) != (holder.gen, holder.user):
            return False
        if until <= self._clock():
            return False
        self._held[holder.pid] = (holder, self._clock() + LEASE_MS)
        return True

    def read(self) -> Reading:
        self._answer()
        found = {
            pid: Lease(holder.gen, until, holder.session)
            for pid, (holder, until) in self._held.items()
        }
        return Reading(self._clock(), found)

    def turn(self) -> Turn:
        self._answer()
        if self._is_recent(self._begun, SWEEP_MS):
            return Turn.NOT_YET
        self._begun = self._clock()
        return Turn.NOW if self._is_recent(self._swept, GAP_MS) else Turn.AFTER_A_GAP

    def swept(self) -> None:
        self._answer()
        self._swept = self._clock()

    def _is_recent(self, at: int | None, within: int) -> bool:
        return at is not None and 0 <= self._clock() - at < within

    def forget_all(self) -> None:
        """Redis came back empty."""
        self._held.clear()
        self._begun = self._swept = None

    def _answer(self) -> None:
        if self.away:
            raise Away
