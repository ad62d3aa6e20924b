"""The handed-over connection, byte by byte: RFC 6455 as the gateway holds it in production."""

import base64
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from app.accounts.models import User
from app.chat.models import Conversation
from app.chat.services import Draft, send_messages
from app.realtime.protocol import Close
from tests.chat.talk import room
from tests.live import LiveDatabase
from tests.realtime.speaker import bearer, connected, ticket
from tests.server import GatewayServer, WebServer
from tests.stack import Stack

TIMEOUT = 20.0


@pytest.fixture(scope="module")
def server(live_db: LiveDatabase, stack: Stack) -> Iterator[WebServer]:
    with GatewayServer.running(live_db, stack.redis, stack) as running:
        yield running


class Raw:
    """A client that says whatever bytes it likes."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.file = connection.makefile("rb")

    def say(self, *frames: Frame) -> None:
        self.connection.sendall(b"".join(frame.serialize(mask=True) for frame in frames))

    def frame(self) -> tuple[Opcode, bytes]:
        first, length = self.file.read(2)
        assert first & 0xF0 == 0x80, "whole, without extensions"
        assert length < 128, "a server masks nothing"
        if length == 126:
            length = int.from_bytes(self.file.read(2), "big")
        elif length == 127:
            length = int.from_bytes(self.file.read(8), "big")
        return Opcode(first & 15), self.file.read(length)

    def closed(self) -> int:
        """The status of the close frame that comes, and nothing after it once it is answered."""
        while True:
            opcode, payload = self.frame()
            if opcode is Opcode.CLOSE:
                break
        self.say(Frame(Opcode.CLOSE, payload))
        assert self.file.read() == b""
        return int.from_bytes(payload, "big")


@contextmanager
def raw(server: WebServer, *, deaf: bool = False) -> Iterator[Raw]:
    """A handshake; the server's hello is read."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        "GET /ws HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: rt.v1",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "",
        "",
    )
    with socket.socket() as connection:
        if deaf:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(TIMEOUT)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall("\r\n".join(lines).encode())
        client = Raw(connection)
        with client.file:
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += client.file.readline()
            assert answer.startswith(b"HTTP/1.1 101 ")
            assert b"permessage-deflate" not in answer
            assert b'"hello"' in client.frame()[1]
            yield client


def connect_frame(server: WebServer, user: User) -> bytes:
    return msgspec.json.encode(
        {"id": 1, "op": "connect", "d": {"ticket": ticket(server.base_url, bearer(user))}}
    )


def test_a_ping_is_answered_and_a_pong_is_not(server: WebServer) -> None:
    with raw(server) as client:
        client.say(Frame(Opcode.PONG, b"nobody asked"), Frame(Opcode.PING, b"are you there?"))
        assert client.frame() == (Opcode.PONG, b"are you there?")


@pytest.mark.parametrize(("said", "answer"), [(b"\x03\xe8", 1000), (b"", 1000), (b"\x01", 1002)])
def test_a_close_is_answered_and_the_connection_ends(
    said: bytes, answer: int, server: WebServer
) -> None:
    with raw(server) as client:
        client.connection.sendall(bytes((0x88, 0x80 | len(said), 0, 0, 0, 0)) + said)
        assert client.frame() == (Opcode.CLOSE, answer.to_bytes(2, "big"))
        assert client.file.read() == b""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x81\x02hi", 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007),
        (b"\x80\x80\0\0\0\0", 1002),
    ],
)
def test_a_frame_against_the_rules_fails_the_connection(
    data: bytes, status: int, server: WebServer
) -> None:
    with raw(server) as client:
        client.connection.sendall(data)
        assert client.closed() == status


def test_a_frame_that_only_says_how_long_it_will_be_is_refused(server: WebServer) -> None:
    with raw(server) as client:
        client.connection.sendall(b"\x81\xff" + (1 << 40).to_bytes(8, "big") + b"\0\0\0\0")
        assert b'"bad_request"' in client.frame()[1]
        assert client.closed() == Close.BAD_FRAME


def test_a_command_in_pieces_is_one(server: WebServer, alice: User) -> None:
    whole = connect_frame(server, alice)
    with raw(server) as client:
        client.say(
            Frame(Opcode.TEXT, whole[:10], fin=False),
            Frame(Opcode.PING, b"in between"),
            Frame(Opcode.CONT, whole[10:20], fin=False),
            Frame(Opcode.CONT, whole[20:]),
        )
        assert client.frame() == (Opcode.PONG, b"in between")
        assert b'"ok"' in client.frame()[1]
        for byte in Frame(Opcode.TEXT, b'{"id":2,"op":"ping"}').serialize(mask=True):
            client.connection.sendall(bytes((byte,)))
        assert client.frame() == (Opcode.TEXT, b'{"id":2,"ok":{}}')


def commit(author: User, conversation: Conversation, bodies: Sequence[str]) -> None:
    for at in range(0, len(bodies), 50):
        send_messages(
            [Draft(author, conversation.pk, str(uuid4()), body) for body in bodies[at : at + 50]]
        )


def test_channels_redis_131_who_does_not_read_is_cut_off_and_recovers_all_five_hundred(
    server: WebServer, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    stream = f"conversation:{ward.pk}"
    with raw(server, deaf=True) as client:
        client.say(Frame(Opcode.TEXT, connect_frame(server, bob)))
        client.frame()
        sub = msgspec.json.encode({"id": 2, "op": "sub", "d": {"s": stream}})
        client.say(Frame(Opcode.TEXT, sub))
        place = msgspec.json.decode(client.frame()[1])["ok"]
        bodies = [f"{number:03}" + "€" * 15_000 for number in range(500)]
        # More than the system's buffers and the queue hold; the rest while nobody is there.
        commit(alice, ward, bodies[:300])
        # All that had been written before; then the code, as nothing more was queued.
        assert client.closed() == Close.SLOW
    commit(alice, ward, bodies[300:])
    # Who reads, but not fast enough for twenty megabytes at once, comes back for the rest.
    got: list[str] = []
    while len(got) < len(bodies):
        with connected(server.base_url, bob) as b:
            assert b.sub(stream, place["e"], place["o"] + len(got))["recovered"]
            before = len(got)
            try:
                while len(got) < len(bodies):
                    got.append(b.push("message.created")["d"]["body"])
            except ConnectionClosed:
                if len(got) == before:
                    raise
    assert got == bodies


def test_pings_of_a_client_that_does_not_read_fill_no_memory(server: WebServer) -> None:
    with raw(server, deaf=True) as client:
        flood = Frame(Opcode.PING, b"x" * 125).serialize(mask=True) * 1000
        client.connection.settimeout(2)
        sent = 0
        try:
            while sent < 40_000_000:
                client.connection.sendall(flood)
                sent += len(flood)
        except TimeoutError:
            pass  # TCP itself holds it back: as good
        with raw(server) as another:
            another.say(Frame(Opcode.PING, b"still there"))
            assert another.frame() == (Opcode.PONG, b"still there")
