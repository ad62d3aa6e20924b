"""How a test gets its services.

Each process of the suite has its own PostgreSQL and Redis (`tests/stack.py`). Django logs in
as the **app** role, so a missing grant shows in any test that touches the table.

- `db` (or `@pytest.mark.django_db`): one transaction, rolled back. Deferred constraints are
  checked at the end. For most tests.
- `live_db`: a fresh, empty database of this test's own, where commits are real and other
  threads and processes see them; dropped afterwards. It replaces `transactional_db`, whose
  flush needs the TRUNCATE that the trail forbids. Redis is emptied as well.
      live_db.owner_url / app_url / sealer_url / superuser_url
      with live_db.acting_as("sealer"): call_command("seal", "--once")
- `redis_server`: this process's Redis, which a test may `stop()` and `start()`; it runs
  again when the test ends.
- `server`: the real web process on `live_db` (`tests/server.py`): `server.base_url`,
  `.kill()`, `.terminate()`, `.start()`; `sealer`: likewise `manage.py seal`.
"""

from collections import Counter
from collections.abc import Iterator

import hypothesis
import pytest
from _pytest.nodeid import NodeId
from pytest_django import DjangoDbBlocker

from app import outside
from dev.redis_server import RedisServer
from tests.live import LiveDatabase, point_django_at
from tests.server import SealerProcess, WebServer
from tests.stack import Stack, running_stack

pytest_plugins = ["tests.cast"]

# No deadline for an example of hypothesis: a busy machine is no fault of the code.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def stack() -> Stack:
    return running_stack()


@pytest.fixture(scope="session")
def django_db_setup(stack: Stack) -> None:
    """The database is there and migrated: Django's own making of one is not used."""
    point_django_at(stack.database().app_url)


@pytest.fixture
def live_db(
    stack: Stack,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    redis_server: RedisServer,
) -> Iterator[LiveDatabase]:
    with stack.fresh_database() as database, django_db_blocker.unblock():
        live = LiveDatabase(database)
        try:
            with live.acting_as("app"):
                yield live
        finally:
            point_django_at(stack.database().app_url)


@pytest.fixture
def redis_server(stack: Stack) -> Iterator[RedisServer]:
    stack.empty_redis()
    try:
        yield stack.redis
    finally:
        if not stack.redis.is_running:
            stack.redis.start()


@pytest.fixture
def server(live_db: LiveDatabase, redis_server: RedisServer, stack: Stack) -> Iterator[WebServer]:
    with WebServer.running(live_db, redis_server, stack) as running:
        yield running


@pytest.fixture
def sealer(
    live_db: LiveDatabase, redis_server: RedisServer, stack: Stack
) -> Iterator[SealerProcess]:
    with SealerProcess.running(live_db, redis_server, stack) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_is_left_alone() -> None:
    """What a test before took away is not away for this one."""
    outside.forget()


@pytest.hookimpl(trylast=True)  # when all have their markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    names_of_all = Counter(item.nodeid for item in items)
    if same := [name for name, number in names_of_all.items() if number > 1]:
        raise pytest.UsageError(f"xdist would run one test of those that are called {same[0]}")
    for item in items:
        marker = item.get_closest_marker("django_db")
        names = getattr(item, "fixturenames", [])
        if (marker and marker.kwargs.get("transaction")) or "transactional_db" in names:
            raise pytest.UsageError(f"{item.nodeid}: the trail cannot be flushed; use `live_db`.")
    if getattr(config.option, "loadgroup", False):
        _put_groups_into_names(items)


def _put_groups_into_names(items: list[pytest.Item]) -> None:
    """There xdist looks for them. It puts them where pytest 9.2 does not read any more, and then
    each worker builds what a group has for all."""
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group and not item.nodeid.endswith(end := f"@{group.args[0]}"):
            item._id = NodeId.parse(item.nodeid + end)
            if not item.nodeid.endswith(end):
                raise pytest.UsageError(f"{item.nodeid}: pytest has names elsewhere again.")
