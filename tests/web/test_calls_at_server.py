"""Calls that grow beyond a mesh, in real pages, through the fake LiveKit: sound comes from it.

A mesh holds four here: the server is offered at 3, forced at 5, and left at 2. Two or three are
pages; the rest are places without media, as of people whose devices are elsewhere.
"""

import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from app.accounts.models import User
from app.chat.models import Conversation
from app.realtime.client.identity import encoded
from dev.redis_server import RedisServer
from loadtests.device import new_device
from tests.fakes.faults import Fault
from tests.fakes.livekit import LiveKitServer
from tests.live import LiveDatabase
from tests.realtime.speaker import Speaker, bearer, connected
from tests.server import WebServer
from tests.stack import Stack
from tests.web.callers import caller, chromium, theatre
from tests.web.calls import WAIT_MS, bar, expect_to_hear, join, person
from tests.web.conftest import Visit

__all__ = ["caller", "chromium", "theatre"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(480), pytest.mark.xdist_group("calls")]

# A mesh's connection sends and receives; the server is sent to by one, and sends by another.
SOUNDS = """async () => {
  const up = window.connections.filter((one) => one.connectionState === 'connected')
  const stats = await Promise.all(up.map(async (one) => [...(await one.getStats()).values()]))
  const rtp = (rows, type, kind) => rows.filter((row) => row.type === type && row.kind === kind)
  const received = (kind) => stats.flatMap((rows) => rtp(rows, 'inbound-rtp', kind))
  return {
    mesh: stats.filter((rows) => ['inbound-rtp', 'outbound-rtp']
      .every((type) => rtp(rows, type, 'audio').length > 0)).length,
    received: received('audio').map((row) => row.packetsReceived),
    frames: received('video').map((row) => row.framesDecoded ?? 0),
  }
}"""


@pytest.fixture
def livekit() -> Iterator[LiveKitServer]:
    with LiveKitServer.running(media=True) as running:
        yield running
        assert running.media is not None
        assert running.media.problems == []


@pytest.fixture
def server(
    live_db: LiveDatabase, redis_server: RedisServer, stack: Stack, livekit: LiveKitServer
) -> Iterator[WebServer]:
    class WithSfu(WebServer):
        def environment(self) -> dict[str, str]:
            return super().environment() | {
                "LIVEKIT_URL": livekit.url,
                "LIVEKIT_API_KEY": livekit.key,
                "LIVEKIT_API_SECRET": livekit.secret,
                "VOICE_MESH_CAPACITY": "4",
            }

    with WithSfu.running(live_db, redis_server, stack) as running:
        yield running


class Crowd:
    """Places in the call that send nothing, over one socket; `size` them as a test needs."""

    def __init__(self, speaker: Speaker, conversation: str) -> None:
        self._speaker, self._conversation = speaker, conversation
        self._pids: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._renewing = threading.Thread(target=self._renew)
        self._renewing.start()

    def size(self, number: int) -> None:
        with self._lock:
            while len(self._pids) < number:
                self._pids.append(self._enter())
            while len(self._pids) > number:
                self._speaker.ask("voice.leave", pid=self._pids.pop(), gen=1)

    def end(self) -> None:
        self._over.set()
        self._renewing.join()

    def _enter(self) -> str:
        device, fingerprint, pid = new_device(), ":".join(["AB"] * 32), str(uuid4())
        self._speaker.ask(
            "voice.join",
            conversation=self._conversation,
            pid=pid,
            device=device.id,
            key=encoded(device.key),
            fingerprint=fingerprint,
            signature=device.signature(self._conversation, pid, 1, fingerprint),
            muted=True,
        )
        return pid

    def _renew(self) -> None:
        while not self._over.wait(5):
            with self._lock:
                for pid in self._pids:
                    self._speaker.ask("voice.renew", pid=pid, gen=1)


@pytest.fixture
def crowd(ward: Conversation, bob: User, server: WebServer) -> Iterator[Crowd]:
    token = bearer(bob)  # asks the database: before Playwright's loop
    with connected(server.base_url, bob, token) as speaker:
        made = Crowd(speaker, str(ward.pk))
        yield made
        made.end()


def expect_to_hear_at_server(page: Page, others: int) -> None:
    """Sound of as many goes on coming over the connection with the server, and over no other."""
    before: list[int] = []
    for _ in range(WAIT_MS // 250):
        now = page.evaluate(SOUNDS)
        known = before if len(before) == len(now["received"]) else [0] * len(now["received"])
        growing = sum(b > a > 0 for a, b in zip(known, now["received"], strict=True))
        if growing == others and now["mesh"] == 0:
            return
        before = now["received"]
        page.wait_for_timeout(250)
    raise AssertionError(f"{others} should be heard through the server: {page.evaluate(SOUNDS)}")


def expect_pictures(page: Page) -> None:
    for _ in range(WAIT_MS // 250):
        if any(frames > 2 for frames in page.evaluate(SOUNDS)["frames"]):
            return
        page.wait_for_timeout(250)
    raise AssertionError("no picture is decoded")


def muted(livekit: LiveKitServer, room: str) -> list[bool]:
    return sorted(one.muted for pid in livekit.people(room) for one in livekit.sent(room, pid))


def wait_until(page: Page, true: Callable[[], bool]) -> None:
    for _ in range(WAIT_MS // 100):
        if true():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it has not come to that")


def scripts(page: Page) -> list[str]:
    names: list[str] = page.evaluate(
        "performance.getEntriesByType('resource').map((one) => one.name)"
    )
    return [name for name in names if "livekit" in name]


def test_a_call_goes_to_the_server_and_comes_back(
    crowd: Crowd, caller: Visit, livekit: LiveKitServer
) -> None:
    alice, bob = caller("alice"), caller("bob")
    for page in (alice, bob):
        join(page)
    for page in (alice, bob):
        expect_to_hear(page, 1)
        assert scripts(page) == [], "who does not need it does not load it"
    crowd.size(3)
    for page in (alice, bob):
        expect_to_hear_at_server(page, 1)

    olga = caller("olga")
    join(olga)
    for page in (alice, bob, olga):
        expect_to_hear_at_server(page, 2)

    crowd.size(0)
    olga.get_by_role("button", name="Leave the call").click()
    for page in (alice, bob):
        expect_to_hear(page, 1)
    expect(bar(alice).get_by_text("good")).to_be_visible(timeout=10_000)


def test_what_people_do_reaches_the_others_through_a_server_that_is_slow_refuses_and_is_cut(
    crowd: Crowd, caller: Visit, livekit: LiveKitServer
) -> None:
    livekit.faults.plan(Fault(delay=2, path="/rtc"), Fault(status=503, path="/rtc", times=2))
    crowd.size(3)
    alice, bob = caller("alice"), caller("bob")
    for page in (alice, bob):
        join(page)
    for page in (alice, bob):
        expect_to_hear_at_server(page, 1)
    expect(alice.get_by_text("This call goes through").first).to_be_visible()
    expect(person(alice, "Bob").last.locator(".is-speaking")).to_be_visible()
    expect(bar(alice).get_by_text("good")).to_be_visible()

    bar(alice).get_by_role("button", name="Turn on the camera").click()
    expect(bob.get_by_label("Alice’s camera", exact=True)).to_be_visible()
    expect_pictures(bob)
    bar(alice).get_by_role("button", name="Turn off the camera").click()
    expect(bob.get_by_label("Alice’s camera", exact=True)).to_have_count(0)

    person(alice, "Bob").get_by_role("button", name="More about Bob").last.click()
    alice.get_by_role("button", name="Mute Bob").click()
    expect(bar(bob).get_by_role("button", name="Unmute")).to_be_visible()
    [room] = livekit.rooms
    wait_until(alice, lambda: muted(livekit, room) == [False, True])
    bar(bob).get_by_role("button", name="Unmute").click()
    wait_until(alice, lambda: muted(livekit, room) == [False, False])
    expect_to_hear_at_server(alice, 1)

    livekit.cut()
    for page in (alice, bob):
        expect_to_hear_at_server(page, 1)
    expect(bar(alice).get_by_text("reconnecting")).to_have_count(0)
