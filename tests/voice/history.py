"""A call with a little of everything, for tests of records: joins, a mute, a kick, reports."""

from dataclasses import dataclass
from uuid import UUID

from app.accounts.models import User
from app.chat.models import Conversation
from app.realtime.protocol import VoicePlace, VoiceReportData
from app.voice import services
from tests.voice.room import Device


@dataclass
class PastCall:
    """Alice, who is host, and Bob talked; she muted him and put him out; then she left."""

    id: UUID
    alice: VoicePlace
    bob: VoicePlace


def talked(ward: Conversation, alice: User, bob: User) -> PastCall:
    phone, desk = Device(alice), Device(bob)
    first, second = phone.join(ward), desk.join(ward)
    report(bob, second, first, loss=0.02, jitter_ms=3.5, rtt_ms=20.25)
    report(bob, second, first, loss=0.0, jitter_ms=4.5, rtt_ms=40.25)
    services.mute(by=alice, pid=UUID(second.pid), muted=True)
    services.kick(by=alice, pid=UUID(second.pid))
    phone.leave(first)
    return PastCall(UUID(first.call), first, second)


def report(user: User, place: VoicePlace, peer: VoicePlace, **figures: float) -> None:
    told = VoiceReportData(place.pid, place.gen, peer.pid, "relay", **figures)
    services.report(user=user, told=told)
