"""The XMPP client signs in, enters a room, hears every body once, and notices refusals."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from benchmarks.figures import Incorrect
from benchmarks.gateway import counting
from benchmarks.gateway.connection import Closed
from benchmarks.gateway.counting import Counter, check, numbered
from benchmarks.gateway.sizes import BYTES
from benchmarks.peers.stream import Stream, bodies, private, to_all
from tests.benchmarks.serving import serving

# As ejabberd 23.01 and prosody 0.12 hand a private message on.
_EJABBERD = (
    "<message xml:lang='en' to='u001@localhost/bench' from='room0@rooms.localhost/p0' "
    "type='chat' xmlns='jabber:client'><x xmlns='http://jabber.org/protocol/muc#user'/>"
    "<body>{}</body></message>"
)
_PROSODY = (
    "<message from='room0@rooms.localhost/p0' type='chat' to='u001@localhost/bench'>"
    "<body>{}</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>"
)


@pytest.mark.parametrize("form", [_EJABBERD, _PROSODY], ids=["ejabberd", "prosody"])
def test_bodies_cut_anywhere_are_all_found(form: str) -> None:
    sent = [f"{numbered(number)}{'x' * 40}".encode() for number in range(3)]
    wire = "".join(form.format(body.decode()) for body in sent).encode()
    for cut in range(len(wire)):
        first, rest = bodies(wire[:cut])
        then, _ = bodies(rest + wire[cut:])
        assert [*first, *then] == sent


def test_a_stanza_that_was_refused_is_no_message() -> None:
    refused = (
        b"<message from='room0@rooms.localhost/p1' type='error' to='u000@localhost/bench'>"
        b"<error type='cancel'><item-not-found/></error></message>"
    )
    texts, _ = bodies(refused)
    counter = Counter()
    assert counter.count(texts) == 0
    with pytest.raises(Incorrect, match=r"1 refused.*item-not-found"):
        check([counter], [0])


def test_all_messages_have_one_size() -> None:
    assert len(private("room39", "p5")("#63")) == len(private("room0", "p1")("#00")) == BYTES
    assert len(to_all("everyone", 321)("#07")) == 321


Answer = Callable[[str], str]


def _server(answer: Answer) -> AbstractAsyncContextManager[int]:
    """Answers what comes in one piece, a few bytes at a time."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await reader.read(65_536):
            said = answer(asked.decode()).encode()
            for at in range(0, len(said), 50):
                writer.write(said[at : at + 50])
                await writer.drain()

    return serving(talk)


_HEAD = "<stream:stream id='1' from='localhost'><stream:features><bind/></stream:features>"
_THERE = "<presence from='room0@rooms.localhost/p1'><x><item role='participant'/></x></presence>"
_ME = (
    "<presence to='u201@localhost/bench' from='room0@rooms.localhost/p0'>"
    "<x><status code='110'/>{}</x></presence>"
)


def _faithful(asked: str, status: str = "") -> str:
    answers = {
        "<?xml": _HEAD,
        "<auth": "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<iq id='bind'": "<iq id='bind' type='result'><bind><jid>u0@localhost/1</jid></bind></iq>",
        "<presence": _THERE + _ME.format(status) + "<message type='groupchat'><subject/></message>",
        "<iq id='open'": "<iq type='result' id='open'/>",
        "<message": _PROSODY.format("#00 hello") + _EJABBERD.format("#01 again"),
    }
    return next(answer for begin, answer in answers.items() if asked.startswith(begin))


async def test_it_signs_in_enters_and_hears() -> None:
    heard: list[bytes] = []
    done = asyncio.Event()

    def hear(texts: list[bytes]) -> None:
        heard.extend(texts)
        if len(heard) == 2:
            done.set()

    async with _server(_faithful) as port:
        stream = Stream()
        await stream.open(port, "u000")
        await stream.enter("room0", "p0")
        stream.on_texts = hear
        stream.write(private("room0", "p1")("#00"))
        async with asyncio.timeout(counting.PATIENCE):
            await done.wait()
        stream.abort()
        await asyncio.sleep(0)
    assert heard == [b"#00 hello", b"#01 again"]


@pytest.mark.parametrize("first", [True, False])
async def test_who_is_first_unlocks_the_room_and_nobody_else_tries_to(first: bool) -> None:
    asked: list[str] = []

    def remembering(said: str) -> str:
        asked.append(said)
        return _faithful(said, "<status code='201'/>" if first else "")

    async with _server(remembering) as port:
        stream = Stream()
        await stream.open(port, "u201")
        await stream.enter("room0", "p0")
        stream.abort()
        await asyncio.sleep(0)
    assert any("<iq id='open'" in one for one in asked) is first


async def test_who_is_not_let_in_is_told_why() -> None:
    def refusing(asked: str) -> str:
        return "<failure><not-authorized/></failure>" if "<auth" in asked else _HEAD

    async with _server(refusing) as port:
        stream = Stream()
        with pytest.raises(Closed, match="not-authorized"):
            await stream.open(port, "u000")
        stream.abort()
        await asyncio.sleep(0)
