"""The conversation page as people use it: two at a time, offline, by keyboard, on a phone."""

import json
import re
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from app.accounts.models import Organization, User
from app.chat.models import Conversation
from app.chat.services import Draft, send_messages
from app.realtime.protocol import Ack
from tests.cast import PASSWORD, address
from tests.server import WebServer
from tests.shared_server import live_db, sealer, server, shared
from tests.web.axe import EXAMINED, bring_axe, put_in_theme, serious_faults
from tests.web.conftest import Visit

__all__ = ["live_db", "sealer", "server", "shared"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

IN_LOG = re.compile(r"in log · \d+")


def write(page: Page, text: str) -> None:
    field = composer(page)
    field.fill(text)
    field.press("Enter")


def composer(page: Page) -> Locator:
    return page.get_by_label("Message #ward-4")


def texts(page: Page) -> list[str]:
    return page.locator(".message .markdown").all_inner_texts()


def expect_texts(page: Page, wanted: list[str]) -> None:
    expect(page.locator(".message .markdown")).to_have_text(wanted, timeout=30_000)


def message(page: Page, text: str) -> Locator:
    return page.locator(".message").filter(has_text=text)


def test_two_people_chat_and_a_third_who_was_offline_has_everything_in_order(
    visit: Visit, ward: Conversation
) -> None:
    alice, bob, olga = (visit(name) for name in ("alice", "bob", "olga"))
    olga.context.set_offline(True)
    expect(olga.get_by_text("You are offline since")).to_be_visible()
    said = [f"line {number}" for number in range(6)]
    for number, text in enumerate(said):
        page, other = (alice, bob) if number % 2 == 0 else (bob, alice)
        write(page, text)
        expect(message(other, text)).to_be_visible()
    write(olga, "written offline")
    expect(message(olga, "written offline").get_by_text("sending")).to_be_visible()
    assert texts(olga) == ["written offline"]

    olga.context.set_offline(False)

    for page in (olga, alice, bob):
        expect_texts(page, [*said, "written offline"])
    expect(message(alice, "written offline").get_by_text(IN_LOG)).to_be_visible(timeout=10_000)
    expect(olga.get_by_text("You are offline")).to_have_count(0)


def test_a_message_is_sending_then_sealed_then_in_the_log_and_a_refused_one_can_be_tried_again(
    visit: Visit, ward: Conversation
) -> None:
    alice, bob = visit("alice"), visit("bob")
    wire = Wire(alice)
    wire.refuse_next_send = True
    write(alice, "please sign")
    expect(alice.get_by_text("Not sent: Not now.")).to_be_visible()
    assert texts(bob) == []

    wire.hold = True
    alice.get_by_role("button", name="Try again").click()
    row = message(alice, "please sign")
    expect(row.get_by_text("sending")).to_be_visible()
    expect(message(bob, "please sign")).to_be_visible()
    wire.release()
    expect(row.get_by_text(re.compile("sealed|in log"))).to_be_visible()
    expect(row.get_by_text(IN_LOG)).to_be_visible(timeout=10_000)
    assert texts(alice) == texts(bob) == ["please sign"]


class Wire:
    """A person's socket with the test in the middle: it can refuse a send and hold answers."""

    def __init__(self, page: Page) -> None:
        self.refuse_next_send = self.hold = self.connected = False
        self._held: list[tuple[WebSocketRoute, str | bytes]] = []
        page.route_web_socket(re.compile("/ws$"), self._route)
        page.reload()
        for _ in range(100):
            if self.connected:
                return
            page.wait_for_timeout(100)
        raise AssertionError("the page did not connect within 10 s")

    def release(self) -> None:
        """Send on what was held, and hold nothing any more."""
        self.hold = False
        for socket, frame in self._held:
            socket.send(frame)

    def _route(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        socket.on_message(lambda frame: self._from_page(socket, server, frame))
        server.on_message(lambda frame: self._from_server(socket, frame))

    def _from_page(
        self, socket: WebSocketRoute, server: WebSocketRoute, frame: str | bytes
    ) -> None:
        command = json.loads(frame)
        if command["op"] == "send" and self.refuse_next_send:
            self.refuse_next_send = False
            failure = {"code": 103, "name": "denied", "retry": False, "message": "Not now."}
            socket.send(json.dumps({"id": command["id"], "err": failure}))
        else:
            server.send(frame)

    def _from_server(self, socket: WebSocketRoute, frame: str | bytes) -> None:
        self.connected = self.connected or '"limits"' in str(frame)
        if self.hold:
            self._held.append((socket, frame))
        else:
            socket.send(frame)


def test_drafts_and_unsent_messages_survive_a_reload_and_the_death_of_the_server(
    visit: Visit, ward: Conversation, server: WebServer
) -> None:
    alice = visit("alice")
    expect(composer(alice)).to_be_visible()
    server.kill()
    for number in range(3):
        write(alice, f"unsent {number}")
    composer(alice).fill("half a thought")
    expect(alice.get_by_text("Reconnecting since")).to_be_visible()
    server.start()
    alice.reload()
    expect(composer(alice)).to_have_value("half a thought")
    for number in range(3):
        expect(message(alice, f"unsent {number}").get_by_text(IN_LOG)).to_be_visible(timeout=30_000)
    assert texts(alice) == ["unsent 0", "unsent 1", "unsent 2"]
    bob = visit("bob")
    expect(message(bob, "unsent 2")).to_be_visible()
    assert texts(bob) == ["unsent 0", "unsent 1", "unsent 2"]


def test_from_signing_in_to_a_checked_receipt_by_keyboard_alone(
    visit: Visit, ward: Conversation
) -> None:
    page = visit("bob")
    page.keyboard.press("Control+k")
    page.keyboard.type("wrd4")
    page.keyboard.press("Enter")
    expect(composer(page)).to_be_focused()
    expect(composer(page)).to_have_value("")
    page.keyboard.type("Signed by **keyboard**")
    page.keyboard.press("Enter")
    expect(message(page, "Signed by keyboard").get_by_text(IN_LOG)).to_be_visible(timeout=10_000)
    page.keyboard.press("Shift+Tab")
    expect(message(page, "Signed by keyboard")).to_be_focused()
    tab_to(page, "Receipt")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Receipt of this message")).to_be_focused()
    expect(page.get_by_role("button", name="Check it yourself")).to_be_visible()
    tab_to(page, "Check it yourself")
    page.keyboard.press("Enter")
    steps = page.locator(".check-steps li")
    expect(steps).to_have_count(3)
    expect(page.locator(".check-passed")).to_have_count(3)
    expect(page.get_by_text("Computed in this browser: the message is in the log.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(composer(page)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.type(", twice")
    page.keyboard.press("Enter")
    expect(message(page, "Signed by keyboard, twice").get_by_text("edited")).to_be_visible()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on the control of that name."""
    for _ in range(12):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(document.activeElement.getAttribute('aria-label')"
            " ?? document.activeElement.textContent).trim()"
        )
        if focused == name:
            return
    raise AssertionError(f"{name} is not reached by Tab; the focus is on {focused!r}")


def test_what_somebody_wrote_is_shown_and_never_run(visit: Visit, ward: Conversation) -> None:
    alice, bob = visit("alice"), visit("bob")
    hostile = (
        '<img src=x onerror="document.title=1"> [link](javascript:alert(1)) <script>x</script>'
    )
    write(alice, hostile)
    row = message(bob, "onerror")
    expect(row).to_contain_text("<script>x</script>")
    assert row.locator("img, script, .markdown a").count() == 0


def test_history_loads_on_the_way_up_and_a_permalink_leads_into_it(
    visit: Visit, long_talk: Conversation
) -> None:
    alice = visit("alice", permissions=["clipboard-read", "clipboard-write"])
    expect(message(alice, "old 130")).to_be_in_viewport()
    alice.locator(".timeline").hover()
    for _ in range(60):
        if "old 1" in texts(alice):
            break
        alice.mouse.wheel(0, -900)
        alice.wait_for_timeout(50)
    assert texts(alice) == [f"old {number}" for number in range(1, 131)]
    target = alice.locator(".message").nth(2)
    target.scroll_into_view_if_needed()
    target.hover()
    target.get_by_role("button", name="Copy the link").click()
    link = alice.evaluate("navigator.clipboard.readText()")

    bob = visit("bob")
    bob.goto(link)
    expect(bob.locator(".message.is-highlighted")).to_have_text(re.compile("old 3$|old 3[^0-9]"))
    expect(bob.locator(".message").filter(has_text="old 3").first).to_be_in_viewport()
    bob.get_by_role("button", name=re.compile("new|Latest")).click()
    expect(message(bob, "old 130")).to_be_in_viewport()


@pytest.fixture
def long_talk(ward: Conversation, alice: User) -> Conversation:
    """`old 1` to `old 130`, by alice, in the conversation."""
    drafts = [Draft(alice, ward.pk, str(uuid4()), f"old {number}") for number in range(1, 131)]
    assert all(isinstance(outcome, Ack) for outcome in send_messages(drafts))
    return ward


def test_on_a_phone_one_pane_a_way_back_and_targets_for_fingers(
    visit: Visit, ward: Conversation
) -> None:
    page = visit("alice", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.get_by_role("link", name="ward-4").tap()
    write_by_touch(page, "from the phone")
    expect(message(page, "from the phone").get_by_text(IN_LOG)).to_be_visible(timeout=10_000)
    expect(page.get_by_role("button", name="New conversation")).to_be_hidden()
    assert small_targets(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="People", exact=True).tap()
    expect(page.get_by_role("heading", name="People")).to_be_visible()
    page.get_by_role("button", name="Close: People").tap()
    page.get_by_role("button", name="Back to the list").tap()
    expect(page.get_by_role("button", name="New conversation")).to_be_visible()
    assert small_targets(page) == []

    # 1280 pixels at 400 %.
    page.set_viewport_size({"width": 320, "height": 256})
    page.get_by_role("link", name="ward-4").tap()
    write_by_touch(page, "a long word: " + "x" * 200)
    expect(message(page, "a long word")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    expect(page.get_by_role("button", name="Send")).to_be_in_viewport()


def write_by_touch(page: Page, text: str) -> None:
    composer(page).fill(text)
    page.get_by_role("button", name="Send").tap()


def small_targets(page: Page) -> list[str]:
    """Visible controls that are lower or narrower than 44 px, but for the state of a message."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('button, a, input, select, textarea')]
             .filter((one) => one.checkVisibility({ visibilityProperty: true }))
             .filter((one) => !one.matches('.skip-link, .message-state, .brand, .markdown a'))
             .map((one) => [one, one.getBoundingClientRect()])
             .filter(([, box]) => box.width < 43.5 || box.height < 43.5)
             .map(([one, box]) => `${one.className} ${box.width}x${box.height}`)"""
    )
    return found


def test_no_state_of_the_page_has_a_serious_fault_of_access(
    visit: Visit, ward: Conversation
) -> None:
    page = visit("alice", **EXAMINED)
    bring_axe(page)
    faults: dict[str, list[str]] = {}

    def look(state: str) -> None:
        for theme in ("light", "dark"):
            put_in_theme(page, theme)
            faults[f"{state}, {theme}"] = serious_faults(page)

    write(
        page, "# Look\n\n**bold** `code` [link](https://example.org) @Bob\n\n- [x] done\n\n> said"
    )
    row = page.locator(".timeline .message")
    expect(row.get_by_text(IN_LOG)).to_be_visible(timeout=10_000)
    look("conversation")
    row.hover()
    page.get_by_role("button", name="React").click()
    look("picker")
    page.get_by_role("button", name="thumbs up", exact=True).click()
    row.hover()
    page.get_by_role("button", name="Reply in a thread").click()
    page.get_by_label("Reply in this thread").fill("a reply")
    page.get_by_label("Reply in this thread").press("Enter")
    expect(page.locator(".thread").get_by_text("a reply")).to_be_visible()
    look("thread")
    row.hover()
    row.get_by_role("button", name="Receipt", exact=True).click()
    page.get_by_role("button", name="Check it yourself").click()
    expect(page.locator(".check-steps li")).to_have_count(3)
    look("receipt")
    for opener in ("New conversation", "New direct conversation"):
        page.get_by_role("button", name=opener, exact=True).click()
        look(opener)
        page.get_by_role("button", name="Cancel").click()
    page.keyboard.press("Control+k")
    look("jump")
    page.keyboard.press("Escape")
    page.locator(".own-button").click()
    look("own menu")
    page.keyboard.press("Escape")
    page.context.set_offline(True)
    expect(page.get_by_text("You are offline since")).to_be_visible()
    look("offline")
    assert {state: found for state, found in faults.items() if found} == {}


def test_signing_out_elsewhere_is_told_and_the_draft_is_kept(
    visit: Visit, ward: Conversation, organization: Organization
) -> None:
    alice = visit("alice")
    composer(alice).fill("still thinking")
    token = alice.locator('meta[name="csrf-token"]').get_attribute("content") or ""
    answer = alice.request.post(
        "/api/auth/sign-out", headers={"X-CSRFToken": token, "Referer": alice.url}
    )
    assert answer.ok, answer.text()
    expect(alice.get_by_text("You have been signed out.")).to_be_visible(timeout=10_000)
    alice.get_by_role("link", name="Sign in").click()
    alice.get_by_label("Email").fill(address("alice", organization.slug))
    alice.get_by_label("Password").fill(PASSWORD)
    alice.keyboard.press("Enter")
    expect(composer(alice)).to_have_value("still thinking")
