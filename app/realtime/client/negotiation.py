"""Perfect negotiation with one peer (WebRTC 1.0, 10.7) as a pure state machine.

Told what happened, it answers with the actions to perform, in their order and to their end
before it is told the next thing: so there is no moment in which an offer is half made. Of
two offers at once the impolite side's stands. Any signal may be lost: repeating an offer is
harmless, and gets the answer again. What belongs to another generation, to an older round or
to an offer that lost is dropped.

`neg` names an offer: `<round>.<number><p|i>`. Its answer and the candidates of both sides
bear the same name. A round is one connection on each side; a higher one begins anew.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.realtime.protocol import Candidate, Description, VoiceSignalData, VoiceSignalled

_NAME = re.compile(r"([1-9][0-9]{0,8})\.([1-9][0-9]{0,8})[pi]")


@dataclass(frozen=True, slots=True)
class Seat:
    """A participant in one generation."""

    pid: str
    gen: int


@dataclass(frozen=True, slots=True)
class Reset:
    """Begin with a new connection in the place of the old one."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Make an offer (`restart`: with new ICE credentials), set it locally, send it as `neg`."""

    neg: str
    restart: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Set the peer's offer, make an answer, set it locally, send it as `neg`.

    `rollback`: an offer of one's own is to be taken back first. Who cannot do that takes a
    new connection, which is as good when none was established before.
    """

    neg: str
    offer: Description
    rollback: bool


@dataclass(frozen=True, slots=True)
class Accept:
    """Set the peer's answer."""

    answer: Description


@dataclass(frozen=True, slots=True)
class Add:
    """Add the peer's candidate."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send the present local description once more, as `neg`."""

    neg: str


Action = Reset | Offer | Answer | Accept | Add | Repeat


class Negotiation:
    """One side of a pair. Of two the one with the smaller pid is polite."""

    def __init__(self, me: Seat, peer: Seat) -> None:
        self.me, self.peer = me, peer
        self.polite = me.pid < peer.pid
        self.round = 1
        self._begin()

    def _begin(self) -> None:
        self._number = 0
        self._offered: Offer | None = None
        self._wanted = self._wanted_restart = False
        self._theirs = ""  # the peer's offer that was answered last
        self._seen = 0  # number of the peer's newest offer, answered or not
        self._local = self._remote = ""  # what the two descriptions belong to
        self.settled = ""
        """The last offer that has met its answer here, "" before the first."""

    @property
    def stable(self) -> bool:
        """No offer of ours waits for its answer."""
        return self._offered is None

    # What happens here.

    def needed(self, *, restart: bool = False) -> Sequence[Action]:
        """Something is to be negotiated: tracks have changed, or (`restart`) the path broke."""
        self._wanted, self._wanted_restart = True, self._wanted_restart or restart
        return self._next()

    def restart(self) -> Sequence[Action]:
        """The connection is beyond repair, or an action failed: begin anew on both sides."""
        return [*self._reset(self.round + 1), *self.needed()]

    def overdue(self) -> Sequence[Action]:
        """Nothing came for a while: the offer or its answer may have been lost."""
        return [Repeat(self._offered.neg)] if self._offered else []

    def renewed(self, *, me: int | None = None, peer: int | None = None) -> Sequence[Action]:
        """A side came back in a higher generation; what was sent to the old one may be lost."""
        self.me = Seat(self.me.pid, me or self.me.gen)
        self.peer = Seat(self.peer.pid, peer or self.peer.gen)
        return self.overdue()

    def described(self, neg: str, description: Description) -> VoiceSignalData:
        """Return the signal that carries the local description made for `neg`."""
        return VoiceSignalData(self.peer.pid, self.peer.gen, neg, description=description)

    def gathered(self, candidate: Candidate) -> VoiceSignalData:
        """Return the signal that carries a candidate of the present local description."""
        return VoiceSignalData(self.peer.pid, self.peer.gen, self._local, candidate=candidate)

    # What the peer says.

    def received(self, signal: VoiceSignalled) -> Sequence[Action]:
        """Take a signal; one that is none of this pair's, or out of date, changes nothing."""
        between = (Seat(signal.sender, signal.sender_gen), Seat(signal.to, signal.gen))
        name = _NAME.fullmatch(signal.neg)
        if between != (self.peer, self.me) or name is None:
            return []
        round_, number = int(name[1]), int(name[2])
        if signal.description and signal.description.type == "offer":
            return self._offer_came(signal.neg, round_, number, signal.description)
        if signal.description and signal.description.type == "answer":
            return self._answer_came(signal.neg, signal.description)
        if signal.candidate and signal.neg == self._remote:
            return [Add(signal.candidate)]
        return []

    def _offer_came(
        self, neg: str, round_: int, number: int, offer: Description
    ) -> Sequence[Action]:
        if round_ < self.round:
            return []
        actions = self._reset(round_) if round_ > self.round else []
        again = neg == self._theirs  # then our answer was lost
        if again and self.stable:
            return [Repeat(neg)] if self._local == neg else []
        if number <= self._seen and not again:  # overtaken, or it lost before
            return []
        self._seen = number
        if self._offered and not self.polite:  # glare, and ours stands
            return []
        lost, self._offered = self._offered, None
        if lost and (lost.restart or again):
            # A newer offer of the peer's makes up for ours; an ICE restart is made up for by none.
            self._wanted, self._wanted_restart = True, self._wanted_restart or lost.restart
        self._theirs = self._local = self._remote = self.settled = neg
        return [*actions, Answer(neg, offer, rollback=lost is not None), *self._next()]

    def _answer_came(self, neg: str, answer: Description) -> Sequence[Action]:
        if self._offered is None or self._offered.neg != neg:
            return []
        self._offered = None
        self._remote = self.settled = neg
        return [Accept(answer), *self._next()]

    def _next(self) -> Sequence[Action]:
        """The next offer, if one is wanted and none is under way."""
        if not self._wanted or self._offered:
            return []
        self._number += 1
        neg = f"{self.round}.{self._number}{'p' if self.polite else 'i'}"
        self._offered, self._local = Offer(neg, self._wanted_restart), neg
        self._wanted = self._wanted_restart = False
        return [self._offered]

    def _reset(self, round_: int) -> list[Action]:
        self.round = round_
        self._begin()
        return [Reset()]
