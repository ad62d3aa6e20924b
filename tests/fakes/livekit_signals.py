"""The signalling of the fake LiveKit: a WebSocket that carries protobuf, upon its HTTP server."""

import contextlib
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tests.fakes.livekit_media import Forwarder, Session
from tests.fakes.livekit_messages import Message, decode, encode

REMOVED, RESTART = 4, 2  # PARTICIPANT_REMOVED of DisconnectReason, RECONNECT of LeaveRequest.Action
_CHUNK = 65_536


class Line:
    """One socket, from the upgrade to its end."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._socket: socket.socket = handler.connection
        self._protocol = ServerProtocol()
        self._lock = threading.Lock()
        head = f"{handler.requestline}\r\n{handler.headers.as_string()}"
        self._protocol.receive_data(head.replace("\r\n", "\n").replace("\n", "\r\n").encode())
        [request] = self._protocol.events_received()
        assert isinstance(request, Request)
        self._protocol.send_response(self._protocol.accept(request))
        self._flush()

    def send(self, response: Message) -> None:
        """A SignalResponse, from any thread."""
        with self._lock, contextlib.suppress(Exception):  # they have gone meanwhile
            self._protocol.send_binary(encode("SignalResponse", response))
            self._flush()

    def listen(self, heard: Callable[[Message], None]) -> None:
        """Every SignalRequest until they leave, or the line is cut."""
        while True:
            try:
                data = self._socket.recv(_CHUNK)
            except OSError:
                return
            with self._lock:
                self._protocol.receive_data(data) if data else self._protocol.receive_eof()
                events = self._protocol.events_received()
                with contextlib.suppress(OSError):
                    self._flush()
            for event in events:
                if isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                    request = decode("SignalRequest", bytes(event.data))
                    if "leave" in request:
                        return
                    heard(request)
                if isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
                    return
            if not data:
                return

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._socket.sendall(data)


def attend(line: Line, media: Forwarder, session: Session) -> None:
    """The stay of one participant, until the end of their line."""
    try:
        line.listen(lambda request: media.do(session.handle(request)))
    finally:
        media.do(session.room.leave(session))
