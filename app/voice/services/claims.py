"""What somebody wants of a room: a new place in it, or their own from another socket."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from app.accounts.models import User
from app.accounts.permissions import Permission, require
from app.audit.context import Origin
from app.audit.leaves import timestamp
from app.realtime.protocol import VoiceJoinData, VoiceResumeData
from app.voice import rooms
from app.voice.lifetimes import Holder
from app.voice.rooms import Change, Identity, Limits, Place, Town


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(ABC):
    """`user` wants the place `pid` as generation `gen`; `session` is that of their socket."""

    user: User
    session: str
    pid: UUID
    gen: int = 1
    identity: Identity
    origin: Origin | None = None
    """Where it came from; None: from where we are."""

    @property
    def holder(self) -> Holder:
        """Whose lease it becomes."""
        return Holder(self.pid, self.gen, self.user.pk, self.session)

    @abstractmethod
    def room(self, town: Town) -> UUID | None:
        """The conversation it is in; None where there is no such place of theirs."""

    @abstractmethod
    def decide(self, town: Town, at: datetime, allowed: Mapping[UUID, Limits]) -> list[Change]:
        """What happens. Raises DomainError where that is a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining(Claim):
    """A new place in the room of a conversation; the same again changes nothing."""

    conversation: UUID
    device: UUID
    muted: bool

    @classmethod
    def of(
        cls, user: User, session: str, wanted: VoiceJoinData, origin: Origin | None = None
    ) -> Self:
        return cls(
            user=user,
            session=session,
            pid=UUID(wanted.pid),
            identity=Identity(wanted.key, wanted.fingerprint, wanted.signature),
            origin=origin,
            conversation=UUID(wanted.conversation),
            device=UUID(wanted.device),
            muted=wanted.muted,
        )

    def room(self, town: Town) -> UUID | None:
        return self.conversation

    def decide(self, town: Town, at: datetime, allowed: Mapping[UUID, Limits]) -> list[Change]:
        require(self.user, Permission.CALLS_JOIN)
        place = Place(
            pid=self.pid,
            conversation=self.conversation,
            user=self.user.pk,
            device=self.device,
            identity=self.identity,
            at=timestamp(at),
            muted=self.muted,
        )
        older = town.held_by(self.user.pk, self.device)
        touched = {self.conversation, older.conversation} if older else {self.conversation}
        return rooms.join(town.house(touched, self.pid), place, allowed[self.conversation])


@dataclass(frozen=True, slots=True, kw_only=True)
class Resuming(Claim):
    """One's place from another socket, as the next generation; the same again changes nothing."""

    @classmethod
    def of(
        cls, user: User, session: str, wanted: VoiceResumeData, origin: Origin | None = None
    ) -> Self:
        return cls(
            user=user,
            session=session,
            pid=UUID(wanted.pid),
            gen=wanted.gen,
            identity=Identity("", wanted.fingerprint, wanted.signature),
            origin=origin,
        )

    def room(self, town: Town) -> UUID | None:
        place = town.known(self.pid)
        return place.conversation if place and place.user == self.user.pk else None

    def decide(self, town: Town, at: datetime, allowed: Mapping[UUID, Limits]) -> list[Change]:
        house = town.house([], self.pid)
        return rooms.resume(house, self.pid, self.user.pk, self.gen, self.identity)


def claim_of(user: User, whence: Origin, wanted: VoiceJoinData | VoiceResumeData) -> Claim:
    """The claim of somebody at a socket."""
    if isinstance(wanted, VoiceJoinData):
        return Joining.of(user, whence.session, wanted, whence)
    return Resuming.of(user, whence.session, wanted, whence)
