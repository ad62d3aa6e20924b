"""One connection to Redis that never waits for an answer: what a hub hears and says by it.

redis-py's asyncio client makes a round trip a command and a task or two a message; here a
command is bytes appended to the connection's buffer, and a reply is a call. The addresses are
redis-py's, the replies are parsed by hiredis.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, cast

import hiredis
from redis.asyncio.connection import parse_url

CONNECT_SECONDS = 2.0
MAX_UNSENT = 8 * 1024 * 1024
"""Bytes that may wait for a Redis that does not read; then the connection is given up."""


def command(*words: bytes) -> bytes:
    """Return a command as Redis reads it (RESP, arrays of bulk strings)."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


class RedisLink(asyncio.Protocol):
    """`opened`, then `say` until `ended` is done. `heard` gets each reply and push."""

    def __init__(self, heard: Callable[[Any], None]) -> None:
        self._heard = heard
        self._reader = hiredis.Reader()
        self._greetings = 0
        self._transport: asyncio.Transport
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def opened(cls, url: str, heard: Callable[[Any], None]) -> "RedisLink":
        """Connect and sign in. Raises OSError, TimeoutError or hiredis' ReplyError."""
        loop = asyncio.get_running_loop()
        where = parse_url(url)
        link = cls(heard)
        async with asyncio.timeout(CONNECT_SECONDS):
            if "path" in where:
                await loop.create_unix_connection(lambda: link, where["path"])
            else:
                secure = _tls(where) if url.startswith("rediss:") else None
                host, port = where.get("host", "localhost"), where.get("port", 6379)
                await loop.create_connection(lambda: link, host, port, ssl=secure)
            try:
                link._greet(where)
                await link.ready
            except BaseException:
                link.close()
                raise
        return link

    def _greet(self, where: Any) -> None:
        hello = []
        if where.get("password") is not None:
            name = [where["username"].encode()] if where.get("username") else []
            hello.append(command(b"AUTH", *name, where["password"].encode()))
        hello.append(command(b"SELECT", str(where.get("db", 0)).encode()))
        self._greetings = len(hello)
        self._transport.write(b"".join(hello))

    def say(self, *words: bytes) -> None:
        """Send a command. Nothing tells whether it arrived but its reply."""
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self._transport.abort()
        self._transport.write(command(*words))

    def close(self) -> None:
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if not self._greetings:
                self._heard(reply)
            elif isinstance(reply, hiredis.ReplyError):
                if not self.ready.done():
                    self.ready.set_exception(ConnectionRefusedError("Redis refused the sign-in"))
            else:
                self._greetings -= 1
                if not self._greetings and not self.ready.done():
                    self.ready.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionResetError("Redis closed the connection"))
            self.ready.exception()  # whoever opens has been told already, or has given up
        if not self.ended.done():
            self.ended.set_result(None)


def _tls(where: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=where.get("ssl_ca_certs"))
    if where.get("ssl_cert_reqs") == "none":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
