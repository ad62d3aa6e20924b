"""Calls that go through a real coturn alone, as where firewalls leave no other way."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.live import LiveDatabase
from tests.server import WebServer
from tests.stack import Stack
from tests.turn import TurnServer, turn
from tests.web.callers import caller, chromium, theatre
from tests.web.calls import bar, expect_to_hear, join, statistics
from tests.web.conftest import Visit

__all__ = ["caller", "chromium", "theatre", "turn"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(480), pytest.mark.xdist_group("calls")]


class CallServer(WebServer):
    """One that knows of a relay."""

    turn: TurnServer

    def environment(self) -> dict[str, str]:
        relay = {"TURN_URLS": self.turn.url, "TURN_SECRET": self.turn.secret}
        return super().environment() | relay


@pytest.fixture
def server(
    live_db: LiveDatabase, redis_server: object, stack: Stack, turn: TurnServer
) -> Iterator[WebServer]:
    CallServer.turn = turn
    with CallServer.running(live_db, stack.redis, stack) as running:
        yield running


def test_two_pages_hear_each_other_through_the_relay_and_again_after_it_was_away(
    caller: Visit, turn: TurnServer
) -> None:
    alice, bob = caller("alice"), caller("bob")
    for page in (alice, bob):
        join(page, relay=True)
    for page in (alice, bob):
        (heard,) = expect_to_hear(page, 1)
        assert heard["ends"] == ["relay", "relay"]
        assert heard["lost"] == 0
        expect(bar(page).get_by_text("relayed")).to_be_visible(timeout=10_000)

    turn.stop()
    gone = alice.get_by_text("The others cannot be reached at the moment, and do not hear you.")
    expect(gone).to_be_visible(timeout=40_000)
    turn.start()
    expect(gone).to_have_count(0, timeout=60_000)
    for page in (alice, bob):
        (heard,) = expect_to_hear(page, 1)
        assert heard["ends"] == ["relay", "relay"]
        assert len(statistics(page)) == 1
