from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.attacks.scene import Scene, play
from tests.live import LiveDatabase
from tests.stack import Stack


@pytest.fixture(scope="module")
def scene(
    stack: Stack, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Scene]:
    """Built once for a module; what a test does to it is taken back (`as_the_owner`)."""
    with stack.fresh_database() as database, django_db_blocker.unblock():
        live = LiveDatabase(database)
        with live.acting_as("app"):
            built = play(live)
        yield built
