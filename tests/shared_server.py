"""One database and one web process for all tests of a file; each test has its own people.

For folders whose tests are short beside the start of a server: import these in their conftest.
"""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from pytest_django import DjangoDbBlocker

from tests.live import LiveDatabase
from tests.server import SealerProcess, WebServer
from tests.stack import Stack


@pytest.fixture(scope="module")
def live_db(
    stack: Stack, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[LiveDatabase]:
    with stack.fresh_database() as database, django_db_blocker.unblock():
        live = LiveDatabase(database)
        with live.acting_as("app"):
            yield live


@pytest.fixture(scope="module")
def server(live_db: LiveDatabase, stack: Stack) -> Iterator[WebServer]:
    with WebServer.running(live_db, stack.redis, stack) as running:
        yield running


@pytest.fixture(scope="module")
def sealer(live_db: LiveDatabase, stack: Stack) -> Iterator[SealerProcess]:
    with SealerProcess.running(live_db, stack.redis, stack) as running:
        yield running


@pytest.fixture
def shared() -> str:
    return f"-{uuid4().hex[:8]}"
