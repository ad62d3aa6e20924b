"""Runs the sealer: every second what was written since is sealed, signed and announced.

Ends cleanly on SIGTERM and Ctrl-C, after the transaction under way; waits for PostgreSQL
when it is away. Started a second time, it stands by.
"""

import base64
import binascii
import signal
import time
from pathlib import Path
from typing import Any

import psycopg2
import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, connection

from app import metrics
from app.audit.announcing import Announcer
from app.audit.rows import run as run_sql
from app.audit.sealer import Sealer, TreeDisagrees
from app.audit.signing import BELL

ENDING = {signal.SIGTERM, signal.SIGINT}
_LONGEST_WAIT = 5.0
_LISTENING = 0.05
"""Seconds between two looks whether somebody rang; so often at most is it sealed for that."""
log = structlog.get_logger("app.audit.seal")


class Command(BaseCommand):
    help = "Seal entries of the trail into signed trees."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="seal what is there, and end")
        parser.add_argument("--interval", type=float, default=1.0, help="seconds between rounds")

    def handle(self, *args: Any, once: bool, interval: float, **options: Any) -> None:
        sealer = Sealer(
            signing_seed(settings.SEALER_SIGNING_KEY_FILE),
            settings.CHECKPOINT_ORIGIN,
            Announcer(settings.REDIS_URL),
        )
        if once:
            self.stdout.write(f"sealed {sealer.seal()} entries")
            return
        # Blocked, not handled: they stay pending during a transaction and end the wait after it.
        # First of all: a thread that began before would take them, and end the process.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        metrics.serve("sealer", settings.METRICS_LISTEN, release=settings.RELEASE)
        run(sealer, interval)


def run(sealer: Sealer, interval: float) -> None:
    """Seal every `interval` seconds, and when somebody rings, until a signal of ENDING;
    TreeDisagrees ends it at once."""
    log.info("sealing", interval=interval)
    wait, ended, bell = interval, False, Bell()
    while not ended:
        began = time.monotonic()
        try:
            bell.listen()
            sealed = sealer.seal(stop=_is_ending)
        except (OperationalError, InterfaceError) as error:
            connection.close()
            wait = min(max(interval, wait * 2), _LONGEST_WAIT)
            metrics.SEALING.add("database_away")
            log.warning("database_away", reason=type(error).__name__, retry_after=wait)
        except TreeDisagrees as error:
            log.critical("tree_disagrees", reason=str(error))
            raise CommandError(f"nothing is sealed until somebody looks: {error}") from error
        else:
            wait = interval
            metrics.SEALING.add("ok")
            metrics.SEALED_LEAVES.add(by=sealed)
            if sealed:
                log.debug("sealed", entries=sealed)
        ended = _wait(began + wait, bell)
    connection.close()
    log.info("sealing_ended")


class Bell:
    """Rung by whoever waits for a signature (`signing.hold_back`): they need not wait so long.

    A hint on the connection that is open anyway; nothing depends on its being heard.
    """

    def __init__(self) -> None:
        self._heard_on: Any = None

    def listen(self) -> None:
        """Listen on the present connection. Raises database errors."""
        connection.ensure_connection()
        if self._heard_on is not connection.connection:
            run_sql(f"LISTEN {BELL}")
            self._heard_on = connection.connection

    def rang(self) -> bool:
        """Whether somebody rang since the last time. Looks at the socket, asks no server."""
        if self._heard_on is None or self._heard_on is not connection.connection:
            return False
        try:
            self._heard_on.poll()
        except psycopg2.Error:
            return False  # sealing will see that the database is away
        rang = bool(self._heard_on.notifies)
        self._heard_on.notifies.clear()
        return rang


def _wait(until: float, bell: Bell) -> bool:
    """Wait until that moment of the monotonic clock, or the bell; True: we were told to end."""
    while True:
        left = max(0.0, until - time.monotonic())
        if signal.sigtimedwait(ENDING, min(left, _LISTENING)) is not None:
            return True
        if left <= _LISTENING or bell.rang():
            return False


def _is_ending() -> bool:
    return bool(signal.sigpending() & ENDING)


def signing_seed(path: Path | None) -> bytes:
    """The 32-byte Ed25519 seed, kept in base64 in a file that only the sealer may read."""
    if path is None:
        raise CommandError("SEALER_SIGNING_KEY_FILE is missing: 32 random bytes in base64")
    try:
        seed = base64.b64decode(path.read_text(), validate=False)
    except (OSError, binascii.Error, UnicodeDecodeError) as error:
        raise CommandError(f"the signing key cannot be read: {type(error).__name__}") from None
    if len(seed) != 32:
        raise CommandError("the signing key is not 32 bytes in base64")
    return seed
