"""The version that serves goes on serving while the migration of the next one is applied."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from django.db.migrations.loader import MigrationLoader

from app.accounts.models import User
from app.chat.models import Message
from tests.chat.talk import room
from tests.cloudrun.conftest import Starts
from tests.cloudrun.speaking import socket_of
from tests.live import LiveDatabase

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("image")]

ADDED = '''"""What the next version adds to a table that everybody writes to."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("chat", "%s")]
    operations = [
        migrations.AddField("message", "importance", models.IntegerField(db_default=1)),
    ]
'''


@pytest.fixture
def next_image(image: Path) -> Iterator[Path]:
    """The image of the next version: this one's, and a migration more."""
    parent = Path(tempfile.mkdtemp(prefix="parley-next-"))
    parent.chmod(0o755)
    folder = parent / "image"
    shutil.copytree(image, folder, copy_function=os.link)
    migrations = folder / "app/chat/migrations"
    migrations.chmod(0o755)
    [(_, newest)] = MigrationLoader(None).graph.leaf_nodes("chat")
    (migrations / "9999_added.py").write_text(ADDED % newest)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(parent)


def test_members_send_while_a_migration_waits_for_their_table_and_after_it(
    starts: Starts, next_image: Path, live_db: LiveDatabase, alice: User, bob: User
) -> None:
    talk = room(alice, bob)
    gateway = starts("gateway")
    gateway.wait_until_ready()
    with socket_of(alice, gateway) as alices, closing(psycopg2.connect(live_db.app_url)) as reader:
        with reader.cursor() as cursor:  # a long look, such as a backup's
            cursor.execute("SELECT count(*) FROM chat_message")
        migration = starts("migrate", next_image)
        for number in range(2):
            migration.until(lambda: waits(live_db))
            alices.send(talk.pk, f"{number}: it waits")
            assert migration.process.poll() is None, migration.said()
        reader.rollback()
        assert migration.process.wait(60) == 0, migration.said()
        assert "9999_added... OK" in migration.said()
        alices.send(talk.pk, "it is done")
    with closing(psycopg2.connect(live_db.app_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT importance, count(*) FROM chat_message GROUP BY 1")
        assert cursor.fetchall() == [(1, 3)]
    assert Message.objects.filter(conversation=talk).count() == 3


def waits(database: LiveDatabase) -> bool:
    """Whether somebody waits to change the table, and everybody else behind it."""
    with (
        closing(psycopg2.connect(database.superuser_url)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
            " AND relation = 'chat_message'::regclass"
        )
        return cursor.fetchone() != (0,)
