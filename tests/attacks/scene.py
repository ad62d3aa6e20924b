"""A small organization's week, and what an attacker and an honest reader see of it.

Built once a process; each test takes back what it did to it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from uuid import UUID

from django.db import connection, transaction

from app.accounts.models import Organization, Role, User
from app.accounts.services import found_organization
from app.audit.checkpoint import Signer
from app.audit.findings import Findings, Known
from app.audit.models import Checkpoint as StoredCheckpoint
from app.audit.verify import examine
from app.chat import access
from app.chat.models import Conversation
from app.chat.services import delete_message, edit_message
from app.compliance.reconciliation import compare
from app.encryption.keyring import keyring
from tests.audit.trail import ORIGIN, SEED, a_sealer
from tests.cast import join
from tests.chat.talk import room, say
from tests.live import LiveDatabase


@dataclass
class Scene:
    """What was said: `paid` and `told` by Alice, `edited` (once) and `deleted` by Bob."""

    database: LiveDatabase
    organization: Organization
    alice: User
    bob: User
    mallory: User
    ward: Conversation
    pharmacy: Conversation
    paid: UUID
    told: UUID
    edited: UUID
    deleted: UUID
    kept: str
    """A checkpoint from the middle of the week, that somebody keeps elsewhere."""

    def sealed(self) -> str:
        """Let the sealer do its work; returns the checkpoint."""
        with self.database.acting_as("sealer"):
            a_sealer().seal()
        found = StoredCheckpoint.objects.filter(organization_id=self.organization.pk)
        return found.latest("size").note

    @property
    def signer(self) -> Signer:
        return Signer(f"{ORIGIN}/{self.organization.pk}", SEED)


def play(database: LiveDatabase) -> Scene:
    organization = found_organization(slug="acme", name="Acme")
    alice, bob = join(organization, "alice"), join(organization, "bob")
    mallory = join(organization, "mallory")
    join(organization, "olga", Role.OFFICER)
    ward, pharmacy = room(alice, bob), room(bob, alice, mallory, name="pharmacy")
    paid = UUID(say(alice, ward, "Pay 100 to Bob.").id)
    told = UUID(say(alice, ward, "Bed 12 is free.").id)
    say(mallory, pharmacy, "Nothing to see here.")
    scene = Scene(
        database, organization, alice, bob, mallory, ward, pharmacy, paid, told, paid, paid, ""
    )
    scene.kept = scene.sealed()
    scene.edited = UUID(say(bob, ward, "I got 100.").id)
    edit_message(editor=bob, message_id=scene.edited, body="I got 90.", revision=1)
    scene.deleted = UUID(say(bob, ward, "Tell nobody.").id)
    delete_message(editor=bob, message_id=scene.deleted)
    scene.sealed()
    return scene


def sql(statement: str, *parameters: Any) -> int:
    """Run it, and return how many rows it touched: an attack that touches none shows nothing."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        touched: int = cursor.rowcount
        return touched


@contextmanager
def as_the_owner(scene: Scene, *unguarded: str) -> Iterator[None]:
    """The database's owner, who took the triggers off these tables; all is taken back."""
    with scene.database.acting_as("owner"), transaction.atomic():
        for table in unguarded:
            sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        keyring.forget()
        try:
            yield
        finally:
            transaction.set_rollback(True)
            keyring.forget()


def verdict(scene: Scene, *known: Known) -> set[tuple[str, str]]:
    """Everything that our own checks name: (code, place)."""
    trail = examine(scene.organization.pk, known=known)
    rows = compare(scene.organization.pk)
    named = {(str(problem.fault), problem.place) for problem in trail.problems}
    return named | {(str(problem.fault), problem.place) for problem in rows.problems}


@contextmanager
def without(*codes: str) -> Iterator[None]:
    """These checks are taken out of the verifiers, as if nobody had written them."""
    add = Findings.add

    def unless_out(self: Findings[Any], fault: str, place: str, message: str) -> None:
        if str(fault) not in codes:
            add(self, fault, place, message)

    with patch.object(Findings, "add", unless_out):
        yield


def read(reader: User, conversation: Conversation) -> list[str | None]:
    """What the application shows this reader of a conversation, in order."""
    return [view.body for view in access.timeline(reader, conversation.pk).messages]
