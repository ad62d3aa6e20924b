"""What the fan-out is measured with: bursts in flight, and hints as commits would publish them."""

import asyncio
from collections.abc import Callable
from contextlib import closing

import msgspec
import pytest

from app.accounts.models import User
from app.realtime import hints
from app.realtime.services import conversation_stream
from benchmarks.figures import Incorrect
from benchmarks.gateway import counting, fanout
from benchmarks.gateway.counting import numbered
from tests.chat.talk import room


class Ear:
    """A connection of which only what it hears is of interest."""

    def __init__(self) -> None:
        self.on_texts: Callable[[list[bytes]], None] = lambda _: None

    @staticmethod
    def framed(payload: bytes) -> bytes:
        return payload

    def write(self, frames: bytes | memoryview) -> None: ...

    def abort(self) -> None: ...


class Loudspeaker:
    """Hands what is said to all ears, a step of the loop later; it may lose the n-th for one."""

    def __init__(self, ears: list[Ear], lost: int | None = None) -> None:
        self._ears, self._lost = ears, lost
        self.said: list[int] = []
        self.heard = self.most = 0

    def say(self, count: int) -> None:
        numbers = range(sum(self.said), sum(self.said) + count)
        self.said.append(count)
        self.most = max(self.most, sum(self.said) - self.heard)
        asyncio.get_running_loop().call_soon(self._hand_out, numbers)

    def _hand_out(self, numbers: range) -> None:
        self.heard += len(numbers)
        for ear in self._ears:
            kept = [n for n in numbers if ear is self._ears[0] or n != self._lost]
            ear.on_texts([f"text {numbered(n)}".encode() for n in kept])


@pytest.mark.parametrize("burst", fanout.BURSTS)
async def test_bursts_are_said_whole_and_so_many_are_in_flight(burst: int) -> None:
    ears = [Ear(), Ear(), Ear()]
    speaker = Loudspeaker(ears)
    listeners = fanout.Listeners(ears, speaker.say)
    turn = await listeners.work(lambda: 0.0, 0.05, burst)
    assert {*speaker.said} == {burst}
    assert turn.done == 3 * sum(speaker.said)
    assert speaker.most == fanout.WINDOW * burst


async def test_who_does_not_hear_one_message_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PATIENCE", 0.2)
    ears = [Ear(), Ear()]
    listeners = fanout.Listeners(ears, Loudspeaker(ears, lost=3).say)
    with pytest.raises(Incorrect):
        await listeners.work(lambda: 0.0, 0.01, 1)


@pytest.mark.usefixtures("live_db")
def test_a_hint_tells_of_as_many_messages_as_were_asked_for(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = room(alice, bob)
    published: list[hints.Hint] = []
    monkeypatch.setattr(fanout, "_publish", published.extend)
    monkeypatch.setattr(fanout, "COMMITTED_AHEAD", 4)
    with closing(fanout.Speaker(alice, ward.pk)) as speaker:
        for count in (1, 3, 2, 5):
            speaker.say(count)
    assert {hint.channel for hint in published} == {
        hints.STREAM_CHANNEL + conversation_stream(ward.pk)
    }
    told = [msgspec.json.decode(hint.payload) for hint in published]
    assert [len(events) for events in told] == [1, 3, 2, 5]
    offsets = [offset for events in told for _, offset, *_ in events]
    assert offsets == list(range(offsets[0], offsets[0] + 11))
