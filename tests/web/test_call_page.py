"""The voice bar as people use it: muting, talking by a key, showing, devices that are not there."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.shared_server import live_db, sealer, server, shared
from tests.web.axe import EXAMINED, bring_axe, put_in_theme, serious_faults
from tests.web.callers import caller, chromium, theatre
from tests.web.calls import bar, expect_to_hear, join, open_call, person, statistics
from tests.web.conftest import Visit
from tests.web.test_conversation_page import small_targets

__all__ = ["caller", "chromium", "live_db", "sealer", "server", "shared", "theatre"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(480), pytest.mark.xdist_group("calls")]

REFUSED = """
navigator.mediaDevices.getUserMedia = () =>
  Promise.reject(new DOMException('', window.why ?? 'NotAllowedError'))
"""


def test_muting_by_oneself_by_a_host_and_talking_by_a_key(caller: Visit) -> None:
    alice, bob = caller("alice"), caller("bob")
    join(alice)
    join(bob)
    expect_to_hear(alice, 1)

    bar(bob).get_by_role("button", name="Mute").click()
    expect(person(alice, "Bob").get_by_title("Muted", exact=True)).to_be_visible()
    # The fake microphone goes on beeping.
    expect(bar(bob).get_by_text("You are muted. Nobody hears you.")).to_be_visible()
    bob.keyboard.press("Control+Shift+Space")
    expect(person(alice, "Bob").get_by_title("Muted")).to_have_count(0)

    person(alice, "Bob").get_by_role("button", name="More about Bob").click()
    alice.get_by_role("button", name="Mute Bob").click()
    expect(bob.locator(".toast").get_by_text("Alice muted you.")).to_be_visible()
    expect(person(bob, "Bob").get_by_title("Muted by Alice")).to_be_visible()

    bar(bob).get_by_role("button", name="Sound and devices").click()
    bob.get_by_label("Push to talk").check()
    bob.get_by_role("button", name="Done").click()
    bob.locator("#main").focus()
    bob.keyboard.down("Space")
    expect(person(alice, "Bob").get_by_title("Muted")).to_have_count(0)
    bob.keyboard.up("Space")
    expect(person(alice, "Bob").get_by_title("Muted", exact=True)).to_be_visible()
    field = bob.get_by_label("Message #ward-4")
    field.press_sequentially("a b")
    expect(field).to_have_value("a b")
    expect(person(alice, "Bob").get_by_title("Muted", exact=True)).to_be_visible()


def test_a_camera_and_a_screen_are_seen_by_the_others_until_they_end(caller: Visit) -> None:
    alice, bob = caller("alice"), caller("bob")
    join(alice)
    join(bob)
    expect_to_hear(alice, 1)
    bar(bob).get_by_role("button", name="Turn on the camera").click()
    expect(alice.get_by_label("Bob’s camera", exact=True)).to_be_visible()
    bar(bob).get_by_role("button", name="Share a screen").click()
    expect(alice.get_by_label("Bob’s screen", exact=True)).to_be_visible()
    expect(bob.get_by_label("Your screen", exact=True)).to_be_visible()
    for _ in range(60):
        frames = statistics(alice)[0]["frames"]
        if len(frames) == 2 and min(frames) > 0:
            break
        alice.wait_for_timeout(500)
    assert len(frames) == 2
    assert min(frames) > 0
    bar(bob).get_by_role("button", name="Stop sharing the screen").click()
    bar(bob).get_by_role("button", name="Turn off the camera").click()
    expect(alice.locator(".call-tiles")).to_have_count(0)


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("NotAllowedError", "The browser does not let Parley use your microphone. Allow it"),
        ("NotFoundError", "No microphone was found. Plug one in"),
    ],
)
def test_without_a_microphone_one_is_told_why_and_can_listen(
    why: str, words: str, caller: Visit
) -> None:
    alice = caller("alice")
    bob = caller("bob", before=f"window.why = '{why}';{REFUSED}")
    join(alice)
    dialog = open_call(bob)
    expect(dialog.get_by_text(words)).to_be_visible()
    expect(dialog.get_by_text("1 person is in the call:")).to_be_visible()
    dialog.get_by_role("button", name="Join to listen").click()
    expect_to_hear(bob, 1)
    expect(person(alice, "Bob").get_by_title("Muted")).to_be_visible()
    bar(bob).get_by_role("button", name="Turn on the microphone").click()
    expect(bob.locator(".toast").get_by_text(words)).to_be_visible()


def test_a_call_by_keyboard_alone(caller: Visit) -> None:
    page = caller("alice")
    page.get_by_role("button", name="Call", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("meter", name="Level of your microphone")).to_be_visible()
    expect(
        page.get_by_role("dialog").get_by_role("button", name="Join", exact=True)
    ).to_be_enabled()
    page.get_by_label("Join muted").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(bar(page).get_by_role("button", name="Unmute")).to_be_visible()
    page.keyboard.press("Control+Shift+Space")
    expect(bar(page).get_by_role("button", name="Mute")).to_be_visible()
    bar(page).get_by_role("button", name="Leave the call").focus()
    page.keyboard.press("Enter")
    expect(bar(page)).to_have_count(0)


@pytest.mark.parametrize("width", [1280, 390])
def test_no_state_of_a_call_has_a_serious_fault_of_access(width: int, caller: Visit) -> None:
    narrow = width == 390
    size = {"width": width, "height": 800 if not narrow else 844}
    touch = {"has_touch": True, "is_mobile": True} if narrow else {}
    page, bob = caller("alice", viewport=size, **EXAMINED, **touch), caller("bob")
    bring_axe(page)
    faults: dict[str, list[str]] = {}

    def look(state: str) -> None:
        for theme in ("light", "dark"):
            put_in_theme(page, theme)
            found = serious_faults(page)
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found.append("has to be scrolled sideways")
            if narrow:
                # A checkbox is as large as its label, which belongs to it.
                found += [f"small: {one}" for one in small_targets(page) if one[0] != " "]
            if found:
                faults[f"{state}, {theme}"] = found

    join(bob)
    dialog = open_call(page)
    expect(dialog.get_by_role("meter")).to_be_visible()
    look("before")
    dialog.get_by_role("button", name="Join", exact=True).click()
    expect_to_hear(page, 1)
    expect(bar(page).get_by_text("good")).to_be_visible(timeout=10_000)
    look("bar")
    bar(bob).get_by_role("button", name="Turn on the camera").click()
    expect(page.locator(".call-tile")).to_be_visible()
    look("camera")
    if narrow:
        page.get_by_role("button", name="People", exact=True).click()
    person(page, "Bob").get_by_role("button", name="More about Bob").click()
    page.locator(".call-past > summary").click()
    expect(page.locator(".call-list > li")).to_have_count(1)
    page.locator(".call-list summary").click()
    look("people")
    page.get_by_role("button", name="Move Bob", exact=True).click()
    look("move")
    page.keyboard.press("Escape")
    if narrow:
        page.get_by_role("button", name="Close: People").click()
    page.context.set_offline(True)
    expect(page.get_by_text("You still hear each other")).to_be_visible(timeout=10_000)
    look("offline")
    assert faults == {}


def test_pages_may_ask_for_what_calls_need_and_no_frame_may(caller: Visit) -> None:
    page = caller("alice")
    answer = page.request.get("/")
    policy = answer.headers["permissions-policy"]
    for feature in ("microphone", "camera", "display-capture"):
        assert re.search(rf"\b{feature}=\(self\)", policy), policy
        allowed = f"document.featurePolicy?.allowsFeature('{feature}') ?? true"
        assert page.evaluate(allowed) is True
    assert microphones(page) == 0


def microphones(page: Page) -> int:
    """Connections of a page that has not joined anything."""
    count: int = page.evaluate("connections.length")
    return count
