"""Daphne, which lets the gateway's sockets go in good order before it stops.

On one machine pages, REST and the gateway share a process: there is one to start, one log and
one address. Sockets are spoken to over plain ASGI here, so Daphne shows that they need no
more; production's server hands them over (app/realtime/worker.py).
"""

import asyncio
from typing import Any

from daphne.cli import CommandLineInterface
from daphne.server import Server
from twisted.internet import defer

DRAIN_SECONDS = 1.0
"""There is no other process for sockets to go to, and somebody waits at a terminal."""


class DrainingServer(Server):  # type: ignore[misc]  # Daphne is untyped
    """Twisted calls `kill_all_applications` at SIGTERM, and waits for what it returns."""

    def kill_all_applications(self) -> Any:
        from app.routing import gateway  # noqa: PLC0415 - Daphne has set up Django by now

        drained = defer.Deferred.fromFuture(asyncio.ensure_future(gateway.drain(DRAIN_SECONDS)))
        return drained.addBoth(lambda _: super(DrainingServer, self).kill_all_applications())


class Web(CommandLineInterface):  # type: ignore[misc]
    server_class = DrainingServer


if __name__ == "__main__":
    Web.entrypoint()
