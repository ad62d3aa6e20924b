"""Real pages in a real Chromium, against the real server and sealer.

`visit(user)` signs in through the page and returns it. A page that reports an error of its
own, or that the Content Security Policy stopped something, fails the test at its end.

The database is filled before the browser starts: Playwright's loop runs in this thread, and
Django refuses to touch the database from a thread with a running loop.
"""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from app.accounts.models import Organization, User
from app.chat.models import Conversation
from app.chat.services import start_conversation
from tests.cast import PASSWORD, address
from tests.server import SealerProcess, WebServer

Visit = Callable[..., Page]

BLOCKED = ("Content Security Policy", "TrustedHTML", "TrustedScript")


@pytest.fixture
def ward(alice: User, bob: User, olga: User) -> Conversation:
    """A conversation of alice, bob and olga."""
    conversation, _ = start_conversation(
        creator=alice, kind="public", name="ward-4", topic="Handover", members=[bob.pk, olga.pk]
    )
    return conversation


@pytest.fixture
def chromium(
    request: pytest.FixtureRequest, ward: Conversation, server: WebServer, sealer: SealerProcess
) -> Iterator[Browser]:
    for name in {"long_talk"} & set(request.fixturenames):
        request.getfixturevalue(name)  # before Playwright's loop
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, server: WebServer, organization: Organization) -> Iterator[Visit]:
    """`visit("alice")`: her page, signed in; further options are the browser context's."""
    problems: list[str] = []

    def signed_in(name: str, **options: Any) -> Page:
        defaults: dict[str, Any] = {"base_url": server.base_url, "locale": "en-GB"}
        context: BrowserContext = chromium.new_context(**(defaults | options))
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"{name}: {error}"))
        page.on("console", lambda said: _note(problems, name, said))
        page.goto("/sign-in")
        page.get_by_label("Email").fill(address(name, organization.slug))
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector(".sidebar-item")
        return page

    yield signed_in
    assert problems == []


def _note(problems: list[str], name: str, said: ConsoleMessage) -> None:
    if said.type == "error" and any(word in said.text for word in BLOCKED):
        problems.append(f"{name}: {said.text}")
