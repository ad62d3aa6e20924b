"""REST of the load tests, against servers that behave, refuse and hang up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dev.ports import LOOPBACK
from loadtests.http import Answered, Http

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"


class Server:
    """Answers each request with the next of `answers`; None hangs up."""

    def __init__(self, answers: list[bytes | None]) -> None:
        self._answers = answers
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.split(b"\r\n") if b"content-length" in line.lower()]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                self.requests.append(head + body)
                answer = self._answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def talking(*answers: bytes | None) -> AsyncIterator[tuple[Http, Server]]:
    server = Server(list(answers))
    listener = await asyncio.start_server(server.serve, LOOPBACK, 0)
    http = Http(f"http://{LOOPBACK}:{listener.sockets[0].getsockname()[1]}", {"X-Test": "yes"})
    try:
        yield http, server
    finally:
        http.close()
        listener.close()
        await listener.wait_closed()
        await asyncio.sleep(0.05)


async def test_one_connection_serves_many_requests() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
    nothing = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with talking(OK + b'{"a": 17}', chunked, nothing) as (http, server):
        assert await http.ask("POST", "/x", {"b": 1}, token="t") == {"a": 17}
        assert await http.ask("GET", "/y?z=1") == []
        assert await http.ask("PUT", "/z", data=b"bytes") is None
        assert server.connections == 1
    first, second, third = server.requests
    assert first.startswith(b"POST /x HTTP/1.1\r\n")
    assert b"Bearer t" in first
    assert first.endswith(b'{"b": 1}')
    assert b"Bearer" not in second
    assert third.endswith(b"bytes")


async def test_a_refusal_has_its_status_and_the_connection_goes_on() -> None:
    refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    async with talking(refused, OK + b'{"a": 17}') as (http, _):
        with pytest.raises(Answered, match="403 GET /secret") as answered:
            await http.ask("GET", "/secret?q=word")
        assert answered.value.code == 403


async def test_an_idle_connection_that_was_closed_is_opened_again() -> None:
    async with talking(OK + b'{"a": 17}', None, OK + b'{"a": 18}') as (http, server):
        assert await http.ask("GET", "/") == {"a": 17}
        assert await http.ask("GET", "/") == {"a": 18}
        assert server.connections == 2


async def test_a_server_that_hangs_up_at_once_is_a_failure() -> None:
    async with talking(None) as (http, _):
        with pytest.raises(EOFError):
            await http.ask("GET", "/")


async def test_an_answer_that_breaks_off_is_a_failure() -> None:
    async with talking(OK + b'{"a"', None) as (http, _):
        with pytest.raises((EOFError, TimeoutError)):
            async with asyncio.timeout(1):
                await http.ask("GET", "/")
