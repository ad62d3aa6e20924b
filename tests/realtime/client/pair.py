"""Two peers between whom everything takes its time: a simulation of one call's pair.

`Connection` keeps the rules of WebRTC's signaling states (RFC 9429, 3.2) and raises where a
browser would. Each operation and each signal takes a random time; a direction keeps its order.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from app.realtime.client.negotiation import (
    Accept,
    Action,
    Add,
    Answer,
    Negotiation,
    Offer,
    Repeat,
    Reset,
    Seat,
)
from app.realtime.protocol import Candidate, Description, VoiceSignalData, VoiceSignalled

POLITE = "00000000-0000-4000-8000-000000000001"
IMPOLITE = "00000000-0000-4000-8000-000000000002"
OVERDUE_SECONDS = 5.0


class World:
    """Time, chance and what is still to happen."""

    def __init__(self, seed: int, *, loss: float = 0.0, twice: float = 0.0) -> None:
        self.chance = random.Random(seed)
        self.loss, self.twice = loss, twice
        self.now = 0.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, time: float, work: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time, next(self._order), work))

    def run(self, until: float = 600.0) -> None:
        """Let everything happen that is due; it must come to an end."""
        while self._due:
            self.now, _, work = heapq.heappop(self._due)
            assert self.now < until, "the two never come to rest"
            work()


@dataclass(frozen=True)
class Sdp:
    """A session description here: a name for all of it, and its ICE credentials."""

    name: str
    ice: str

    def __str__(self) -> str:
        return f"{self.name} {self.ice}"


NOTHING = Sdp("", "")


@dataclass
class Connection:
    """A peer connection: a wrong order of descriptions raises, as does a foreign candidate."""

    local: Sdp = NOTHING
    remote: Sdp = NOTHING
    pending: Sdp | None = None  # our offer that waits
    candidates: list[str] = field(default_factory=list)

    @property
    def present(self) -> Sdp:
        return self.pending or self.local

    def offer(self, name: str, *, restart: bool) -> None:
        assert not self.pending, "an offer above an offer"
        self.pending = Sdp(name, name if restart or not self.local.ice else self.local.ice)

    def rollback(self) -> None:
        assert self.pending, "nothing to roll back"
        self.pending = None

    def answer(self, offer: Sdp, name: str) -> None:
        assert not self.pending, "an offer came above ours without a rollback"
        # New credentials are answered with new ones (RFC 8839, 4.4.1.1.1).
        ice = self.local.ice if offer.ice == self.remote.ice else name
        self.remote, self.local = offer, Sdp(name, ice)

    def accept(self, answer: Sdp) -> None:
        assert self.pending, "an answer to no offer"
        self.local, self.remote, self.pending = self.pending, answer, None

    def add(self, candidate: str) -> None:
        assert candidate == self.remote.ice, f"a candidate of {candidate} for {self.remote}"
        self.candidates.append(candidate)


class Side:
    """One peer: performs one action at a time, as told by its negotiation."""

    def __init__(self, world: World, me: Seat, peer: Seat) -> None:
        self.world = world
        self.negotiation = Negotiation(me, peer)
        self.connection = Connection()
        self.other: Side
        self.actions: deque[Action] = deque()
        self._happened: deque[Callable[[], Iterable[Action]]] = deque()
        self._busy = False
        self._arrival = 0.0
        self._made = 0
        self._watched = False

    def later(self, after: float, what: Callable[[], Iterable[Action]]) -> None:
        """Let `what` happen in `after` seconds."""
        self.world.at(self.world.now + after, lambda: self.happens(what))

    def happens(self, what: Callable[[], Iterable[Action]]) -> None:
        self._happened.append(what)
        if not self._busy:
            self._work()

    def _work(self) -> None:
        """Perform the next action when its time has passed; then the next thing that happened."""
        self._busy = bool(self.actions or self._happened)
        if not self._busy:
            return
        if self.actions:
            delay = self.world.chance.expovariate(1 / 0.02)
            self.world.at(self.world.now + delay, self._perform)
            return
        self.actions.extend(self._happened.popleft()())
        if not self.negotiation.stable and not self._watched:
            self._watched = True
            self.world.at(self.world.now + OVERDUE_SECONDS, self._overdue)
        self._work()

    def _overdue(self) -> None:
        self._watched = False
        if self.world.loss:  # where nothing is lost nothing may need this
            self.happens(self.negotiation.overdue)

    def _perform(self) -> None:
        match self.actions.popleft():
            case Reset():
                self.connection = Connection()
            case Offer(neg=neg, restart=restart):
                self.connection.offer(self._name(f"offer-{neg}"), restart=restart)
                self._describe(neg)
            case Answer(neg=neg, offer=offer, rollback=rollback):
                if rollback:
                    self.connection.rollback()
                self.connection.answer(parsed(offer), self._name(f"answer-{neg}"))
                self._describe(neg)
            case Accept(answer=answer):
                self.connection.accept(parsed(answer))
            case Add(candidate=candidate):
                self.connection.add(candidate.candidate)
            case Repeat(neg=neg):
                self._describe(neg)
        self._work()

    def _name(self, what: str) -> str:
        self._made += 1
        return f"{what}-of-{self.negotiation.me.pid[-1]}-number-{self._made}"

    def _describe(self, neg: str) -> None:
        present = self.connection.present
        description = Description("offer" if self.connection.pending else "answer", str(present))
        self._send(self.negotiation.described(neg, description))
        for _ in range(2):
            self.world.at(
                self.world.now + self.world.chance.random() / 5,
                lambda: self._gathered(self.connection, present.ice),
            )

    def _gathered(self, connection: Connection, ice: str) -> None:
        def gather() -> Iterable[Action]:
            # What was gathered for a description that was taken back is not told.
            if connection is self.connection and ice == connection.present.ice:
                self._send(self.negotiation.gathered(Candidate(ice)))
            return ()

        self.happens(gather)

    def _send(self, signal: VoiceSignalData) -> None:
        me = self.negotiation.me
        told = VoiceSignalled(
            signal.to,
            signal.gen,
            me.pid,
            me.gen,
            signal.neg,
            signal.description,
            signal.candidate,
        )
        chance = self.world.chance
        copies = (
            0 if chance.random() < self.world.loss else 1 + (chance.random() < self.world.twice)
        )
        for _ in range(copies):
            self._arrival = max(self._arrival, self.world.now + chance.expovariate(1 / 0.05))
            self.world.at(
                self._arrival,
                lambda: self.other.happens(lambda: self.other.negotiation.received(told)),
            )


def parsed(description: Description) -> Sdp:
    return Sdp(*description.sdp.split(" "))


def pair(world: World) -> tuple[Side, Side]:
    """The polite and the impolite side, connected to each other."""
    polite, impolite = Seat(POLITE, 1), Seat(IMPOLITE, 1)
    one, other = Side(world, polite, impolite), Side(world, impolite, polite)
    one.other, other.other = other, one
    return one, other


def assert_one_stable_connection(one: Side, other: Side) -> None:
    assert one.negotiation.stable
    assert other.negotiation.stable
    assert one.negotiation.round == other.negotiation.round
    assert one.negotiation.settled == other.negotiation.settled != ""
    assert not one.connection.pending
    assert not other.connection.pending
    assert one.connection.local == other.connection.remote != NOTHING
    assert other.connection.local == one.connection.remote != NOTHING
