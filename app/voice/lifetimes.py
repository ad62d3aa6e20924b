"""What a lease says, and what a sweep of all rooms has to do about it. Pure.

PostgreSQL says who is there (`Living`), a table of leases who gave a sign of life lately. A lease
that is not there was lost, and ends nobody: only one that has run out does.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from app.realtime import protocol

LEASE_MS = int(protocol.LEASE_SECONDS * 1000)

SWEEP_MS = 1_500
"""A sweep is due this long after the last one; each process asks about every 2 seconds."""

GAP_MS = 6_000
"""After so long without a sweep the leases were out of reach, or all of us were away: renewals
were lost, nobody is blamed, and every lease begins anew. Who renews every 5 seconds had 15 left
when it began. Shorter gaps harm nobody: what was renewed meanwhile is said again within a second
after it, and even where a second gap comes before that, both and those seconds are less than 15.
The job that stands by sweeps every 5."""


class Turn(Enum):
    """Whether it is this process's turn to sweep, and whether nobody did for too long."""

    NOT_YET = 0
    NOW = 1
    AFTER_A_GAP = 2


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose lease it is; `session` is that of the socket, "" where it is not known."""

    pid: UUID
    gen: int
    user: UUID
    session: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """It runs until `until`, ms of the clock of the table."""

    gen: int
    until: int
    session: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Leases at the moment `now`, ms of the clock of the table."""

    now: int
    leases: Mapping[UUID, Lease]

    def ended(self, pid: UUID, gen: int) -> bool:
        """Whether there is a lease of that generation that has run out: a lost one has not."""
        lease = self.leases.get(pid)
        return lease is not None and lease.gen == gen and lease.until <= self.now

    def lost(self, pid: UUID, gen: int) -> bool:
        """Whether there is none of that generation, which somebody in a room should have."""
        lease = self.leases.get(pid)
        return lease is None or lease.gen != gen

    def sessions(self) -> set[UUID]:
        return {UUID(lease.session) for lease in self.leases.values() if lease.session}


@dataclass(frozen=True, slots=True)
class Living:
    """Somebody in a room, and whether they may be there: a member still, and active."""

    pid: UUID
    gen: int
    user: UUID
    may_stay: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep does. All of it is decided again under the lock of each row."""

    forget: list[UUID]
    """Leases of people who are not there."""
    grant: list[Holder]
    revoke: list[Living]
    expire: list[Living]


def plan(
    reading: Reading,
    living: Sequence[Living],
    *,
    live_sessions: Collection[UUID],
    after_a_gap: bool,
) -> Plan:
    """What is to be done; `reading` is not younger than `living`."""
    there = {one.pid for one in living}
    signed_out = {
        pid
        for pid, lease in reading.leases.items()
        if lease.session and UUID(lease.session) not in live_sessions
    }
    return Plan(
        forget=[pid for pid in reading.leases if pid not in there],
        grant=[
            Holder(one.pid, one.gen, one.user)
            for one in living
            if after_a_gap or reading.lost(one.pid, one.gen)
        ],
        revoke=[
            one
            for one in living
            if not one.may_stay or (one.pid in signed_out and not reading.lost(one.pid, one.gen))
        ],
        expire=[one for one in living if not after_a_gap and reading.ended(one.pid, one.gen)],
    )
