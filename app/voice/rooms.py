"""Voice rooms as a pure state machine: a command and the present state give changes, or a refusal.

Knows neither tables nor sockets nor clocks, so that any order of events can be tried in
simulation (tests/voice/test_machine.py). Who may is decided by the caller, and passed in; that
nobody else changes the same rooms meanwhile, the caller guarantees with a lock.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from app.errors import Conflict, Denied, NotFound, RoomFull, StaleGeneration
from app.realtime import protocol
from app.realtime.protocol import LeaveReason


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device announces of itself, for its peers to check; see `identity_statement`."""

    key: str
    fingerprint: str
    signature: str


@dataclass(frozen=True, slots=True)
class Place:
    """Somebody's place in the room of `conversation`; `reason` is None while they are there.

    `pid` is made anew for each joining. `gen` counts the sockets that held it, from 1. `at` is
    when they joined, as the trail writes times.
    """

    pid: UUID
    conversation: UUID
    user: UUID
    device: UUID
    identity: Identity
    at: str
    gen: int = 1
    muted: bool = False
    muted_by: UUID | None = None
    screen: bool = False
    video: bool = False
    reason: LeaveReason | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How many a room holds; at which sizes its media should, and must, go through a server.

    0 where there is no such server.
    """

    capacity: int
    offer: int = 0
    force: int = 0


# What may change. The caller writes rows, events and the trail from these.


@dataclass(frozen=True, slots=True)
class Opened:
    """A call begins in the room of `conversation`."""

    conversation: UUID


@dataclass(frozen=True, slots=True)
class Closed:
    """The call in the room of `conversation` is over: nobody is left."""

    conversation: UUID


@dataclass(frozen=True, slots=True)
class Joined:
    place: Place


@dataclass(frozen=True, slots=True)
class Resumed:
    """The place in its new generation."""

    place: Place


@dataclass(frozen=True, slots=True)
class Left:
    """The place as it was, and has ended now; `by` is who else made them leave."""

    place: Place
    reason: LeaveReason
    by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What is sent changed from `before` to `place`; `by` is who did it."""

    before: Place
    place: Place
    by: UUID


@dataclass(frozen=True, slots=True)
class Summoned:
    """Whoever had `place` is asked to join the room of `conversation`."""

    place: Place
    conversation: UUID
    by: UUID


@dataclass(frozen=True, slots=True)
class HandedOver:
    conversation: UUID
    to_sfu: bool
    force: bool


Change = Opened | Closed | Joined | Resumed | Left | Changed | Summoned | HandedOver


def conversation_of(change: Change) -> UUID:
    """Where it happened."""
    match change:
        case Opened(where) | Closed(where) | HandedOver(conversation=where):
            return where
        case _:
            return change.place.conversation


class House:
    """The rooms that a command may touch: everybody in them, and places that it names."""

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._places = {place.pid: place for place in places}

    def known(self, pid: UUID) -> Place | None:
        """The place, also where it has ended."""
        return self._places.get(pid)

    def room(self, conversation: UUID) -> dict[UUID, Place]:
        """Who is in the room now."""
        return {pid: place for pid, place in self.living().items() if _in(place, conversation)}

    def living(self) -> dict[UUID, Place]:
        return {pid: place for pid, place in self._places.items() if place.reason is None}

    def held_by(self, user: UUID, device: UUID) -> Place | None:
        """The one place that this device of the user has now."""
        mine = (one for one in self.living().values() if (one.user, one.device) == (user, device))
        return next(mine, None)

    def after(self, changes: Iterable[Change]) -> "House":
        """The rooms once `changes` have happened."""
        return House([*self._places.values(), *_after(changes)])


class Town:
    """All the rooms that a batch of commands touches, as they are after each of them."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._known: dict[UUID, Place] = {}
        self._rooms: dict[UUID, dict[UUID, Place]] = defaultdict(dict)
        self._held: dict[tuple[UUID, UUID], UUID] = {}
        for place in places:
            self._put(place)

    def _put(self, place: Place) -> None:
        self._known[place.pid] = place
        holder = (place.user, place.device)
        if place.reason is None:
            self._rooms[place.conversation][place.pid] = place
            self._held[holder] = place.pid
        else:
            self._rooms[place.conversation].pop(place.pid, None)
            if self._held.get(holder) == place.pid:
                del self._held[holder]

    def known(self, pid: UUID) -> Place | None:
        """As `House.known`."""
        return self._known.get(pid)

    def held_by(self, user: UUID, device: UUID) -> Place | None:
        """As `House.held_by`."""
        pid = self._held.get((user, device))
        return None if pid is None else self._known[pid]

    def is_there(self, pid: UUID, gen: int) -> bool:
        """Whether somebody is there, in that generation."""
        place = self._known.get(pid)
        return place is not None and place.reason is None and place.gen == gen

    def room(self, conversation: UUID) -> list[Place]:
        """Who is in the room now, in the order of joining."""
        return sorted(self._rooms[conversation].values(), key=lambda place: (place.at, place.pid))

    def house(self, conversations: Iterable[UUID], pid: UUID) -> House:
        """What one command may touch: these rooms, and `pid` wherever it is."""
        there = [one for where in set(conversations) for one in self._rooms[where].values()]
        named = self._known.get(pid)
        return House(there if named is None else [*there, named])

    def happen(self, changes: Iterable[Change]) -> None:
        """From here on the rooms are as after `changes`."""
        for place in _after(changes):
            self._put(place)


def _after(changes: Iterable[Change]) -> Iterator[Place]:
    """Each place that `changes` change, as it is then."""
    for change in changes:
        match change:
            case Joined(place) | Resumed(place) | Changed(place=place):
                yield place
            case Left(place, reason):
                yield replace(place, reason=reason)


def _in(place: Place, conversation: UUID) -> bool:
    return place.conversation == conversation


def join(house: House, wanted: Place, limits: Limits) -> list[Change]:
    """Take a place; the same join again changes nothing.

    A device has one place: its older one is given up, as `replaced`, or as `moved` if it was in
    another room. Raises RoomFull, StaleGeneration (that place has ended, or went on), Conflict.
    """
    known = house.known(wanted.pid)
    if known is not None:
        return _joined_before(known, wanted)
    changes: list[Change] = []
    older = house.held_by(wanted.user, wanted.device)
    if older is not None:
        same_room = _in(older, wanted.conversation)
        changes.append(Left(older, "replaced" if same_room else "moved"))
    there = house.after(changes).room(wanted.conversation)
    if len(there) >= limits.capacity:
        raise RoomFull
    if older is not None and not _in(older, wanted.conversation):
        changes += _emptied(house.after(changes), older.conversation, limits)
    if not house.room(wanted.conversation):
        changes.append(Opened(wanted.conversation))
    changes.append(Joined(wanted))
    return changes + _grown(wanted.conversation, len(there) + 1, limits)


def _joined_before(known: Place, wanted: Place) -> list[Change]:
    fixed = (known.user, known.device, known.conversation, known.identity.key)
    if fixed != (wanted.user, wanted.device, wanted.conversation, wanted.identity.key):
        raise Conflict("This participant id is taken: make another one.")
    if known.reason is not None or known.gen != 1:
        raise StaleGeneration
    if known.identity != wanted.identity:
        raise Conflict("This participant id was used with another certificate: make another one.")
    return []


def resume(house: House, pid: UUID, user: UUID, gen: int, identity: Identity) -> list[Change]:
    """Take up one's place from another socket, as generation `gen`, one above the present one.

    The same again changes nothing. Raises NotFound, StaleGeneration. The key cannot change.
    """
    place = _own(house, pid, user)
    if place.reason is not None:
        raise StaleGeneration
    identity = replace(identity, key=place.identity.key)
    if gen == place.gen and gen > 1 and identity == place.identity:
        return []
    if gen != place.gen + 1:
        raise StaleGeneration
    return [Resumed(replace(place, gen=gen, identity=identity))]


def leave(house: House, pid: UUID, user: UUID, gen: int, limits: Limits) -> list[Change]:
    """Give up one's place; to have left already changes nothing. Raises as `resume`."""
    place = _own(house, pid, user)
    if place.reason is not None:
        return []
    if gen != place.gen:
        raise StaleGeneration
    return _left(house, place, "left", None, limits)


def mute(house: House, pid: UUID, by: UUID, *, host: bool, muted: bool) -> list[Change]:
    """Mute or unmute oneself; a `host` mutes others, and unmutes nobody else.

    Raises NotFound, Denied, StaleGeneration.
    """
    place = _there(house, pid)
    if place.user != by and not host:
        raise Denied("Only a host mutes others.")
    if place.user != by and not muted:
        raise Denied("Nobody unmutes another person.")
    if place.muted == muted:
        return []
    muted_by = by if place.user != by else None
    return [Changed(place, replace(place, muted=muted, muted_by=muted_by), by)]


def share(
    house: House, pid: UUID, user: UUID, gen: int, *, screen: bool, video: bool
) -> list[Change]:
    """Say what one sends beside sound. Raises NotFound, StaleGeneration."""
    place = _own(house, pid, user)
    if place.reason is not None or place.gen != gen:
        raise StaleGeneration
    after = replace(place, screen=screen, video=video)
    return [] if after == place else [Changed(place, after, user)]


def kick(house: House, pid: UUID, by: UUID, limits: Limits, *, host: bool) -> list[Change]:
    """Put somebody out; whoever has left already stays out. Raises NotFound, Denied."""
    place = house.known(pid)
    if place is None:
        raise NotFound
    if not host:
        raise Denied("Only a host puts others out of the room.")
    return [] if place.reason is not None else _left(house, place, "kicked", by, limits)


def move(
    house: House, pid: UUID, by: UUID, to: UUID, limits: Limits, *, host: bool
) -> list[Change]:
    """Send somebody on to the room of another conversation: they leave, and are told to join.

    Raises NotFound, Denied, Conflict.
    """
    place = house.known(pid)
    if place is None:
        raise NotFound
    if not host:
        raise Denied("Only a host sends others to another room.")
    if place.reason is not None:
        return []
    if _in(place, to):
        raise Conflict("They are in that room already.")
    # The summons first: with the last one who leaves, the call that it belongs to ends.
    return [Summoned(place, to, by), *_left(house, place, "moved", by, limits)]


def expire(house: House, pid: UUID, gen: int, limits: Limits) -> list[Change]:
    """The lease of generation `gen` has ended; nothing happens to a later generation."""
    return _end(house, pid, gen, "timeout", limits)


def revoke(house: House, pid: UUID, gen: int, limits: Limits) -> list[Change]:
    """They may no longer be here: not a member any more, disabled, or signed out."""
    return _end(house, pid, gen, "revoked", limits)


def _end(house: House, pid: UUID, gen: int, reason: LeaveReason, limits: Limits) -> list[Change]:
    place = house.known(pid)
    if place is None or place.reason is not None or place.gen != gen:
        return []
    return _left(house, place, reason, None, limits)


def _own(house: House, pid: UUID, user: UUID) -> Place:
    place = house.known(pid)
    if place is None or place.user != user:
        raise NotFound
    return place


def _there(house: House, pid: UUID) -> Place:
    place = house.known(pid)
    if place is None:
        raise NotFound
    if place.reason is not None:
        raise StaleGeneration("They are no longer in the room.")
    return place


def _left(
    house: House, place: Place, reason: LeaveReason, by: UUID | None, limits: Limits
) -> list[Change]:
    gone = Left(place, reason, by)
    return [gone, *_emptied(house.after([gone]), place.conversation, limits)]


def _emptied(after: House, conversation: UUID, limits: Limits) -> list[Change]:
    """What follows from somebody's leaving: the call's end, or its way back to a mesh."""
    size = len(after.room(conversation))
    if size == 0:
        return [Closed(conversation)]
    if limits.offer and size == limits.offer - 1:
        return [HandedOver(conversation, to_sfu=False, force=False)]
    return []


def _grown(conversation: UUID, size: int, limits: Limits) -> list[Change]:
    if limits.offer and size in {limits.offer, limits.force}:
        return [HandedOver(conversation, to_sfu=True, force=size == limits.force)]
    return []


# On the wire.


def participant(place: Place) -> protocol.Participant:
    """A place as others in the room see it."""
    return protocol.Participant(
        pid=str(place.pid),
        gen=place.gen,
        user=str(place.user),
        device=str(place.device),
        at=place.at,
        muted=place.muted,
        muted_by=_text(place.muted_by),
        screen=place.screen,
        video=place.video,
        key=place.identity.key,
        fingerprint=place.identity.fingerprint,
        signature=place.identity.signature,
    )


def event(  # noqa: PLR0911 - one for each change
    change: Change, *, call: UUID, at: str
) -> protocol.DurableEvent | None:
    """What the room's stream tells of a change; None where that is told by another one.

    `Summoned` is for the stream of the person, all others for the room's.
    """
    match change:
        case Joined(place):
            return protocol.VoiceJoined(call=str(call), participant=participant(place))
        case Resumed(place):
            return protocol.VoiceResumed(
                pid=str(place.pid),
                gen=place.gen,
                fingerprint=place.identity.fingerprint,
                signature=place.identity.signature,
            )
        case Left(place, reason, by):
            return protocol.VoiceLeft(str(place.pid), str(place.user), reason, _text(by), at)
        case Changed(place=place):
            return protocol.VoiceChanged(
                pid=str(place.pid),
                muted=place.muted,
                muted_by=_text(place.muted_by),
                screen=place.screen,
                video=place.video,
            )
        case HandedOver(_, to_sfu, force):
            return protocol.VoiceHandover("sfu" if to_sfu else "mesh", force)
        case Summoned(place, conversation, by):
            return protocol.VoiceSummoned(str(place.pid), str(conversation), str(by))
        case Opened() | Closed():
            return None


def _text(identity: UUID | None) -> str | None:
    return None if identity is None else str(identity)
