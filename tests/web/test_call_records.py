"""Calls between real pages: they hear each other, and everything that happens to people in calls."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.chat.models import Conversation
from tests.server import SealerProcess, WebServer
from tests.web.calls import COUNTING, FAKE_DEVICES, bar, expect_to_hear, join
from tests.web.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.fixture
def chromium(ward: Conversation, server: WebServer, sealer: SealerProcess) -> Iterator[Browser]:
    """With a microphone that beeps and a camera that shows a disc, both always allowed."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", *FAKE_DEVICES]
        )
        yield browser
        browser.close()


@pytest.fixture
def caller(visit: Visit) -> Visit:
    """As `visit`, with connections that a test can ask."""

    def come(name: str, **options: object) -> Page:
        page = visit(name, **options)
        page.add_init_script(COUNTING)
        page.reload()
        page.wait_for_selector(".sidebar-item")
        return page

    return come


def test_two_pages_hear_each_other_and_a_third_joins(caller: Visit) -> None:
    alice, bob = caller("alice"), caller("bob")
    join(alice)
    expect(bob.get_by_role("button", name="1 in call")).to_be_visible()
    join(bob)
    for page in (alice, bob):
        (heard,) = expect_to_hear(page, 1)
        assert heard["lost"] == 0
    expect(bar(alice).get_by_text("good")).to_be_visible(timeout=10_000)

    olga = caller("olga")
    join(olga)
    for page in (alice, bob, olga):
        assert all(one["lost"] == 0 for one in expect_to_hear(page, 2))
