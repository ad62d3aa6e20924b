"""Files on the conversation page: chosen, pasted, dropped; on their way; in messages."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, Route, expect

from app.chat.models import Conversation
from tests.shared_server import live_db, sealer, server, shared
from tests.stack import Stack
from tests.web.axe import EXAMINED, bring_axe, put_in_theme, serious_faults
from tests.web.conftest import Visit

__all__ = ["live_db", "sealer", "server", "shared"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def picture(width: int = 1200, height: int = 800) -> FilePayload:
    made = io.BytesIO()
    Image.new("RGB", (width, height), (15, 107, 92)).save(made, "PNG")
    return {"name": "wound.png", "mimeType": "image/png", "buffer": made.getvalue()}


def letter(text: str = "Discharge on Friday.") -> FilePayload:
    return {"name": "letter.txt", "mimeType": "text/html", "buffer": text.encode()}


def choose(page: Page, *files: FilePayload) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach files").click()
    chooser.value.set_files(list(files))


def tray(page: Page) -> Locator:
    return page.get_by_role("list", name="Files for this message")


def send(page: Page) -> None:
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled(timeout=30_000)
    page.get_by_role("button", name="Send", exact=True).click()


def test_a_picture_and_a_letter_go_from_one_page_to_another(
    visit: Visit, ward: Conversation, tmp_path: Path
) -> None:
    alice, bob = visit("alice"), visit("bob")
    choose(alice, picture(), letter())
    expect(tray(alice).get_by_text("sealed, not sent yet")).to_have_count(2, timeout=15_000)
    assert bob.locator(".message").count() == 0
    alice.get_by_label("Message #ward-4").fill("as promised")
    send(alice)
    for page in (alice, bob):
        message = page.locator(".message").filter(has_text="as promised")
        shown = message.get_by_role("img", name="Picture: wound.png")
        expect(shown).to_be_visible()
        # Its place was kept before it came, and it came.
        assert shown.evaluate("image => [image.width, image.height]") == [400, 267]
        page.wait_for_function(
            "() => document.querySelector('.file-picture img').naturalWidth === 960"
        )
        expect(message.get_by_role("link", name="Download letter.txt 20 bytes")).to_be_visible()
    expect(tray(alice)).to_have_count(0)
    with bob.expect_download() as download:
        bob.get_by_role("link", name="Download letter.txt").click()
    assert download.value.suggested_filename == "letter.txt"
    download.value.save_as(tmp_path / "letter.txt")
    assert (tmp_path / "letter.txt").read_text() == "Discharge on Friday."
    bob.reload()
    expect(bob.get_by_role("img", name="Picture: wound.png")).to_be_visible()


def test_files_are_pasted_and_dropped_and_a_message_may_be_a_file_alone(
    visit: Visit, ward: Conversation
) -> None:
    alice, bob = visit("alice"), visit("bob")
    expect(alice.get_by_label("Message #ward-4")).to_be_visible()
    alice.evaluate(
        """() => {
            const carry = (name) => {
                const data = new DataTransfer();
                data.items.add(new File(['x'], name));
                return data;
            };
            const field = document.querySelector('.composer textarea');
            field.dispatchEvent(new ClipboardEvent('paste', {
                clipboardData: carry('pasted.txt'), bubbles: true, cancelable: true }));
            document.querySelector('.timeline').dispatchEvent(new DragEvent('drop', {
                dataTransfer: carry('dropped.txt'), bubbles: true, cancelable: true }));
        }"""
    )
    expect(tray(alice).get_by_text("sealed, not sent yet")).to_have_count(2, timeout=15_000)
    send(alice)
    for name in ("pasted.txt", "dropped.txt"):
        expect(bob.get_by_role("link", name=f"Download {name}")).to_be_visible()


def test_an_upload_that_breaks_off_waits_and_goes_on_and_one_can_be_removed(
    visit: Visit, ward: Conversation
) -> None:
    alice = visit("alice")
    expect(alice.get_by_label("Message #ward-4")).to_be_visible()
    alice.context.set_offline(True)
    choose(alice, letter(), picture())
    expect(tray(alice).get_by_text("goes on when you are online").first).to_be_visible()
    expect(alice.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    tray(alice).get_by_role("button", name="Remove wound.png").click()
    expect(tray(alice).get_by_text("wound.png")).to_have_count(0)
    alice.context.set_offline(False)
    expect(tray(alice).get_by_text("sealed, not sent yet")).to_be_visible(timeout=30_000)
    send(alice)
    expect(alice.get_by_role("link", name="Download letter.txt")).to_be_visible()


def test_a_storage_that_is_away_keeps_the_file_here_and_the_text_goes_without_it(
    visit: Visit, ward: Conversation, stack: Stack
) -> None:
    kept = stack.folder / "attachments"
    alice = visit("alice")
    expect(alice.get_by_label("Message #ward-4")).to_be_visible()
    away = kept.with_name("away")
    kept.mkdir(exist_ok=True)
    kept.rename(away)
    kept.touch()  # no folder: nothing can be stored
    try:
        choose(alice, letter(), picture())
        told = "Files cannot be stored or fetched right now. Messages still go through. Kept here"
        expect(tray(alice).get_by_text(told).first).to_be_visible(timeout=15_000)
        tray(alice).get_by_role("button", name="Remove wound.png").click()
        alice.get_by_label("Message #ward-4").fill("the letter follows")
        tray(alice).get_by_role("button", name="Remove letter.txt").click()
        send(alice)
        expect(alice.locator(".message").filter(has_text="the letter follows")).to_be_visible()
        choose(alice, letter())
        expect(tray(alice).get_by_text(told)).to_be_visible(timeout=15_000)
    finally:
        kept.unlink()
        away.rename(kept)
    send(alice)  # by itself it is there
    expect(alice.get_by_role("link", name="Download letter.txt")).to_be_visible()


def test_what_the_server_refuses_is_said_beside_the_file_and_can_be_tried_again(
    visit: Visit, ward: Conversation
) -> None:
    alice = visit("alice")

    def refuse(route: Route) -> None:
        error = {"code": "invalid", "message": "Not this one.", "fields": {}}
        route.fulfill(status=400, json={"error": error})

    alice.route("**/api/attachments/*/complete", refuse)
    choose(alice, letter())
    expect(tray(alice).get_by_text("Not sent: Not this one.")).to_be_visible(timeout=15_000)
    alice.unroute("**/api/attachments/*/complete")
    tray(alice).get_by_role("button", name="Send letter.txt again").click()
    expect(tray(alice).get_by_text("sealed, not sent yet")).to_be_visible(timeout=15_000)


def test_deleting_the_message_takes_its_files_from_every_page(
    visit: Visit, ward: Conversation
) -> None:
    alice, bob = visit("alice"), visit("bob")
    choose(alice, letter())
    send(alice)
    link = bob.get_by_role("link", name="Download letter.txt")
    expect(link).to_be_visible()
    address = link.get_attribute("href") or ""
    alice.locator(".message").hover()
    alice.get_by_role("button", name="Delete").click()
    alice.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(link).to_have_count(0)
    assert bob.request.get(address).status == 404


@pytest.mark.parametrize("width", [1280, 390])
def test_files_are_within_reach_of_everybody_on_their_way_and_in_messages(
    width: int, visit: Visit, ward: Conversation
) -> None:
    size = {"width": width, "height": 800}
    alice = visit("alice", viewport=size, **EXAMINED)
    if width == 390:
        alice.get_by_role("link", name="ward-4").click()
    choose(alice, picture(), letter())
    expect(tray(alice).get_by_text("sealed, not sent yet")).to_have_count(2, timeout=15_000)
    alice.get_by_label("Message #ward-4").fill("the wound, and the letter")
    send(alice)
    expect(alice.get_by_role("img", name="Picture: wound.png")).to_be_visible()
    alice.route("**/api/attachments/*/complete", lambda route: route.fulfill(status=400))
    choose(alice, letter(), {"name": "x" * 120 + ".txt", "mimeType": "", "buffer": b"1"})
    expect(tray(alice).get_by_text("Not sent:")).to_have_count(2, timeout=15_000)
    assert alice.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for button in tray(alice).get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width
    bring_axe(alice)
    for theme in ("light", "dark"):
        put_in_theme(alice, theme)
        assert serious_faults(alice) == []
        if folder := os.environ.get("PARLEY_PICTURES"):
            alice.screenshot(path=f"{folder}/files-{width}-{theme}.png")
