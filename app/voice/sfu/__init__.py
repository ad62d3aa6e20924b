"""Where media goes when a mesh is too large: a server that forwards it (SFU), if one is set up.

Nothing else in Parley knows which one it is. The server carries sound and pictures only: who is
in a call is decided here, by participants and their leases, in a mesh and beyond it alike.
"""

from typing import NamedTuple, Protocol
from uuid import UUID

from django.conf import settings


class SfuFailed(Exception):
    """The server could not be asked, or did not do it; the text names no secret and no person."""


class SfuAway(SfuFailed):
    """It does not answer, or fails by itself (5xx), whoever asks for whatever."""


class BadWebhook(Exception):
    """What arrived was not sent by our server, or was changed or kept on the way."""


class Arrival(NamedTuple):
    """Somebody's media arrived at the server, under the name that their token has: a `pid`."""

    call: UUID
    identity: str


class Sfu(Protocol):
    """A room of the server is named by its call, a participant by their place (`pid`)."""

    @property
    def url(self) -> str:
        """Where clients connect to."""

    def token(self, call: UUID, pid: UUID) -> str:
        """What lets this place into this call, for TOKEN_SECONDS. Asks nobody."""

    def prepare(self, call: UUID, capacity: int) -> None:
        """Have a room ready; that it is done shows that the server answers. Raises SfuFailed."""

    def people(self, call: UUID) -> set[str]:
        """Who is in the room, by the names of their tokens. Raises SfuFailed."""

    def remove(self, call: UUID, identity: str) -> None:
        """Put somebody out; done already is fine. Raises SfuFailed."""

    def silence(self, call: UUID, identity: str) -> None:
        """Mute somebody's microphone; done already is fine. Raises SfuFailed."""

    def arrival(self, body: bytes, authorization: str) -> Arrival | None:
        """What a webhook tells, None where it is nothing to us. Raises BadWebhook."""


TOKEN_SECONDS = 600


def configured() -> Sfu | None:
    """The server of this installation; None: there is none, and rooms end where a mesh does."""
    if not settings.LIVEKIT_URL:
        return None
    from app.voice.sfu.livekit import LiveKit  # noqa: PLC0415 - only where it is set up

    return LiveKit(settings.LIVEKIT_URL, settings.LIVEKIT_API_KEY, settings.LIVEKIT_API_SECRET)
