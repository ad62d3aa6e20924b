"""Keeps count of what was written and what was heard, and says what does not agree.

Pure. Each worker has one `Ledger`; their pages are put together by `judge`.

A sender numbers what it writes into a conversation, from 1, one after the other. An **ear** is
one listener in one conversation, without interruption, from a position on. It has to hear each
acknowledged number whose offset is after that position, once, in order; up to its own last
position if it stopped listening. What was never acknowledged may be heard or not. What nobody
wrote, or somebody in a room who has been gone for longer than `GHOST_SECONDS`, is a ghost. Two who
were in a room together for longer than `APART_SECONDS` have to be connected; with media each has
to hear the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct, field

GHOST_SECONDS = 25.0
PROMPT_SECONDS = 2.5
"""Of the 25 s 20 are the lease and 2.5 lie between two sweeps (`app.voice.reaper.SECONDS`); so much
is left to take somebody out and to tell the others. That is the same transaction as when somebody
leaves: where the slowest change of a room took longer meanwhile (a machine that is short of
processors), so may this. Somebody who simply stays is a ghost all the same, as each is looked for
until the end of the run."""
APART_SECONDS = 25.0
DEAF_SECONDS = 5.0
EXAMPLES = 10


class Said(Struct):
    """What one sender wrote into one conversation: `offsets[n - 1]` is that of number n. 0 as
    long as nothing acknowledged it; below 0 where all that is known is that it is higher."""

    offsets: list[int] = field(default_factory=list)


class Heard(Struct):
    """The numbers of one sender at one ear: all from `first` to `last` but those `missing`."""

    first: int
    last: int
    missing: set[int] = field(default_factory=set)


class Ear(Struct):
    """`since` is the offset after which it listens; `until` the last one, None to the end."""

    listener: str
    conversation: str
    since: int
    until: int | None = None
    heard: dict[str, Heard] = field(default_factory=dict)
    received: int = 0
    doubled: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)

    def hear(self, sender: str, number: int) -> None:
        self.received += 1
        known = self.heard.get(sender)
        if known is None:
            self.heard[sender] = Heard(number, number)
        elif number == known.last + 1:
            known.last = number
        elif number > known.last:
            known.missing.update(range(known.last + 1, number))
            known.last = number
        elif number in known.missing:
            known.missing.remove(number)
            self.reordered.append(f"{sender}'s number {number}")
        elif number < known.first:
            known.missing.update(range(number + 1, known.first))
            known.first = number
            self.reordered.append(f"{sender}'s number {number}")
        else:
            self.doubled.append(f"{sender}'s number {number}")


class Stay(Struct):
    """A participant of a voice room: when it came, left or was cut off, and when it was seen."""

    came: float | None = None
    gone: float | None = None
    first: float | None = None
    seen: float | None = None
    where: str = ""


class Apart(Struct):
    """Two participants of whom the first wanted to be connected `since`; `until` one of them
    gave up, None if nobody did."""

    me: str
    peer: str
    where: str
    since: float
    until: float | None = None


class Way(Struct):
    """Sound of one participant to another: `sent` by the one, `heard` by the other, in frames;
    `missed` are those between the first and the last one heard. Each end knows its part."""

    sender: str
    receiver: str
    since: float | None = None
    sent: int = 0
    heard: int = 0
    missed: int = 0


class Page(Struct):
    """What one worker knows: put into JSON, it goes to where all are put together."""

    said: dict[str, dict[str, Said]] = field(default_factory=dict)
    ears: list[Ear] = field(default_factory=list)
    stays: dict[str, Stay] = field(default_factory=dict)
    pairs: int = 0  # that were connected
    apart: dict[str, Apart] = field(default_factory=dict)  # those that are not
    ways: dict[str, Way] = field(default_factory=dict)
    changes: list[tuple[float, float]] = field(default_factory=list)
    """Joins, leaves and mutes that took longer than `PROMPT_SECONDS`: when answered, how long."""
    written: float | None = None


class Ledger:
    """The page of one worker, as it is written. Times are seconds of one clock of all workers."""

    def __init__(self) -> None:
        self.page = Page()

    def number(self, conversation: str, sender: str) -> int:
        """Return the number that the sender's next message is to bear."""
        said = self.page.said.setdefault(conversation, {}).setdefault(sender, Said())
        said.offsets.append(0)
        return len(said.offsets)

    def acknowledged(self, conversation: str, sender: str, number: int, offset: int) -> None:
        self.page.said[conversation][sender].offsets[number - 1] = offset

    def listen(self, listener: str, conversation: str, since: int) -> Ear:
        ear = Ear(listener, conversation, since)
        self.page.ears.append(ear)
        return ear

    def came(self, pid: str, room: str, at: float) -> None:
        stay = self.page.stays.setdefault(pid, Stay())
        stay.came, stay.where = at, room

    def gone(self, pid: str, at: float) -> None:
        self.page.stays.setdefault(pid, Stay()).gone = at

    def seen(self, pid: str, room: str, at: float) -> None:
        """Somebody else was told, or still believes, that `pid` is there."""
        stay = self.page.stays.setdefault(pid, Stay())
        stay.first = min(stay.first or at, at)
        stay.seen, stay.where = max(stay.seen or at, at), stay.where or room

    def changed(self, at: float, seconds: float) -> None:
        """A room was changed `at` that time, after so long."""
        if seconds > PROMPT_SECONDS:
            self.page.changes.append((at, seconds))

    def wanted(self, me: str, peer: str, room: str, at: float) -> None:
        """`me` begins to connect to `peer`."""
        self.page.apart[f"{me} {peer}"] = Apart(me, peer, room, at)

    def connected(self, me: str, peer: str) -> None:
        if self.page.apart.pop(f"{me} {peer}", None):
            self.page.pairs += 1

    def parted(self, me: str, peer: str, at: float) -> None:
        """One of them is gone, for the other at least."""
        pair = self.page.apart.get(f"{me} {peer}")
        if pair and at - pair.since > APART_SECONDS:
            pair.until = at
        elif pair:
            del self.page.apart[f"{me} {peer}"]

    def way(self, sender: str, receiver: str) -> Way:
        """What is counted as it is sent or heard."""
        key = f"{sender} {receiver}"
        return self.page.ways.setdefault(key, Way(sender, receiver))

    def encoded(self, at: float) -> bytes:
        self.page.written = at
        return msgspec.json.encode(self.page)


class Verdict(Struct):
    """How many of each; `examples` are sentences about some."""

    acknowledged: int = 0
    received: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    ghosts: int = 0
    pairs: int = 0
    apart: int = 0
    ways: int = 0
    deaf: int = 0
    frames_heard: int = 0
    frames_missed: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append(sentence)


def judge(pages: Sequence[Page], outages: Sequence[tuple[float, float]] = ()) -> Verdict:
    """Compare what all workers wrote with what they heard.

    In an `outage` (from, until) the leases of voice rooms were lost: they begin anew after it.
    """
    said = _together(pages)
    verdict = Verdict()
    for senders in said.values():
        verdict.acknowledged += sum(offset != 0 for one in senders.values() for offset in one)
    for page in pages:
        for ear in page.ears:
            _judge_ear(ear, said.get(ear.conversation, {}), verdict)
    stays = _stays(pages)
    changes = [change for page in pages for change in page.changes]
    _judge_stays(stays, outages, changes, verdict)
    _judge_pairs(pages, stays, verdict)
    _judge_ways(pages, stays, verdict)
    return verdict


def decoded(page: bytes) -> Page:
    return msgspec.json.decode(page, type=Page)


def _together(pages: Sequence[Page]) -> dict[str, dict[str, list[int]]]:
    """A sender writes from one worker, so no two pages have the same."""
    said: defaultdict[str, dict[str, list[int]]] = defaultdict(dict)
    for page in pages:
        for conversation, senders in page.said.items():
            said[conversation] |= {sender: one.offsets for sender, one in senders.items()}
    return said


def _judge_ear(ear: Ear, said: dict[str, list[int]], verdict: Verdict) -> None:
    here = f"{ear.listener} in {ear.conversation}"
    verdict.received += ear.received
    verdict.doubled += len(ear.doubled)
    verdict.reordered += len(ear.reordered)
    for what in ear.doubled:
        verdict.note(f"{here} heard {what} twice")
    for what in ear.reordered:
        verdict.note(f"{here} heard {what} late")
    for sender, heard in ear.heard.items():
        invented = heard.last - len(said.get(sender, []))
        if invented > 0:
            verdict.ghosts += invented
            verdict.note(f"{here} heard number {heard.last} of {sender}, who never wrote it")
    for sender, offsets in said.items():
        for number in _unheard(ear, ear.heard.get(sender), offsets):
            verdict.lost += 1
            verdict.note(f"{here} never heard {sender}'s number {number}, which was acknowledged")


def _unheard(ear: Ear, heard: Heard | None, offsets: list[int]) -> list[int]:
    """Numbers that were acknowledged while the ear listened, and did not come."""
    if heard is None:
        silent = list(range(1, len(offsets) + 1))
    else:
        around = {*range(1, heard.first), *range(heard.last + 1, len(offsets) + 1)}
        silent = sorted(around | {one for one in heard.missing if one <= len(offsets)})
    return [number for number in silent if _due(ear, number, offsets)]


def _due(ear: Ear, number: int, offsets: list[int]) -> bool:
    """Whether it was acknowledged with an offset that is surely one of the ear's."""
    at = offsets[number - 1]
    if at == 0 or (at < 0 and -at < ear.since) or 0 < at <= ear.since:
        return False
    if ear.until is None:
        return True
    # The offset itself, or that of something that its sender wrote later.
    return any(0 < later <= ear.until for later in offsets[number - 1 :])


def _stays(pages: Sequence[Page]) -> dict[str, Stay]:
    """Where somebody was, and who saw them, may be on several pages."""
    stays: dict[str, Stay] = {}
    for page in pages:
        for pid, stay in page.stays.items():
            known = stays.setdefault(pid, stay)
            known.came = known.came or stay.came
            known.gone = known.gone or stay.gone
            known.first = min(filter(None, (known.first, stay.first)), default=None)
            known.seen = max(filter(None, (known.seen, stay.seen)), default=None)
            known.where = known.where or stay.where
    return stays


def _judge_stays(
    stays: Mapping[str, Stay],
    outages: Sequence[tuple[float, float]],
    changes: Sequence[tuple[float, float]],
    verdict: Verdict,
) -> None:
    for pid, stay in stays.items():
        # Whose joining was cut off before it was answered is not known here, and soon not there.
        gone = stay.gone if stay.came else stay.first
        for since, until in outages:
            if gone and since - GHOST_SECONDS < gone < until:
                gone = until
        if gone and stay.seen and stay.seen > gone + _allowed(gone, stay.seen, changes):
            verdict.ghosts += 1
            what = "it had gone" if stay.came else "it appeared, and nobody joined as that"
            verdict.note(f"{pid} was seen in {stay.where} {stay.seen - gone:.0f} s after {what}")


def _allowed(gone: float, seen: float, changes: Sequence[tuple[float, float]]) -> float:
    """How long somebody may be seen after going, with rooms as slow as they were meanwhile."""
    slowest = [took for at, took in changes if at > gone and at - took < seen]
    return GHOST_SECONDS - PROMPT_SECONDS + max([PROMPT_SECONDS, *slowest])


def _judge_pairs(pages: Sequence[Page], stays: Mapping[str, Stay], verdict: Verdict) -> None:
    """Whoever was gone before could not be reached; that they are still seen is another matter."""
    for page in pages:
        verdict.pairs += page.pairs
        for pair in page.apart.values():
            ends = pair.until or page.written or pair.since
            together = _together_until(ends, (pair.me, pair.peer), stays) - pair.since
            if together > APART_SECONDS:
                verdict.apart += 1
                verdict.note(
                    f"{pair.me} and {pair.peer} were in {pair.where} together for {together:.0f} s"
                    " and not connected"
                )


def _judge_ways(pages: Sequence[Page], stays: Mapping[str, Stay], verdict: Verdict) -> None:
    ways: dict[str, Way] = {}
    for page in pages:
        for key, way in page.ways.items():
            known = ways.setdefault(key, Way(way.sender, way.receiver))
            known.since = known.since or way.since
            known.sent += way.sent
            known.heard += way.heard
            known.missed += way.missed
    written = max((page.written or 0.0 for page in pages), default=0.0)
    for way in ways.values():
        if way.since is None:
            continue
        verdict.ways += 1
        verdict.frames_heard += way.heard
        verdict.frames_missed += way.missed
        together = _together_until(written, (way.sender, way.receiver), stays) - way.since
        if not way.heard and together > DEAF_SECONDS:
            verdict.deaf += 1
            verdict.note(
                f"{way.receiver} heard nothing of {way.sender} in {together:.0f} s, who sent"
                f" {way.sent} frames"
            )


def _together_until(end: float, pair: Iterable[str], stays: Mapping[str, Stay]) -> float:
    """Until when both were there. Who never came, as far as is known, was not."""
    for pid in pair:
        stay = stays.get(pid)
        if stay is None or stay.came is None:
            return 0.0
        end = min(end, stay.gone or end)
    return end
