"""Joining rooms and coming back to them, in batches (group commit): one transaction, few
statements, and for each its own outcome, as if each had come alone, one after the other."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from app.accounts.models import User
from app.chat import access as chat
from app.chat.models import Membership
from app.errors import Conflict, DomainError, NotFound
from app.realtime import protocol
from app.realtime.access import Place as Position
from app.realtime.services import voice_stream
from app.voice import access, leases, rooms, sfu
from app.voice.access import Pair
from app.voice.lifetimes import Holder
from app.voice.rooms import Limits, Town
from app.voice.services.claims import Claim, Joining, Resuming
from app.voice.services.entries import Act
from app.voice.services.handover import admission, limits_for
from app.voice.services.places import credentials
from app.voice.services.writing import Writer, limits, lock

_ATTEMPTS = 5

Outcome = protocol.VoicePlace | DomainError


def join(*, user: User, session: str, wanted: protocol.VoiceJoinData) -> protocol.VoicePlace:
    """Take a place in the room of a conversation of the user's; the same join again changes
    nothing. Raises NotFound, RoomFull, StaleGeneration, Conflict.
    """
    return _alone(Joining.of(user, session, wanted))


def resume(*, user: User, session: str, wanted: protocol.VoiceResumeData) -> protocol.VoicePlace:
    """Take up one's place from another socket. Raises NotFound, StaleGeneration."""
    return _alone(Resuming.of(user, session, wanted))


def _alone(claim: Claim) -> protocol.VoicePlace:
    (outcome,) = take_places([claim])
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def take_places(claims: Sequence[Claim]) -> list[Outcome]:
    """Carry out all of them, in their order; one that is refused fails alone."""
    return [outcome for part in _parts(claims) for outcome in _together(part)]


def _parts(claims: Sequence[Claim]) -> Iterator[Sequence[Claim]]:
    """As many at a time as may be. A call that only begins has no room at the SFU yet: so where
    there is one, no call grows at once to a size at which it moves there."""
    if sfu.configured() is None:
        yield claims
        return
    most = max(1, limits().offer - 1)
    part, joined = list[Claim](), Counter[UUID]()
    for claim in claims:
        if isinstance(claim, Joining):
            if joined[claim.conversation] == most:
                yield part
                part, joined = [], Counter()
            joined[claim.conversation] += 1
        part.append(claim)
    yield part


def _together(claims: Sequence[Claim]) -> list[Outcome]:
    allowed = _allowed([claim for claim in claims if isinstance(claim, Joining)])
    for _ in range(_ATTEMPTS):
        try:
            with transaction.atomic():
                return _take(claims, allowed)
        except (_Again, IntegrityError):
            continue  # a device, or a pid, was taken elsewhere at this moment
    if len(claims) == 1:
        return [Conflict()]
    return [outcome for claim in claims for outcome in _together([claim])]


def _allowed(joins: Sequence[Joining]) -> dict[UUID, Limits]:
    """How large the rooms may become; for a stranger nobody asks the SFU."""
    allowed = {claim.conversation: limits() for claim in joins}
    if sfu.configured() is None:
        return allowed
    members = chat.may_listen([(claim.user, claim.conversation) for claim in joins])
    growing = (claim for claim in joins if (claim.user.pk, claim.conversation) in members)
    return allowed | limits_for(Counter(claim.conversation for claim in growing))


class _Again(Exception):
    """A device went to another room before we had the locks."""


def _take(claims: Sequence[Claim], allowed: Mapping[UUID, Limits]) -> list[Outcome]:
    batch = _Batch.locked(claims)
    outcomes: list[Outcome] = []
    for claim in claims:
        try:
            outcomes.append(batch.carry_out(claim, allowed))
        except DomainError as refusal:
            outcomes.append(refusal)
    batch.write()
    return outcomes


@dataclass(slots=True)
class _Batch:
    """The rooms that a batch touches, under their locks, and what is to be written."""

    stays: Mapping[Pair, Membership]
    positions: Mapping[str, Position]
    town: Town
    writer: Writer
    holders: dict[UUID, Holder] = field(default_factory=dict)

    @classmethod
    def locked(cls, claims: Sequence[Claim]) -> Self:
        """Lock and read all at once. Raises _Again."""
        joins = [claim for claim in claims if isinstance(claim, Joining)]
        pids = {claim.pid for claim in claims}
        devices = {(claim.user.pk, claim.device) for claim in joins}
        found = access.whereabouts(pids, devices)
        where = {row.pid: row.conversation_id for row in found}
        pairs = {(claim.user.pk, where[claim.pid]) for claim in claims if claim.pid in where}
        stays = access.stays_kept(pairs | {(claim.user.pk, claim.conversation) for claim in joins})
        organizations = {
            stay.conversation_id: stay.conversation.organization_id for stay in stays.values()
        }
        left = {row.conversation_id for row in found if (row.user_id, row.device) in devices}
        touched = organizations.keys() | left
        positions = lock(touched)
        town = access.town(touched, pids, devices)
        older = [place for device in devices if (place := town.held_by(*device)) is not None]
        if not {place.conversation for place in older} <= touched:
            raise _Again
        writer = Writer(
            calls=access.calls_on(touched),
            notices=access.notices_of(organizations) if joins else {},
            connections=access.connections([place.pid for place in older]) if older else {},
        )
        return cls(stays, positions, town, writer)

    def carry_out(self, claim: Claim, allowed: Mapping[UUID, Limits]) -> protocol.VoicePlace:
        """What was asked for, as it is after all before it. Raises DomainError."""
        room = claim.room(self.town)
        stay = self.stays.get((claim.user.pk, room)) if room else None
        if stay is None:
            raise NotFound
        act = Act(claim.user.organization_id, claim.user.actor, timezone.now(), claim.origin)
        changes = claim.decide(self.town, act.at, allowed)
        self.writer.note(act, changes)
        self.town.happen(changes)
        self.holders[claim.pid] = claim.holder
        return self._place(claim, stay)

    def write(self) -> None:
        """And grant the leases, still under the locks."""
        self.writer.write()
        leases.grant([one for one in self.holders.values() if self.town.is_there(one.pid, one.gen)])

    def _place(self, claim: Claim, stay: Membership) -> protocol.VoicePlace:
        """Where one is now: who is there, at that position of the room's stream."""
        conversation = stay.conversation_id
        stream = voice_stream(conversation)
        epoch, top = self.positions[stream]
        call = self.writer.calls[conversation]
        return protocol.VoicePlace(
            conversation=str(conversation),
            call=str(call.pk),
            pid=str(claim.pid),
            gen=claim.gen,
            s=stream,
            e=epoch,
            o=top + len(self.writer.events.get(stream, [])),
            participants=[rooms.participant(place) for place in self.town.room(conversation)],
            ice=credentials(claim.pid),
            capacity=limits().capacity,
            host=access.is_host(stay),
            notice=call.notice,
            sfu=admission(call, claim.pid),
        )
