"""What a process that serves does before its first request."""

import gc

from django.conf import settings
from django.urls import get_resolver

from app import connections, metrics
from app.encryption import forgetting


def begin(role: str) -> None:
    """Follow what must be forgotten, tell numbers, and load what requests would wait for.

    Everything there is by now stays until the end. Python need not look through it at each full
    collection, which would hold up all requests for 50 ms and more (docs/performance.md).
    Raises ImproperlyConfigured where more connections may be needed than are declared.
    """
    connections.require(role)
    forgetting.follow()
    metrics.serve(role, settings.METRICS_LISTEN, release=settings.RELEASE)
    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()
    gc.collect()  # it waits for a quarter of what it found last: let that be nothing
    if role == "web":
        # REST framework's request and answer each refer to themselves, so they stay, with all that
        # was read for them, until a full collection: three times as often, a third of it waits.
        gc.set_threshold(700, 10, 3)
