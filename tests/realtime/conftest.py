from collections.abc import Iterator

import pytest

from tests.live import LiveDatabase
from tests.server import GatewayServer, WebServer
from tests.shared_server import live_db, shared
from tests.stack import Stack

__all__ = ["live_db", "shared"]


@pytest.fixture(scope="module", params=["production", "one machine"])
def server(
    request: pytest.FixtureRequest, live_db: LiveDatabase, stack: Stack
) -> Iterator[WebServer]:
    """The gateway on both of its servers: with sockets handed over, and over plain ASGI."""
    kind = GatewayServer if request.param == "production" else WebServer
    with kind.running(live_db, stack.redis, stack) as running:
        yield running
