"""Leases of a test, in a Redis that was emptied for it."""

import pytest

from app.voice import leases
from app.voice.services import leasing
from dev.redis_server import RedisServer


@pytest.fixture
def lease_server(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """An empty Redis; that it was away is forgotten, before and afterwards."""
    monkeypatch.setattr(leases, "_closed_until", 0.0)
    monkeypatch.setattr(leasing, "_owed", {})
    return redis_server
