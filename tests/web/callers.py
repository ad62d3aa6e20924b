"""Fixtures for calls: a Chromium with a microphone that beeps and a camera that shows a disc.

Import them: `from tests.web.callers import caller, chromium`.
"""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.accounts.models import User
from app.chat.models import Conversation
from app.chat.services import start_conversation
from tests.server import SealerProcess, WebServer
from tests.web.calls import COUNTING, FAKE_DEVICES, WAIT_MS
from tests.web.conftest import Visit


@pytest.fixture
def theatre(alice: User, bob: User) -> Conversation:
    """Another conversation of alice, who owns it, and bob."""
    made, _ = start_conversation(creator=alice, kind="private", name="theatre", members=[bob.pk])
    return made


@pytest.fixture
def chromium(
    ward: Conversation, theatre: Conversation, server: WebServer, sealer: SealerProcess
) -> Iterator[Browser]:
    expect.set_options(timeout=WAIT_MS)  # several pages with sound share a busy machine
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", *FAKE_DEVICES]
        )
        yield browser
        browser.close()


@pytest.fixture
def caller(visit: Visit) -> Visit:
    """As `visit`, in ward-4, with connections that a test can ask. `before` runs first."""

    def come(name: str, *, before: str = "", **options: object) -> Page:
        page = visit(name, **options)
        page.add_init_script(f"{COUNTING};{before}")
        page.reload()
        page.get_by_role("link", name="ward-4").click()
        return page

    return come
