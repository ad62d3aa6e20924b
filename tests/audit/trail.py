"""What tests of the trail share: the cast's organizations, and ways to write and to seal."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction

from app.audit.actions import Action
from app.audit.context import Actor
from app.audit.sealer import Sealed, Sealer
from app.audit.services import Entry, Record, Target, record_many

ACME = UUID("0b5b4a8e-3d5c-4f0e-9d0e-6b1c53a0f001")
OTHER = UUID("0b5b4a8e-3d5c-4f0e-9d0e-6b1c53a0f002")
TALK = UUID("7e1c5a43-3f3e-4c11-8a2b-1f2d3c4b5a01")
ALICE = Actor("user", UUID("a11ce000-0000-4000-8000-000000000001"), "member")
BOB = Actor("user", UUID("b0b00000-0000-4000-8000-000000000002"), "member")
SEED = bytes(range(32))
ORIGIN = "parley.test/log"


def a_message(organization: UUID = ACME, actor: Actor = ALICE, scope: UUID | None = TALK) -> Record:
    return Record(
        Action.MESSAGE_SENT,
        organization,
        actor,
        Target("message_version", str(uuid4()), str(uuid4())),
        scope,
        after={"commitment": "ab" * 32, "revision": 1},
    )


def write(count: int = 1, organization: UUID = ACME, actor: Actor = ALICE) -> list[Entry]:
    with transaction.atomic():
        return record_many([a_message(organization, actor) for _ in range(count)])


class Announced(list[Sealed]):
    """Keeps what the sealer announces."""

    def __call__(self, sealed: Sequence[Sealed]) -> None:
        self.extend(sealed)


def a_sealer(announced: Announced | None = None, seed: bytes = SEED) -> Sealer:
    return Sealer(seed, ORIGIN, Announced() if announced is None else announced)


def ask(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
