"""Calls whose media goes through the SFU: how large they may become, and who may be there.

The SFU believes its tokens for ten minutes, so leaving a call is not enough: whoever has no place
any more is put out there too. The rows decide; what a lost job left undone, the schedule does.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from app.realtime import protocol
from app.voice import access, sfu
from app.voice.models import Call, Media, Participant
from app.voice.rooms import Limits
from app.voice.services.writing import limits
from app.voice.sfu import TOKEN_SECONDS, Arrival, SfuFailed

logger = logging.getLogger(__name__)


def limits_for(growing: Mapping[UUID, int]) -> dict[UUID, Limits]:
    """How large rooms may become, each by so many more: a call moves only to a server that
    answers.

    Asks the server, so outside of transactions.
    """
    wide, server = limits(), sfu.configured()
    allowed = dict.fromkeys(growing, wide)
    if server is None:
        return allowed
    sizes = access.sizes(growing)
    for conversation, call in access.calls_on(growing).items():
        large = sizes[conversation] + growing[conversation] >= wide.offer
        if call.media != Media.SFU and large and not _ready(server, call.pk, wide.capacity):
            allowed[conversation] = Limits(settings.VOICE_MESH_CAPACITY)
    return allowed


def _ready(server: sfu.Sfu, call: UUID, capacity: int) -> bool:
    try:
        server.prepare(call, capacity)
    except SfuFailed as error:
        logger.warning("sfu_unavailable", extra={"error": str(error)})
        return False
    return True


def admission(call: Call, pid: UUID, *, ready: bool = False) -> protocol.Sfu | None:
    """The server and a token for a place, where media goes through it; `ready`: or is about to."""
    server = sfu.configured()
    through = {Media.SFU, Media.OFFERED} if ready else {Media.SFU}
    if server is None or call.media not in through:
        return None
    return protocol.Sfu(server.url, server.token(call.pk, pid))


# Who may be there.


def tidy(call_id: UUID) -> int:
    """Put out of the server's room whoever has no place in the call; how many those were.

    Raises SfuFailed.
    """
    server = sfu.configured()
    if server is None:
        return 0
    strangers = server.people(call_id) - access.places_in(call_id)
    for identity in sorted(strangers):
        server.remove(call_id, identity)
    return len(strangers)


def tidy_all() -> None:
    """Every call in which a token may still be good."""
    since = timezone.now() - timedelta(seconds=2 * TOKEN_SECONDS)
    for call_id in access.calls_at_the_sfu(since):
        try:
            tidy(call_id)
        except SfuFailed as error:
            logger.warning("sfu_unavailable", extra={"error": str(error)})
            return


def silence(pid: UUID) -> None:
    """Mute a place at the server, if it is muted here. Raises SfuFailed."""
    server = sfu.configured()
    found = Participant.objects.filter(pid=pid, left_at=None, muted=True).first()
    if server is not None and found is not None:
        server.silence(found.call_id, str(pid))


def arrived(arrival: Arrival) -> None:
    """Somebody's media came to the server: is it somebody who may be there? Raises SfuFailed."""
    server = sfu.configured()
    if server is not None and arrival.identity not in access.places_in(arrival.call):
        server.remove(arrival.call, arrival.identity)
