"""The sitemap of socket commands: who answers what, composed from the apps."""

from collections.abc import Collection, Sequence
from urllib.parse import ParseResult
from uuid import UUID

from channels.routing import URLRouter
from channels.security.websocket import OriginValidator
from django.conf import settings
from django.urls import path
from msgspec import Struct

from app.accounts.access import active_users, live_sessions
from app.accounts.models import User
from app.accounts.origin import socket_origin
from app.chat import consumers as chat
from app.chat.streams import open_at_once, open_bodies
from app.errors import Unauthenticated
from app.realtime.commands import Taking
from app.realtime.gateway import Backend, Gateway
from app.realtime.protocol import AnyCommand, VoiceCommand
from app.realtime.services import Principal
from app.voice import consumers as voice
from app.voice import reaper
from app.voice.access import rosters


def _users(principals: Collection[Principal]) -> dict[UUID, User]:
    return active_users({principal.user for principal in principals})


def _execute(principal: Principal, command: AnyCommand) -> Struct:
    user = _users([principal]).get(principal.user)
    if user is None:
        raise Unauthenticated
    execute = voice.execute if isinstance(command, VoiceCommand) else chat.execute
    return execute(user, principal.whence, command)


def _take_places(wanted: Sequence[tuple[Principal, Taking]]) -> Sequence[Struct | Exception]:
    return voice.take_places(wanted, _users([principal for principal, _ in wanted]))


def _authorize(pairs: Sequence[tuple[Principal, str]]) -> Sequence[Exception | None]:
    return chat.authorize(pairs, _users([principal for principal, _ in pairs]))


gateway = Gateway(
    Backend(
        authorize=_authorize,
        send_many=chat.send_many,
        execute=_execute,
        take_places=_take_places,
        renew_many=voice.renew_many,
        rosters=rosters,
        whence=socket_origin,
        live_sessions=live_sessions,
        open_bodies=open_bodies,
        open_at_once=open_at_once,
        chores=[reaper.run, reaper.say_again],
    )
)


class SameSite(OriginValidator):  # type: ignore[misc]  # Channels is untyped
    """A page of another site may not open a socket; a program, which sends no Origin, may.

    Neither gets anywhere without a ticket, which is bound to the origin that asked for it.
    """

    def valid_origin(self, parsed_origin: ParseResult | None) -> bool:
        return parsed_origin is None or bool(super().valid_origin(parsed_origin))


_routes = [path("ws", gateway)]  # type: ignore[arg-type]  # Channels routes ASGI applications
websocket = SameSite(URLRouter(_routes), settings.ALLOWED_HOSTS)
