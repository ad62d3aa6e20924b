"""`/healthz`: is the process alive? `/readyz`: may it be given requests, and what is not well?

Answered before anything else looks at the request: a platform's probe names no host of ours,
comes without TLS, and must be answered while the database is away. Both tell nothing but words.

What takes every process out at once mends nothing, so after a start only the database decides.
Redis and the keys must have been well once, which stops a revision that cannot reach them; from
then on they, the sealer, the storage of files and mail are named as failed, and people are served
as far as that goes.
"""

import math
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import redis
import structlog
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from app import outside
from app.audit.access import mails_wait
from app.audit.signing import is_behind
from app.chat.attachments.storage import in_use, storage
from app.encryption.gate import require_open
from app.encryption.keys import configured_key_encryption
from app.realtime import draining
from app.realtime.hints import redis_client

PATIENCE = 2.0
"""Seconds that a probe waits for a check; one that takes longer has failed for now."""
AGAIN = 1.0
"""Seconds before what is not well is asked again."""
SEALER_LATE = timedelta(seconds=30)
log = structlog.get_logger(__name__)


class ProbeMiddleware:
    """Answers the two addresses; everything else goes on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path not in {"/healthz", "/readyz"} or request.method not in {"GET", "HEAD"}:
            return self.get_response(request)
        if request.path == "/healthz":
            response = HttpResponse("ok\n", content_type="text/plain")
        else:
            ready, checks = readiness.look()
            document = {"ready": ready, "checks": checks}
            response = JsonResponse(document, status=200 if ready else 503)
        response["Cache-Control"] = "no-store"
        return response


class Check:
    """One thing that may fail, asked in a thread of its own: whoever asks waits PATIENCE at most.

    A result is good for `fresh` seconds, so that many probes cost no more than one; or until the
    `service` that is asked is known to be away.
    """

    def __init__(
        self, name: str, test: Callable[[], None], *, fresh: float = 1.0, service: str = ""
    ) -> None:
        self.name, self.well_once = name, False
        self._test, self._fresh, self._service = test, fresh, service
        self._lock = threading.Lock()
        self._asked: threading.Thread | None = None
        self._well, self._known_at = False, -math.inf

    def begin(self) -> None:
        """Ask, unless the last answer is fresh or still awaited."""
        with self._lock:
            well = self._well and not outside.away(self._service)
            stale = time.monotonic() >= self._known_at + (self._fresh if well else AGAIN)
            if self._asked is None and stale:
                self._asked = threading.Thread(target=self._ask, name=self.name, daemon=True)
                self._asked.start()

    def result(self, until: float) -> bool:
        """Whether it is well; False if that is not known at `until` (monotonic clock)."""
        asked = self._asked
        if asked is not None:
            asked.join(max(0.0, until - time.monotonic()))
        known = asked is None or not asked.is_alive()
        return known and self._well and not outside.away(self._service)

    def _ask(self) -> None:
        try:
            self._test()
            well = True
        except Exception as error:  # whatever it is: it is named, and what it says is not shown
            well = False
            log.warning("not_well", check=self.name, error=type(error).__name__)
        finally:
            connection.close()
        with self._lock:
            self._well, self._asked = well, None
            self.well_once = self.well_once or well
            self._known_at = time.monotonic()


class Readiness:
    """All checks together."""

    def __init__(
        self, *, decides: Check, must_have_been: tuple[Check, ...], only_named: tuple[Check, ...]
    ) -> None:
        self._decides, self._must_have_been = decides, must_have_been
        self._all = (decides, *must_have_been, *only_named)

    def look(self) -> tuple[bool, dict[str, str]]:
        """Whether requests may come, and of each check `ok` or `failed`."""
        until = time.monotonic() + PATIENCE
        for check in self._all:
            check.begin()
        well = {check.name: check.result(until) for check in self._all}
        ready = well[self._decides.name] and all(one.well_once for one in self._must_have_been)
        told = {name: "ok" if one else "failed" for name, one in well.items()}
        if draining.has_begun():
            return False, told | {"draining": "yes"}
        return ready, told


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _redis() -> None:
    if not redis_client().ping():
        raise redis.ConnectionError


def _keys() -> None:
    """That erased keys are not alive again, and that the key we wrap with does what it should."""
    require_open()
    nobody = UUID(int=0)
    key = configured_key_encryption(nobody, nobody)
    if key.unwrap(key.wrap(bytes(32), b"readyz"), b"readyz") != bytes(32):
        raise ValueError("the key opens something else")


def _sealer() -> None:
    if is_behind(SEALER_LATE):
        raise TimeoutError


def _storage() -> None:
    # Its client takes 30 MB and more, which a gateway does without.
    if in_use():
        storage().exists("readyz")


def _mail() -> None:
    if mails_wait():
        raise TimeoutError


def checks() -> Readiness:
    """Those of this installation, of which nothing is known yet."""
    mail = (Check("mail", _mail),) if settings.ANCHOR_MAIL else ()
    return Readiness(
        decides=Check("database", _database),
        # Cloud KMS and storage are paid by the call.
        must_have_been=(
            Check("redis", _redis),
            Check("keys", _keys, fresh=60.0, service="kms"),
        ),
        only_named=(
            Check("sealer", _sealer),
            Check("storage", _storage, fresh=60.0, service="storage"),
            *mail,
        ),
    )


readiness = checks()
