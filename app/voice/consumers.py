"""Socket commands of voice: decoded by the gateway, one service call each, or one for many.
Signals do not come here: the hub hands them on by itself."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from app.accounts.models import User
from app.audit.context import Origin, acting_as, acting_from
from app.errors import DomainError, Invalid, Unauthenticated
from app.realtime import protocol
from app.realtime.protocol import AnyCommand, VoiceJoinData, VoicePlaceData, VoiceResumeData
from app.realtime.services import Principal
from app.voice import services
from app.voice.lifetimes import Holder
from app.voice.services.claims import claim_of


def execute(user: User, whence: Origin, command: AnyCommand) -> Struct:
    """Carry out one command for `user`. Raises DomainError."""
    with acting_from(whence), acting_as(user.actor):
        match command:
            case protocol.VoiceLeave(d=d):
                services.leave(user=user, pid=UUID(d.pid), gen=d.gen)
            case protocol.VoiceIce(d=d):
                return services.ice(user=user, pid=UUID(d.pid), gen=d.gen)
            case protocol.VoiceMute(d=d):
                services.mute(by=user, pid=UUID(d.pid), muted=d.muted)
            case protocol.VoiceShare(d=d):
                services.share(
                    user=user, pid=UUID(d.pid), gen=d.gen, screen=d.screen, video=d.video
                )
            case protocol.VoiceKick(d=d):
                services.kick(by=user, pid=UUID(d.pid))
            case protocol.VoiceMove(d=d):
                services.move(by=user, pid=UUID(d.pid), conversation_id=UUID(d.conversation))
            case protocol.VoiceReport(d=d):
                services.report(user=user, told=d)
            case _:
                raise Invalid("There is no such command here.")
    return protocol.Nothing()


def take_places(
    wanted: Sequence[tuple[Principal, VoiceJoinData | VoiceResumeData]], users: dict[UUID, User]
) -> Sequence[Struct | DomainError]:
    """Join, and come back, many together; each has its own outcome."""
    outcomes = iter(
        services.take_places(
            [
                claim_of(users[principal.user], principal.whence, data)
                for principal, data in wanted
                if principal.user in users
            ]
        )
    )
    return [
        next(outcomes) if principal.user in users else Unauthenticated() for principal, _ in wanted
    ]


def renew_many(
    places: Sequence[tuple[Principal, VoicePlaceData]],
) -> Sequence[Struct | Exception]:
    """Renew many leases in one round trip; each has its own outcome."""
    holders = [
        Holder(UUID(place.pid), place.gen, principal.user, str(principal.session))
        for principal, place in places
    ]
    return [refusal or protocol.Nothing() for refusal in services.renew_many(holders)]
