"""Short ways to join rooms, for tests: devices with made-up keys, and what rows say."""

import hashlib
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from app.accounts.models import User
from app.chat.models import Conversation
from app.realtime.protocol import VoiceJoinData, VoicePlace, VoiceResumeData
from app.voice import services
from app.voice.models import Participant

KEY = "A" * 87
SIGNATURE = "B" * 86


def fingerprint(of: object) -> str:
    """The fingerprint of a certificate that nobody has."""
    digest = hashlib.sha256(str(of).encode()).hexdigest().upper()
    return ":".join(digest[place : place + 2] for place in range(0, 64, 2))


@dataclass
class Device:
    """One device of a member; it joins with a new pid each time."""

    user: User
    id: UUID = field(default_factory=uuid4)
    session: str = ""

    def joining(self, conversation: Conversation, pid: UUID | None = None) -> VoiceJoinData:
        pid = pid or uuid4()
        return VoiceJoinData(
            conversation=str(conversation.pk),
            pid=str(pid),
            device=str(self.id),
            key=KEY,
            fingerprint=fingerprint(pid),
            signature=SIGNATURE,
        )

    def join(self, conversation: Conversation, pid: UUID | None = None) -> VoicePlace:
        wanted = self.joining(conversation, pid)
        return services.join(user=self.user, session=self.session, wanted=wanted)

    def resuming(self, place: VoicePlace, gen: int) -> VoiceResumeData:
        return VoiceResumeData(place.pid, gen, fingerprint((place.pid, gen)), SIGNATURE)

    def resume(self, place: VoicePlace, gen: int) -> VoicePlace:
        wanted = self.resuming(place, gen)
        return services.resume(user=self.user, session=self.session, wanted=wanted)

    def leave(self, place: VoicePlace) -> None:
        services.leave(user=self.user, pid=UUID(place.pid), gen=place.gen)


def row(place: VoicePlace) -> Participant:
    return Participant.objects.get(pid=place.pid)


def reasons(conversation: Conversation) -> list[str]:
    """Why those left who have left, in the order of joining; "" for who is there."""
    found = Participant.objects.filter(conversation=conversation).order_by("joined_at")
    return list(found.values_list("reason", flat=True))
