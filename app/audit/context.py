"""Who acts and where from, for entries that no service can be asked about.

Set by the edges (middleware, gateway, jobs, commands) and read when an entry is made.
Nothing here trusts a header: the edge decides which address is the client's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: `kind` is "user" (with an id), "system" or "anonymous"."""

    kind: str
    id: UUID | None = None
    role: str = ""

    def __post_init__(self) -> None:
        if self.kind not in {"user", "system", "anonymous"}:
            raise ValueError(f"unknown kind of actor: {self.kind!r}")
        if (self.kind == "user") != (self.id is not None):
            raise ValueError("a user has an id, and nobody else has one")


SYSTEM = Actor("system")
ANONYMOUS = Actor("anonymous")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change came from. `method`: session, jwt, socket, job or command.

    `trace` is for log lines alone: `trace/span` in hex, as a proxy of ours follows the request.
    """

    request_id: str = ""
    session: str = ""
    address: str = ""
    agent: str = ""
    method: str = ""
    trace: str = ""


current_origin: ContextVar[Origin] = ContextVar("parley_origin", default=Origin())  # noqa: B039 - frozen
current_actor: ContextVar[Actor | None] = ContextVar("parley_actor", default=None)


@contextmanager
def acting_from(origin: Origin) -> Iterator[None]:
    """Everything recorded inside comes from `origin`. Nests."""
    before = current_origin.get()
    current_origin.set(origin)
    try:
        yield
    finally:
        # Not reset(token): under ASGI a middleware is left in another context than it was entered.
        current_origin.set(before)


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """Rows changed inside were changed by `actor` (for the django-auditlog net). Nests."""
    before = current_actor.get()
    current_actor.set(actor)
    try:
        yield
    finally:
        # Not reset(token): under ASGI a middleware is left in another context than it was entered.
        current_actor.set(before)
