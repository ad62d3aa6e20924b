"""What is counted where it happens: a trail that refuses, services that are not ours."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from app import metrics
from app.accounts.models import User
from app.audit.services import note_refusal
from app.chat.attachments.storage import Missing, StorageFailed
from app.chat.attachments.storage.folder import FolderStorage
from app.chat.models import Message
from tests.chat.talk import room, say
from tests.live import LiveDatabase


def counted(counter: metrics.Counter, *labels: str) -> Callable[[], float]:
    """How often since now."""
    before = counter.values.get(labels, 0)
    return lambda: counter.values.get(labels, 0) - before


def test_a_change_whose_entry_cannot_be_written_is_undone_and_counted(
    live_db: LiveDatabase, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    refused, written = (
        counted(metrics.TRAIL_REFUSED),
        counted(metrics.TRAIL_ENTRIES, "message:sent"),
    )
    say(alice, ward, "before")
    assert (refused(), written()) == (0, 1)
    with live_db.acting_as("superuser"), connection.cursor() as cursor:
        cursor.execute("REVOKE INSERT ON audit_entry FROM parley_app")
    with pytest.raises(DatabaseError):
        say(alice, ward, "not on record")
    assert (refused(), written()) == (1, 1)
    assert Message.objects.count() == 1


def test_a_commit_that_the_database_refuses_for_want_of_an_entry_is_counted(
    live_db: LiveDatabase,
) -> None:
    with live_db.acting_as("owner"), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE thing (id text PRIMARY KEY)")
        cursor.execute(
            "CREATE CONSTRAINT TRIGGER needs AFTER INSERT ON thing DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION parley_require_entry('thing')"
        )
    refused = counted(metrics.TRAIL_REFUSED)
    add = "INSERT INTO thing VALUES ('x')"
    with pytest.raises(IntegrityError) as forged, transaction.atomic():
        connection.cursor().execute(add)
    with live_db.acting_as("owner"), connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER needs ON thing")
    with pytest.raises(IntegrityError) as double, transaction.atomic():
        connection.cursor().execute(f"{add}, ('x')")
    for error in (forged.value, double.value, ValueError()):
        note_refusal(error)
    assert refused() == 1


def test_calls_of_a_storage_are_counted_and_a_missing_object_is_no_failure(tmp_path: Path) -> None:
    storage = FolderStorage(str(tmp_path / "files"))
    ok = counted(metrics.OUTSIDE_CALLS, "storage", "ok")
    failed = counted(metrics.OUTSIDE_CALLS, "storage", "failed")
    storage.put("a/b", b"x")
    with pytest.raises(Missing):
        storage.get("a/c")
    assert (ok(), failed()) == (2, 0)
    (tmp_path / "files" / "d").mkdir()
    with pytest.raises(StorageFailed):
        storage.get("d")
    assert (ok(), failed()) == (2, 1)
