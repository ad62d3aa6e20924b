"""A ticket for a socket, asked for with the bearer token of a session."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable

from app.realtime.client.errors import Stopped

TICKET_SECONDS = 10.0
Ticket = Callable[[], Awaitable[str]]
"""Gives a fresh ticket each time. Raises OSError to be asked again later, Stopped to end."""


def ticket_from(base_url: str | Callable[[], str], token: Callable[[], str]) -> Ticket:
    """Return a callable that asks `base_url` for tickets, as the owner of `token()`."""

    def ask() -> str:
        request = urllib.request.Request(  # noqa: S310 - the caller's own address
            f"{base_url if isinstance(base_url, str) else base_url()}/api/realtime/ticket",
            method="POST",
            headers={"Authorization": f"Bearer {token()}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TICKET_SECONDS) as response:  # noqa: S310
                return str(json.load(response)["ticket"])
        except urllib.error.HTTPError as error:
            with error:
                if error.code in {401, 403}:
                    raise Stopped(error.code) from None
                raise OSError(f"no ticket: {error.code}") from None

    async def ticket() -> str:
        return await asyncio.to_thread(ask)

    return ticket
