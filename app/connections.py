"""How many connections to PostgreSQL a process has at most, whatever is asked of it.

A database gives so many and refuses who comes then. So each thread that needs one is counted here,
there is a bound on them (gunicorn's threads, the gateway's lanes, Celery's), and a deployment
declares what it reckons with for one instance (DATABASE_CONNECTIONS), which is held to this sum
at the start. cloudrun/deploy.sh adds up the declared ones.
"""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from app.encryption.apart import AT_ONCE
from app.realtime.lanes import Lane

CHECKS = 4
"""Of `/readyz`, in a thread each: the database, the keys, the sealer, mail."""


def of_web(threads: int) -> int:
    """Of gunicorn's threads, which keep theirs, and of what commits by itself."""
    return threads + AT_ONCE + CHECKS


def of_gateway(threads: int, requests: int) -> int:
    """Of the lanes, of which commands have `threads`, and of HTTP `requests` under way."""
    return len(Lane) - 1 + threads + requests + AT_ONCE + CHECKS


def of_worker(threads: int) -> int:
    """Of jobs under way, and of the thread that takes them from the queue."""
    return threads + AT_ONCE + 1


def most(role: str) -> int:
    """Of a process of this installation: `web`, `gateway` or `worker`."""
    if role == "web":
        return of_web(settings.WEB_THREADS)
    if role == "gateway":
        return of_gateway(settings.GATEWAY_THREADS, settings.GATEWAY_REQUESTS)
    return of_worker(settings.WORKER_THREADS)


def require(role: str) -> None:
    """Refuse to start where more could be needed than is declared. Raises ImproperlyConfigured."""
    declared, needed = settings.DATABASE_CONNECTIONS, most(role)
    if declared is not None and needed > declared:
        raise ImproperlyConfigured(
            f"Parley does not start:\n  - DATABASE_CONNECTIONS declares {declared} for this"
            f" {role}, which may have {needed}: declare as many, or give it fewer threads"
        )
