"""Searching messages in the browser: as one types, by keyboard, on a phone, offline."""

import re
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from app.accounts.models import User
from app.chat.models import Conversation
from app.chat.services import Draft, send_messages
from tests.shared_server import live_db, sealer, server, shared
from tests.web.axe import EXAMINED, bring_axe, put_in_theme, serious_faults
from tests.web.conftest import Visit

__all__ = ["live_db", "sealer", "server", "shared"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture
def long_talk(ward: Conversation, alice: User, bob: User) -> None:
    """Something, and then more lines than a page holds."""
    said = ["Potassium is back at 3.4", "bed 12 is **free**, says the ward"]
    drafts = [Draft(alice, ward.pk, str(uuid4()), text) for text in said]
    drafts += [Draft(bob, ward.pk, str(uuid4()), f"line {number}") for number in range(70)]
    send_messages(drafts)


def open_search(page: Page) -> None:
    page.evaluate("document.activeElement.blur()")  # in the composer "/" is a sign like others
    page.keyboard.press("/")
    expect(page.get_by_role("combobox", name="Search messages")).to_be_focused()


def search(page: Page, query: str) -> None:
    open_search(page)
    page.get_by_role("combobox", name="Search messages").fill(query)


def test_a_message_far_back_is_found_by_keyboard_and_shown_in_its_place(
    visit: Visit, long_talk: None
) -> None:
    page = visit("bob")
    expect(page.get_by_text("line 69", exact=True)).to_be_visible()
    search(page, "POTASSIUM from:alice")
    result = page.get_by_role("option")
    expect(result).to_have_count(1)
    expect(result.locator("mark")).to_have_text("Potassium")
    expect(page.get_by_role("status").filter(has_text="1 message.")).to_be_visible()
    page.keyboard.press("Enter")
    found = page.locator(".message.is-highlighted")
    expect(found).to_contain_text("Potassium is back at 3.4")
    expect(found).to_be_in_viewport()
    assert re.search(r"\?m=[0-9a-f-]{36}$", page.url)


def test_what_goes_wrong_is_said_and_searching_goes_on_after_being_offline(
    visit: Visit, long_talk: None
) -> None:
    page = visit("bob")
    page.keyboard.press("Control+k")
    page.get_by_label("Jump to a conversation or a person").and_(page.get_by_role("combobox")).fill(
        "bed"
    )
    page.get_by_role("option", name="Search messages for “bed”").click()
    field = page.get_by_role("combobox", name="Search messages")
    expect(field).to_have_value("bed")
    expect(page.get_by_role("option")).to_have_count(1)
    field.fill("free from:nobody-at-all")
    expect(page.get_by_text("Nobody is called that.")).to_be_visible()
    field.fill("nowhere to be found")
    expect(page.get_by_text("No message of yours says that")).to_be_visible()
    page.context.set_offline(True)
    field.fill("free")
    expect(page.get_by_text("You are offline: searching needs a connection")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_role("option")).to_have_count(1, timeout=30_000)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_panel_is_fit_for_everybody(visit: Visit, long_talk: None, width: int) -> None:
    page = visit("bob", **EXAMINED)
    page.set_viewport_size({"width": width, "height": 800})
    bring_axe(page)
    open_search(page)
    faults = {}
    for theme in ("light", "dark"):
        put_in_theme(page, theme)
        faults[f"empty, {theme}"] = serious_faults(page)
    page.get_by_role("combobox", name="Search messages").fill("bed")
    expect(page.get_by_role("option")).to_have_count(1)
    for theme in ("light", "dark"):
        put_in_theme(page, theme)
        faults[f"found, {theme}"] = serious_faults(page)
    assert {state: found for state, found in faults.items() if found} == {}
    narrow = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert narrow
