"""What tests of exports share: where packages go, and a ward with a little history."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from pytest_django import Settings

import app.celery  # noqa: F401 - jobs go to the test's Redis, where nobody takes them
from app.accounts.models import User
from app.chat.models import Conversation
from app.chat.services import delete_message, edit_message, react
from app.compliance.models import ExportRequest
from app.compliance.scope import Scope
from app.compliance.services import approve_export, request_export
from dev.redis_server import RedisServer
from tests.chat.talk import room, say
from tests.live import LiveDatabase
from tests.server import SealerProcess
from tests.stack import Stack

REASON = "A complaint of 3 November, matter 2026-114."


@pytest.fixture
def export_dir(tmp_path: Path, settings: Settings) -> Path:
    settings.EXPORT_DIR = tmp_path / "exports"
    return tmp_path / "exports"


@pytest.fixture
def erasure_list(tmp_path: Path, settings: Settings) -> None:
    """A list of the test's own: what is rolled back with the test must not stay listed."""
    settings.ERASURE_LIST = tmp_path / "erasures.list"


class QuickSealer(SealerProcess):
    """The real sealer, which a test need not wait a second for."""

    def command(self) -> list[str]:
        return [*super().command(), "--interval", "0.05"]


@pytest.fixture
def sealer(live_db: LiveDatabase, redis_server: RedisServer, stack: Stack) -> Iterator[QuickSealer]:
    with QuickSealer.running(live_db, redis_server, stack) as running:
        yield running


@dataclass
class Ward:
    """Two conversations, in which Alice and Bob wrote, edited, deleted and reacted."""

    ward: Conversation
    pharmacy: Conversation
    edited: UUID
    deleted: UUID


@pytest.fixture
def ward(alice: User, bob: User) -> Ward:
    talk = room(alice, bob)
    pharmacy = room(bob, alice, name="pharmacy")
    say(alice, talk, "Bed 12 moved to step-down.")
    edited = say(bob, talk, '=HYPERLINK("http://mallory.example")')
    say(alice, pharmacy, "Nothing of the ward here.")
    deleted = say(alice, talk, "Wrong channel, schön \U0001f642")
    root = say(alice, talk, "Potassium is back: 3.4")
    say(bob, talk, "Repeat at noon.", thread=UUID(root.id))
    edit_message(editor=bob, message_id=UUID(edited.id), body="Noted.\r\n\tTwo lines.", revision=1)
    delete_message(editor=alice, message_id=UUID(deleted.id))
    react(user=bob, message_id=UUID(root.id), emoji="\U0001f44d", on=True)
    return Ward(talk, pharmacy, UUID(edited.id), UUID(deleted.id))


@pytest.fixture
def approved(olga: User, oscar: User) -> Callable[[Scope], ExportRequest]:
    """Olga asks, Oscar approves."""

    def ask(scope: Scope) -> ExportRequest:
        return approve_export(oscar, request_export(olga, scope=scope, reason=REASON).pk)

    return ask
