"""Calls in real pages: joining by the buttons that people press, and what their connections say.

`COUNTING` keeps a page's peer connections where a test can ask them; they are the browser's own.
"""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

FAKE_DEVICES = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]

COUNTING = """(() => {
  const Real = window.RTCPeerConnection
  window.connections = []
  window.RTCPeerConnection = class extends Real {
    constructor(configuration) {
      super(configuration)
      window.connections.push(this)
    }
  }
})()"""

STATISTICS = """async () => {
  const found = []
  for (const one of window.connections.filter((one) => one.connectionState === 'connected')) {
    const rows = [...(await one.getStats()).values()]
    const all = new Map(rows.map((row) => [row.id, row]))
    const sound = rows.find((row) => row.type === 'inbound-rtp' && row.kind === 'audio')
    const pair = all.get(rows.find((row) => row.type === 'transport')?.selectedCandidatePairId)
    found.push({
      received: sound?.packetsReceived ?? 0,
      lost: sound?.packetsLost ?? 0,
      frames: rows.filter((row) => row.type === 'inbound-rtp' && row.kind === 'video')
        .map((row) => row.framesDecoded ?? 0),
      ends: [pair?.localCandidateId, pair?.remoteCandidateId]
        .map((id) => all.get(id)?.candidateType),
    })
  }
  return found
}"""

WAIT_MS = 30_000


def bar(page: Page) -> Locator:
    return page.get_by_role("region", name="Your call")


def open_call(page: Page) -> Locator:
    """The dialog before joining."""
    page.get_by_role("button", name=re.compile("^Call$|in call$")).click()
    return page.get_by_role("dialog")


def join(page: Page, *, relay: bool = False) -> None:
    """Join the call of the open conversation, as a person does."""
    dialog = open_call(page)
    if relay:
        dialog.get_by_label("Always use the relay").check()
    dialog.get_by_role("button", name="Join", exact=True).click()
    expect(bar(page).get_by_role("button", name="Leave the call")).to_be_visible(timeout=WAIT_MS)


def people(page: Page) -> Locator:
    """Who is in the call, in the right pane."""
    return page.locator(".call-person")


def person(page: Page, name: str) -> Locator:
    return people(page).filter(has_text=name)


def statistics(page: Page) -> list[dict[str, Any]]:
    """Of each connection that is up: packets received and lost, and the kinds of its two ends."""
    found: list[dict[str, Any]] = page.evaluate(STATISTICS)
    return found


def expect_to_hear(page: Page, others: int) -> list[dict[str, Any]]:
    """Wait until sound comes from as many others, and goes on coming; returns the last look."""
    before: list[dict[str, Any]] = []
    for _ in range(WAIT_MS // 250):
        now = statistics(page)
        heard = [one for one in now if one["received"] > 0]
        if len(heard) == len(now) == others and len(before) == others:
            grown = [a["received"] > b["received"] for a, b in zip(now, before, strict=True)]
            if all(grown):
                return now
        before = now
        page.wait_for_timeout(250)
    raise AssertionError(f"{others} should be heard; the connections say {statistics(page)}")
