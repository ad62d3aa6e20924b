"""Reads `capacity.toml`: what the capacity model takes for granted, closed and with bounds."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

FILE = Path(__file__).with_name("capacity.toml")
HOURS = 730.0  # in a month

Above0 = Annotated[float, Meta(gt=0, le=1e9)]
Share = Annotated[float, Meta(gt=0, le=1)]
Whole = Annotated[int, Meta(ge=1, le=1_000_000)]


class BadCapacity(Exception):
    """Nothing can be told; says why and what to do."""


class Closed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No name is let through that is not known."""


class People(Closed, frozen=True, kw_only=True):
    """See capacity.toml, which has a line for each."""

    online: Share
    sockets_each: Above0
    sends_per_hour: Above0
    peak: Above0
    audience: Above0
    requests_per_hour: Above0
    quiet: Share
    busy_hours: Annotated[float, Meta(gt=0, le=HOURS)]
    messages_per_day: Above0


class Deployment(Closed, frozen=True, kw_only=True):
    sockets: Whole
    concurrency: Annotated[int, Meta(ge=1, le=1000)]
    use: Share
    gateway_vcpu: Above0
    gateway_gib: Above0
    gateway_threads: Whole
    gateway_requests: Whole
    idle_mib: Above0
    socket_kib: Above0
    web_vcpu: Above0
    web_gib: Above0
    web_threads: Whole
    web_requests: Above0
    workers: Whole
    worker_threads: Whole
    other_connections: Whole
    stored_kib: Above0
    stored_months: Above0
    wire_bytes: Above0

    @property
    def gateway_processes(self) -> int:
        """One a core: `--workers` of gunicorn."""
        return max(1, int(self.gateway_vcpu))

    def __post_init__(self) -> None:
        if self.sockets > self.concurrency:
            raise ValueError("sockets are above concurrency: Cloud Run would never let them in")


class Database(Closed, frozen=True, kw_only=True):
    vcpu: Whole
    gib: Above0
    connections: Whole


class Prices(Closed, frozen=True, kw_only=True):
    as_of: str
    sources: list[str]
    run_vcpu_second: Above0
    run_gib_second: Above0
    sql_vcpu_hour: Above0
    sql_gib_hour: Above0
    sql_storage_gib_month: Above0
    sql_available: Above0
    redis_gib_hour: Above0
    redis_gib: Above0
    egress_gib: Above0
    balancer_month: Above0


class Assumptions(Closed, frozen=True, kw_only=True):
    people: People
    deployment: Deployment
    database: Annotated[list[Database], Meta(min_length=1)]
    prices: Prices


def load(path: Path = FILE, changes: Sequence[str] = ()) -> Assumptions:
    """Read the assumptions, with changes like "online=0.5". Raises BadCapacity."""
    try:
        document = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
        for change in changes:
            _change(document, change)
        return msgspec.convert(document, Assumptions)
    except OSError as error:
        raise BadCapacity(f"{path} cannot be read: {error.strerror}.") from None
    except msgspec.MsgspecError as error:
        raise BadCapacity(f"{path}: {str(error).replace('$.', '')}.") from None


def remarks(path: Path = FILE) -> dict[str, str]:
    """Return what the file says beside each number: its unit and what it means."""
    found = re.findall(r"^(\w+) = \S+ +# (.+)$", path.read_text(), re.MULTILINE)
    return dict(found)


def _change(document: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    tables = [document.get(table, {}) for table in ("people", "deployment", "prices")]
    known = [table for table in tables if isinstance(table, dict) and name in table]
    if not equals or not known:
        names = ", ".join(sorted(name for table in tables[:2] for name in table))
        raise BadCapacity(f"--assume {change!r}: NAME=NUMBER, where NAME is of: {names}.")
    try:
        number = float(text)
    except ValueError:
        raise BadCapacity(f"--assume {change!r}: {text!r} is not a number.") from None
    known[0][name] = int(number) if number.is_integer() else number
