"""An XMPP client of the load generator: as little as signs in, enters a room and hears bodies.

RFC 6120 (SASL PLAIN over loopback, resource binding) and XEP-0045 over TCP, without TLS: for
ejabberd and prosody that is cheaper than WebSocket, where each stanza is unmasked besides.
Stanzas are sent as they were built. Nothing is parsed: what lies before `</body>` is a text.
"""

import asyncio
import base64
from collections.abc import Callable
from typing import cast

from benchmarks.gateway.connection import TIMEOUT, Closed
from benchmarks.gateway.sizes import BYTES, sized
from benchmarks.peers.programs import DOMAIN, ROOMS, XMPP_PASSWORD
from dev.ports import LOOPBACK

_HEAD = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)
_BIND = (
    "<iq id='bind' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
    "<resource>bench</resource></bind></iq>"
)
_OPEN = (
    "<iq id='open' type='set' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'>"
    "<x xmlns='jabber:x:data' type='submit'/></query></iq>"
)
_ME, _NEW = b"code='110'", b"code='201'"
_BODY, _END, _ERROR = b"<body>", b"</body>", b"type='error'"


class Stream(asyncio.Protocol):
    """`await open(…)`, `await enter(…)`, then write stanzas; bodies arrive at `on_texts`."""

    def __init__(self) -> None:
        self.on_texts: Callable[[list[bytes]], None] = lambda _: None
        self.closed: Closed | None = None
        self._rest = b""
        self._sought: tuple[bytes, asyncio.Future[None]] | None = None
        self._transport: asyncio.Transport

    async def open(self, port: int, user: str) -> None:
        """Sign in at a server of this machine. Raises Closed."""
        await asyncio.get_running_loop().create_connection(lambda: self, LOOPBACK, port)
        await self._ask(_HEAD, b"</stream:features>")
        secret = base64.b64encode(f"\0{user}\0{XMPP_PASSWORD}".encode()).decode()
        auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"
        await self._ask(f"{auth}{secret}</auth>", b"<success")
        await self._ask(_HEAD, b"</stream:features>")
        await self._ask(_BIND, b"</jid>")

    async def enter(self, room: str, nick: str) -> None:
        """Enter the room; who is first unlocks it for the others (XEP-0045, 10.1.2)."""
        place = f"{room}@{ROOMS}"
        muc = "<x xmlns='http://jabber.org/protocol/muc'/>"
        first = await self._ask(f"<presence to='{place}/{nick}'>{muc}</presence>", b"</presence>")
        while _ME not in first:
            first += await self._ask("", b"</presence>")
        if _NEW in first:
            await self._ask(_OPEN.format(room=place), b"id='open'")

    @staticmethod
    def framed(stanza: bytes) -> bytes:
        """Stanzas need no frame."""
        return stanza

    def write(self, stanzas: bytes | memoryview) -> None:
        self._transport.write(stanzas)

    def abort(self) -> None:
        """Cut the connection without a word."""
        self._transport.abort()

    async def _ask(self, stanza: str, answer: bytes) -> bytes:
        """Send, and return what came up to and with `answer`. Raises Closed."""
        self._sought = (answer, asyncio.get_running_loop().create_future())
        self._transport.write(stanza.encode())
        self.data_received(b"")
        async with asyncio.timeout(TIMEOUT):
            await self._sought[1]
        self._sought = None
        head, found, self._rest = self._rest.partition(answer)
        return head + found

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if self._sought is None:
            texts, self._rest = bodies(self._rest)
            if texts:
                self.on_texts(texts)
        elif self._sought[0] in self._rest and not self._sought[1].done():
            self._sought[1].set_result(None)
        elif b"<failure" in self._rest or b"<stream:error" in self._rest:
            self.connection_lost(Closed(self._rest[-300:].decode(errors="replace")))

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = self.closed or (error if isinstance(error, Closed) else Closed("cut"))
        if self._sought and not self._sought[1].done():
            self._sought[1].set_exception(self.closed)


def private(room: str, nick: str) -> Callable[[str], bytes]:
    """Return what makes a private message to that occupant around a mark."""
    address = f"to='{room}@{ROOMS}/{nick}' type='chat'"
    return lambda mark: _message(address, mark, BYTES)


def to_all(room: str, size: int) -> Callable[[str], bytes]:
    """Return what makes a message to everybody in the room, its sender included."""
    address = f"to='{room}@{ROOMS}' type='groupchat'"
    return lambda mark: _message(address, mark, size)


def _message(address: str, mark: str, size: int) -> bytes:
    def build(filling: str) -> bytes:
        return f"<message {address}><body>{mark}{filling}</body></message>".encode()

    return sized(build, size)


def bodies(data: bytes) -> tuple[list[bytes], bytes]:
    """Split what a server sent: texts of whole bodies, and the rest, for before what comes next.

    A stanza of type `error` adds a refusal as the counter knows them.
    """
    *parts, rest = data.split(_END)
    texts = [part[part.rfind(_BODY) + len(_BODY) :] for part in parts]
    if (at := data.find(_ERROR)) >= 0:
        texts.append(b'"err" ' + data[at : at + 300].replace(b"#", b""))
    return texts, rest
