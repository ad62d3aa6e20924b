"""Calls between real pages: they hear each other, whatever happens to people in calls."""

import pytest
from playwright.sync_api import Page, expect

from tests.server import WebServer
from tests.web.callers import caller, chromium, theatre
from tests.web.calls import bar, expect_to_hear, join, person, statistics
from tests.web.conftest import Visit

__all__ = ["caller", "chromium", "theatre"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(480), pytest.mark.xdist_group("calls")]


def test_two_pages_hear_each_other_and_a_third_joins(caller: Visit) -> None:
    alice, bob = caller("alice"), caller("bob")
    join(alice)
    expect(bar(alice).get_by_text("only you")).to_be_visible()
    expect(bob.get_by_role("button", name="1 in call")).to_be_visible()
    join(bob)
    for page in (alice, bob):
        (heard,) = expect_to_hear(page, 1)
        assert heard["lost"] == 0
    expect(bar(alice).get_by_text("good")).to_be_visible(timeout=10_000)
    # The fake microphone beeps: who does so is seen to speak.
    expect(alice.locator(".voice-face.is-speaking").first).to_be_visible(timeout=10_000)
    expect(alice.get_by_text("Bob joined the call.")).to_be_attached()

    olga = caller("olga")
    join(olga)
    for page in (alice, bob, olga):
        assert all(one["lost"] == 0 for one in expect_to_hear(page, 2))


def test_one_is_removed_one_reloads_and_one_is_moved(caller: Visit) -> None:
    alice, bob, olga = (caller(name) for name in ("alice", "bob", "olga"))
    for page in (alice, bob, olga):
        join(page)
    for page in (alice, bob, olga):
        expect_to_hear(page, 2)

    expect(person(bob, "Olga").get_by_role("button", name="More about Olga")).to_be_visible()
    person(bob, "Olga").get_by_role("button", name="More about Olga").click()
    expect(bob.get_by_role("button", name="Remove Olga from the call")).to_have_count(0)
    person(alice, "Olga").get_by_role("button", name="More about Olga").click()
    alice.get_by_role("button", name="Remove Olga from the call").click()
    expect(olga.get_by_text("Alice removed you from the call in ward-4.")).to_be_visible()
    expect(bar(olga)).to_have_count(0)
    assert microphone_is_off(olga)
    for page in (alice, bob):
        expect_to_hear(page, 1)

    olga.get_by_role("button", name="Join again").click()
    olga.get_by_role("dialog").get_by_role("button", name="Join", exact=True).click()
    for page in (alice, bob, olga):
        expect_to_hear(page, 2)

    olga.reload()  # at best it leaves by itself, at worst its lease ends
    expect(person(alice, "Olga")).to_have_count(0, timeout=60_000)
    olga.get_by_role("button", name="2 in call").wait_for()
    join(olga)
    for page in (alice, bob, olga):
        expect_to_hear(page, 2)

    person(alice, "Bob").get_by_role("button", name="More about Bob").click()
    alice.get_by_role("button", name="Move Bob", exact=True).click()
    alice.get_by_role("dialog").get_by_role("button", name="Move", exact=True).click()
    expect(
        bob.get_by_text("Alice moved you to the call in theatre. You are muted.").first
    ).to_be_visible()
    expect(bar(bob).get_by_role("link", name="theatre")).to_be_visible()
    expect(bar(bob).get_by_role("button", name="Unmute")).to_be_visible()
    for page in (alice, olga):
        expect_to_hear(page, 1)


def microphone_is_off(page: Page) -> bool:
    """Whether nothing of the page's connections sends any more."""
    closed: bool = page.evaluate("connections.every((one) => one.connectionState === 'closed')")
    return closed


def test_who_loses_the_server_is_back_in_the_same_place_and_is_heard_all_the_time(
    caller: Visit, server: WebServer
) -> None:
    alice, bob = caller("alice"), caller("bob")
    join(alice)
    join(bob)
    for page in (alice, bob):
        expect_to_hear(page, 1)
    bob.context.set_offline(True)
    expect(bob.get_by_text("No connection to the server since")).to_be_visible(timeout=10_000)
    bob.wait_for_timeout(15_000)
    bob.context.set_offline(False)
    expect(bob.get_by_text("No connection to the server since")).to_have_count(0, timeout=30_000)
    for page in (alice, bob):
        expect_to_hear(page, 1)
    # It is the same place: nobody joined or left meanwhile.
    alice.locator(".call-past > summary").click()
    alice.locator(".call-list summary").click()
    expect(alice.locator(".call-stays li")).to_have_count(2)

    server.kill()
    expect(alice.get_by_text("You still hear each other")).to_be_visible(timeout=15_000)
    server.start()
    expect(alice.get_by_text("You still hear each other")).to_have_count(0, timeout=30_000)
    for page in (alice, bob):
        assert len(statistics(page)) == 1
        expect_to_hear(page, 1)


def test_a_second_window_takes_the_call_over_and_says_so(caller: Visit) -> None:
    first = caller("alice")
    join(first)
    second = first.context.new_page()
    second.goto(first.url)
    join(second)
    expect(first.get_by_text("You joined the call in ward-4 from another window")).to_be_visible()
    expect(bar(first)).to_have_count(0)
    expect(bar(second)).to_be_visible()
