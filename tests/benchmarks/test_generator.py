"""The load generator loses nothing, and notices when a server does."""

import asyncio
from collections.abc import Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from benchmarks.figures import Incorrect
from benchmarks.gateway import counting, pairs
from benchmarks.gateway.connection import Connection
from benchmarks.gateway.counting import Counter, check, numbered
from benchmarks.gateway.frames import CLOSE, PING, Fragmented, masked, split

SIZES = [0, 1, 125, 126, 500, 65_535]


@pytest.mark.parametrize("size", SIZES)
def test_another_implementation_reads_our_frames(size: int) -> None:
    payload = bytes(number % 251 for number in range(size))
    reader = StreamReader()
    reader.feed_data(masked(payload))
    parsing = Frame.parse(reader.read_exact, mask=True)
    with pytest.raises(StopIteration) as stopped:
        next(parsing)
    assert stopped.value.value == Frame(Opcode.TEXT, payload)


def test_frames_cut_anywhere_are_all_found() -> None:
    bodies = [b"x" * size for size in (0, 3, 125, 126, 300)]
    wire = b"".join(Frame(Opcode.TEXT, body).serialize(mask=False) for body in bodies)
    wire += Frame(Opcode.PING, b"?").serialize(mask=False)
    wire += Frame(Opcode.TEXT, b"y" * 70_000).serialize(mask=False)
    wire += Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=False)
    for cut in (*range(600), 601, 40_000, len(wire) - 1):
        first, others, rest = split(wire[:cut])
        then, more, rest = split(rest + wire[cut:])
        assert [*first, *then] == [*bodies, b"y" * 70_000]
        assert [*others, *more] == [(PING, b"?"), (CLOSE, b"\x03\xe8")]
        assert rest == b""


def test_a_frame_in_pieces_is_not_counted_as_one() -> None:
    with pytest.raises(Fragmented):
        split(Frame(Opcode.TEXT, b"half", fin=False).serialize(mask=False))


def _texts(*numbers: int) -> list[bytes]:
    return [f'{{"neg":"{numbered(number)}"}}'.encode() for number in numbers]


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        (_texts(0, 1, 3), "0 messages lost, 1 out of order"),  # 2 never came, 3 is no fourth
        (_texts(0, 1), "1 messages lost, 0 out of order"),
        (_texts(0, 1, 1, 2), "0 messages lost, 1 out of order"),
        (_texts(1, 0, 2), "3 out of order"),
        ([*_texts(0, 1, 2), b'{"id":1,"err":{"code":111}}'], '1 refused {"id":1,'),
    ],
)
def test_what_is_not_there_in_order_is_noticed(heard: list[bytes], said: str) -> None:
    counter = Counter()
    counter.count(heard)
    with pytest.raises(Incorrect, match=said.replace("{", r"\{")):
        check([counter], [3])


def test_the_ring_goes_round() -> None:
    counter = Counter()
    for start in range(0, 200, 10):
        assert counter.count(_texts(*range(start, start + 10))) == 10
    check([counter], [200])


Meddle = Callable[[int, str], list[str]]


async def _relayed_by(meddle: Meddle, *, most: int = 10_000) -> None:
    """Half a second between two pairs, through a server that does so to the n-th message."""
    ends: dict[str, ServerConnection] = {}
    handed_on = 0

    async def relay(socket: ServerConnection) -> None:
        nonlocal handed_on
        assert socket.request
        me, to = socket.request.path.strip("/").split("-")
        ends[me] = socket
        async for message in socket:
            handed_on += 1
            for text in meddle(handed_on, str(message)):
                await ends[to].send(text)

    async with serve(relay, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sides = []
        for path in ("/a-b", "/b-a", "/c-d", "/d-c"):
            connection = Connection()
            await connection.open(port, path)
            sides.append(pairs.Side(connection, lambda neg: f"{{{neg} {'x' * 300}}}".encode()))
        try:
            turn = await pairs.relay(sides, lambda: 1.0, seconds=0.2, window=3, most=most)
            assert 0 < turn.done <= handed_on == sum(side.received for side in sides)
            assert max(side.sent for side in sides) <= most
        finally:
            for side in sides:
                side.connection.abort()
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PATIENCE", 0.5)


async def test_a_faithful_relay_is_measured() -> None:
    await _relayed_by(lambda _, text: [text])


async def test_nobody_says_more_than_a_limit_of_rate_allows_however_quick_the_server_is() -> None:
    await _relayed_by(lambda _, text: [text], most=10)


@pytest.mark.parametrize(
    "meddle",
    [
        lambda number, text: [] if number == 40 else [text],
        lambda number, text: [text, text] if number == 40 else [text],
    ],
    ids=["loses one", "doubles one"],
)
async def test_one_message_too_few_or_too_many_ends_the_run(meddle: Meddle) -> None:
    with pytest.raises(Incorrect):
        await _relayed_by(meddle)
