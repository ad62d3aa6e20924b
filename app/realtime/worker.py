"""gunicorn's worker for the gateway: uvicorn with `WireProtocol`, on uvloop.

gunicorn watches the processes and restarts them; uvicorn serves. On SIGTERM it stops
accepting and tells each connection, and the gateway lets go of its sockets in good order
(`Gateway.drain`). uvicorn's own worker class is deprecated, and its successor a dependency.
"""

import asyncio
import logging
import os
import signal
import sys
from types import FrameType
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker
from uvicorn import Config, Server

from app.realtime import draining
from app.realtime.protocol import MAX_SIGNAL_BYTES
from app.realtime.wire import WireProtocol

GRACE_SECONDS = 9
"""For HTTP requests and sockets together; Cloud Run kills after 10."""


class _Server(Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        draining.begin()
        super().handle_exit(sig, frame)


class GatewayWorker(Worker):  # type: ignore[misc]  # gunicorn is untyped
    """One process, one loop, one hub."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._config = Config(
            app=None,  # type: ignore[arg-type]  # gunicorn loads it, after the fork
            ws=WireProtocol,
            ws_max_size=MAX_SIGNAL_BYTES,
            # 54 KB a socket with it, 20 without.
            ws_per_message_deflate=False,
            # The protocol has pings of its own, which show that the client still lives.
            ws_ping_interval=None,
            lifespan="off",
            log_config=None,
            access_log=False,  # a path may be a secret
            server_header=False,
            # Whose word on addresses is believed is decided by the application.
            proxy_headers=False,
            backlog=self.cfg.backlog,
            timeout_keep_alive=self.cfg.keepalive,
            timeout_notify=self.timeout,
            callback_notify=self._notify,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )

    def init_signals(self) -> None:
        # uvicorn sets its own; gunicorn's would swallow how a process ended.
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def run(self) -> None:
        """Serve until a signal."""
        with asyncio.Runner(loop_factory=self._config.get_loop_factory()) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._config.app = self.wsgi
        # It tells the address of each socket that it accepts, and an address may be a secret.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        server = _Server(self._config)
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def _notify(self) -> None:
        self.notify()
        if os.getppid() != self.ppid:
            # gunicorn was killed, and nobody watches us any more: go, in good order.
            signal.raise_signal(signal.SIGTERM)
