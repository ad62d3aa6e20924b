"""Signals between processes: by which way they go, and that no other way is believed."""

import asyncio
import logging
from dataclasses import dataclass, field
from uuid import uuid4

import msgspec
import pytest

from app.realtime import signals
from app.realtime.hints import STREAM_CHANNEL, redis_client
from app.realtime.protocol import VoiceNotice
from app.realtime.rooms import Room, Seat
from app.realtime.signals import MAX_TOGETHER, SignalPost, is_bundle
from tests.realtime.hub import a_board, until
from tests.realtime.reader import Reader, a_socket
from tests.realtime.test_rooms import ANN, BEN, STREAM, Ear, a_room, signal


@dataclass
class Process:
    """A follower in one object with the post of the process and its room, on a `wire` of all."""

    address: str
    wire: "list[Process]"
    room: Room | None = field(default_factory=a_room)
    connected: bool = True
    published: list[bytes] = field(default_factory=list)
    posted: list[bytes] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wire.append(self)
        self.signals = SignalPost(self, lambda _: self.room, missed=self.missed.append)  # type: ignore[arg-type]

    def publish(self, stream: str, payload: bytes) -> bool:
        assert stream == STREAM
        self.published.append(payload)
        for one in self.wire:
            one.signals.hear(payload, sent_here=False)
        return True

    def post(self, address: str, payload: bytes) -> bool:
        self.posted.append(payload)
        for one in self.wire:
            if one.address == address:
                one.signals.hear(payload, sent_here=True)
        return True


def bundled(payload: bytes) -> list[bytes]:
    _, told = msgspec.msgpack.decode(payload)
    return [message for _, message in told]


@pytest.mark.parametrize("listens", [True, False], ids=["listens to the room", "does not"])
def test_a_signal_to_a_wrong_address_is_said_again_to_all_once(listens: bool) -> None:
    """Ben sat at two, as one still believes, and sits at three."""
    wire: list[Process] = []
    one, two, three = (Process(address, wire) for address in ("1", "2", "3"))
    ann, ben = Ear(), Ear()
    one.room, three.room = a_room(ann=ann), a_room(ben=ben)
    two.room = a_room() if listens else None

    async def work() -> None:
        assert one.signals.send("2", STREAM, signal(ANN, BEN))
        await asyncio.sleep(0)

    asyncio.run(work())
    assert ben.heard == [signal(ANN, BEN)]
    assert ann.heard == []
    assert [len(each.posted) for each in wire] == [1, 0, 0]
    assert [len(each.published) for each in wire] == [0, 1, 0], "said again by two, and no further"
    assert three.room.address_of(ANN) == "1", "who spoke, not who said it again"
    assert [each.missed for each in wire] == [[], [], []]


def test_of_many_signals_to_one_process_only_those_that_miss_are_said_again() -> None:
    wire: list[Process] = []
    one, two, three = (Process(address, wire) for address in ("1", "2", "3"))
    ann, ben = Ear(), Ear()
    two.room, three.room = a_room(ann=ann), a_room(ben=ben)

    async def work() -> None:
        one.signals.send("2", STREAM, signal(BEN, ANN))
        one.signals.send("2", STREAM, signal(ANN, BEN))
        await asyncio.sleep(0)

    asyncio.run(work())
    assert (ann.heard, ben.heard) == ([signal(BEN, ANN)], [signal(ANN, BEN)])
    assert [bundled(each) for each in two.published] == [[signal(ANN, BEN)]]


def test_a_publication_holds_so_many_signals_and_the_rest_follows_in_order() -> None:
    wire: list[Process] = []
    one, two = Process("1", wire), Process("2", wire)
    ben = Ear()
    two.room = a_room(ben=ben)
    told = [signal(ANN, BEN).replace(b'"n1"', b'"n%d"' % number) for number in range(130)]
    assert len(set(told)) == 130

    async def work() -> None:
        for number, message in enumerate(told, start=1):
            one.signals.send("2", STREAM, message)
            assert len(one.posted) == number // MAX_TOGETHER
        await asyncio.sleep(0)

    asyncio.run(work())
    assert [len(bundled(each)) for each in one.posted] == [64, 64, 2]
    assert ben.heard == told


def test_for_each_process_there_is_a_publication_of_its_own() -> None:
    wire: list[Process] = []
    one, two, three = (Process(address, wire) for address in ("1", "2", "3"))
    ann, ben = Ear(), Ear()
    two.room, three.room = a_room(ann=ann), a_room(ben=ben)

    async def work() -> None:
        for _ in range(3):
            one.signals.send("2", STREAM, signal(BEN, ANN))
            one.signals.send("3", STREAM, signal(ANN, BEN))
        await asyncio.sleep(0)
        assert one.posted != []
        one.connected = False
        assert not one.signals.send("2", STREAM, signal(BEN, ANN)), "the sender is told"

    asyncio.run(work())
    assert [bundled(each) for each in one.posted] == [
        [signal(BEN, ANN)] * 3,
        [signal(ANN, BEN)] * 3,
    ]
    assert (len(ann.heard), len(ben.heard)) == (3, 3)


def test_whom_nobody_knows_the_address_of_hears_it_from_the_rooms_channel() -> None:
    wire: list[Process] = []
    one, two = Process("1", wire), Process("2", wire)
    ann, ben = Ear(), Ear()
    one.room, two.room = a_room(ann=ann), a_room(ben=ben)

    async def work() -> None:
        one.signals.send("", STREAM, signal(ANN, BEN))

    asyncio.run(work())
    assert ben.heard == [signal(ANN, BEN)]
    assert (len(one.published), one.posted) == (1, [])


@pytest.mark.parametrize("payload", [b"{}", b"[]", b'{"t":"voice.signalled"}', b"\x93", b""])
def test_what_is_no_pair_in_messagepack_is_no_bundle(payload: bytes) -> None:
    assert not is_bundle(payload)
    assert is_bundle(signals._encode(signals._Bundle("1", [])))


@pytest.mark.usefixtures("live_db")
@pytest.mark.parametrize(
    "said",
    [
        signal(ANN, BEN),
        b'{"t":"voice.left","d":{"pid":"%s"}}' % BEN.encode(),
        b'{"t":"typing","d":{}}',
        b"{}",
        b"\x92 and then nothing that is MessagePack",
    ],
    ids=["a signal", "an event", "something ephemeral", "nothing", "a broken bundle"],
)
def test_what_is_said_raw_in_a_rooms_channel_reaches_nobody(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever writes to Redis alone speaks as nobody in a room."""
    room, ward = f"voice:{uuid4()}", f"conversation:{uuid4()}"

    async def play() -> None:
        async with a_board() as board:
            reader = Reader()
            socket = a_socket(reader)
            for stream in (room, ward):
                await board.sub(socket, stream)
            await board.hub._follower.listening(ward)
            channel = board.hub._channels[room]
            assert channel.room is not None
            channel.room.read({ANN: 1, BEN: 1})
            channel.room.sit(socket, Seat(room, BEN, 1))
            await board.do(redis_client().publish, STREAM_CHANNEL + room, said)
            # Elsewhere the same words are for all: what is ephemeral comes like that.
            typing = b'{"t":"typing","d":{"user":"u"}}'
            await board.do(redis_client().publish, STREAM_CHANNEL + ward, typing)
            await until(lambda: len(reader.got) > 0, "a later hint arrives")
            await board.emit(room, [VoiceNotice([])])
            await until(lambda: len(reader.got) > 1, "and the room goes on")
            heard = [msgspec.json.decode(one) for one in reader.got]
            assert [(one["s"], one["t"]) for one in heard] == [
                (ward, "typing"),
                (room, "voice.notice"),
            ]
            assert BEN in channel.room.gens

    with caplog.at_level(logging.WARNING, "app.realtime.hub"):
        asyncio.run(play())
    assert [record.message for record in caplog.records].count("hint_refused") == 1
