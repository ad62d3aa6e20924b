"""The load on Synapse: it sends as many as it says, and notices what is lost, doubled or altered.

The server here is a small one of ours, which answers as Synapse 1.163 does.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from benchmarks.figures import Incorrect
from benchmarks.peers import matrix
from benchmarks.peers.homeserver import Guest, room_of
from benchmarks.peers.matrix import Visitors, answered
from dev.errors import SetupProblem
from tests.benchmarks.serving import serving

_PLAIN = b'HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 7\r\n\r\n{"a":1}'
_CHUNKED = (
    b'HTTP/1.1 429 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n'
)


@pytest.mark.parametrize(("wire", "status"), [(_PLAIN, 200), (_CHUNKED, 429)])
def test_an_answer_is_taken_when_it_is_whole(wire: bytes, status: int) -> None:
    last = len(wire) - (2 if status == 429 else 0)  # the empty line after the last chunk
    assert all(answered(wire[:cut]) is None for cut in range(last))
    assert answered(wire) == (status, b'{"a":1}')


def test_an_answer_of_unknown_length_is_refused() -> None:
    with pytest.raises(Incorrect, match="unknown length"):
        answered(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n{}")


Event = dict[str, Any]
Meddle = Callable[[str, int, Event], list[Event]]
"""What a user gets in place of the n-th event."""


class Homeserver:
    """Accounts, one room, and long polls that wait for its next event."""

    def __init__(self, meddle: Meddle) -> None:
        self._meddle = meddle
        self._events: list[Event] = []
        self._said = asyncio.Condition()

    async def answer(self, method: str, target: str, user: str, body: Any) -> dict[str, Any]:
        url = urlsplit(target)
        path = unquote(url.path).removeprefix("/_matrix/client/v3")
        match [method, *path.split("/")[1:]]:
            case ["GET", "_synapse", *_]:
                return {"nonce": "n"}
            case ["POST", "_synapse", *_]:
                name = body["username"]
                return {"access_token": name, "user_id": f"@{name}:localhost"}
            case ["GET", "sync"]:
                given = parse_qs(url.query).items()
                return await self._sync(user, {key: one for key, [one] in given})
            case ["PUT", "rooms", "!r:localhost", "send", "m.room.message", _]:
                return await self._send(body)
        # Of what else is asked one field each is read.
        assert path == "/createRoom" or path.endswith(("/join/!r:localhost", "/filter")), path
        return {"room_id": "!r:localhost", "filter_id": "0"}

    async def _send(self, body: Any) -> dict[str, Any]:
        event = {"event_id": f"${len(self._events)}", "type": "m.room.message", "content": body}
        self._events.append(event)
        async with self._said:
            self._said.notify_all()
        return {"event_id": event["event_id"]}

    async def _sync(self, user: str, asked: dict[str, str]) -> dict[str, Any]:
        since = int(asked.get("since", "0"))
        if asked["timeout"] != "0":
            async with self._said:
                await self._said.wait_for(lambda: len(self._events) > since)
        fresh = [
            given
            for number, event in enumerate(self._events[since:], since)
            for given in self._meddle(user, number, event)
        ]
        timeline = {"limited": False, "events": fresh}
        return {
            "next_batch": str(len(self._events)),
            "rooms": {"join": {"!r:localhost": {"timeline": timeline}}},
        }


def _serving(homeserver: Homeserver) -> AbstractAsyncContextManager[int]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split("\r\n")[0].split()
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            body = await reader.readexactly(int(fields.get("content-length", "0")))
            user = fields.get("authorization", "bearer ").split(" ")[1]
            said = json.dumps(
                await homeserver.answer(method, target, user, json.loads(body or "{}")),
                separators=(",", ":"),
            )
            size = f"Content-Length: {len(said)}\r\n\r\n"
            writer.write(f"HTTP/1.1 200 OK\r\n{size}{said}".encode())

    return serving(talk)


async def _sent_by(meddle: Meddle) -> int:
    """Three people send five messages each, two of them at once; how many arrived."""
    async with _serving(Homeserver(meddle)) as port:
        names = ["a", "b", "c"]
        guests = [await asyncio.to_thread(Guest, port, name) for name in names]
        visitors = Visitors()
        room = await asyncio.to_thread(room_of, guests)
        try:
            await visitors.seat(room, guests, 2)
            turn, times = await visitors.exhaust(5, lambda: 1.0, under_way=2)
            assert len(times.delivered) == len(times.acknowledged) == turn.done
            assert min(times.delivered) > 0
            return turn.done
        finally:
            visitors.abort()
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "PATIENCE", 5.0)


async def test_all_that_was_sent_is_heard_by_all() -> None:
    assert await _sent_by(lambda _, __, event: [event]) == 15


def _other(event: Event) -> Event:
    return event | {"content": event["content"] | {"body": "another text"}}


@pytest.mark.parametrize(
    ("meddle", "said"),
    [
        (lambda who, n, event: [event, event] if (who, n) == ("b", 4) else [event], "different"),
        (lambda _, n, event: [event, event] if n == 4 else [event], "15 were sent, 16 heard"),
        (lambda _, n, event: [_other(event)] if n == 4 else [event], "another text"),
    ],
    ids=["one hears it twice", "all hear it twice", "it was altered"],
)
async def test_what_is_not_as_it_was_sent_is_noticed(meddle: Meddle, said: str) -> None:
    with pytest.raises(Incorrect, match=said):
        await _sent_by(meddle)


async def test_what_one_does_not_hear_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "PATIENCE", 1.0)
    with pytest.raises(Incorrect, match="1 not heard"):
        await _sent_by(lambda who, n, event: [] if (who, n) == ("c", 14) else [event])


async def test_a_refusal_is_told() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nnot today")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SetupProblem, match="refused /_synapse/admin/v1/register: not today"):
            await asyncio.to_thread(Guest, port, "a")
