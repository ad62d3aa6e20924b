"""Limits on attempts, kept in PostgreSQL: they hold across processes and without Redis.

The generic cell rate algorithm (ITU-T I.371, annex A.2): one timestamp a subject, moved in one
statement, so that parallel attempts cannot slip through between a read and a write. An attempt
is paid for before it is made; `refund` gives it back to whoever turned out to be welcome.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from ipaddress import IPv6Address, ip_address
from typing import Any

import structlog
from django.db import connection

from app.encryption.fields import blind_index
from app.errors import RateLimited

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` attempts at once, then one every `interval`."""

    burst: int
    interval: timedelta


class Limited(Enum):
    """What is limited, each per subject."""

    SIGN_IN_BY_ADDRESS = Rate(burst=30, interval=timedelta(seconds=10))
    SIGN_IN_BY_ACCOUNT = Rate(burst=10, interval=timedelta(seconds=60))
    REFRESH_BY_ADDRESS = Rate(burst=60, interval=timedelta(seconds=2))
    INVITATION_BY_ADDRESS = Rate(burst=20, interval=timedelta(seconds=30))
    PASSWORD_BY_ACCOUNT = Rate(burst=5, interval=timedelta(seconds=60))


_SPEND = """
    INSERT INTO accounts_limit AS held (key, arrival)
    VALUES (%(key)s, clock_timestamp() + %(interval)s)
    ON CONFLICT (key) DO UPDATE
        SET arrival = GREATEST(held.arrival, clock_timestamp()) + %(interval)s
        WHERE GREATEST(held.arrival, clock_timestamp()) + %(interval)s
              <= clock_timestamp() + %(interval)s * %(burst)s
    RETURNING TRUE
"""
_WAIT = """
    SELECT CEIL(EXTRACT(EPOCH FROM
        arrival + %(interval)s - %(interval)s * %(burst)s - clock_timestamp()))
    FROM accounts_limit WHERE key = %(key)s
"""
_REFUND = "UPDATE accounts_limit SET arrival = arrival - %(interval)s WHERE key = %(key)s"
_FORGET = "DELETE FROM accounts_limit WHERE arrival < clock_timestamp()"


def spend(what: Limited, subject: str) -> None:
    """Pay for one attempt. Raises RateLimited, with the seconds to wait."""
    values = _values(what, subject)
    with connection.cursor() as cursor:
        cursor.execute(_SPEND, values)
        if cursor.fetchone() is not None:
            return
        cursor.execute(_WAIT, values)
        row = cursor.fetchone()
    log.warning("limit_reached", limit=what.name.lower())
    raise RateLimited(retry_after=max(1, int(row[0])) if row else 1)


def refund(what: Limited, subject: str) -> None:
    """Give one attempt back."""
    with connection.cursor() as cursor:
        cursor.execute(_REFUND, _values(what, subject))


def forget() -> int:
    """Drop what no longer limits anybody; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET)
        return int(cursor.rowcount)


def network(address: str) -> str:
    """The subject of a limit by address: an IPv6 customer holds a /64 of addresses at least."""
    if not address:
        return "unknown"
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        return parsed.exploded[:19]
    return str(parsed)


def _values(what: Limited, subject: str) -> dict[str, Any]:
    rate: Rate = what.value
    key = blind_index(subject, purpose=f"limit/{what.name.lower()}")
    return {"key": key, "interval": rate.interval, "burst": rate.burst}
