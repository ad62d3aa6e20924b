"""uvicorn's WebSocket protocol, which after an ordinary ASGI handshake hands over the socket.

An application finds `parley.wire` in the scope's extensions: a function that takes a `Sink`,
gives it every message in the step in which it arrived, and returns itself as the `Outlet`.
From then on no task, no queue and no ASGI message stand between (docs/decisions/0015).
"""

from collections.abc import Callable
from typing import Any, Protocol

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from app.realtime import frames
from app.realtime.frames import FrameReader, Opcode, Violation

EXTENSION = "parley.wire"
CLOSE_SECONDS = 5.0
"""How long a client may take to read what is left and to answer a close frame."""


class Sink(Protocol):
    """Who takes what arrives. Nothing here may wait."""

    longest: int

    def received(self, message: bytes) -> None: ...
    def too_long(self) -> None: ...
    def paused(self) -> None:
        """The client does not read: write nothing until `resumed`."""

    def resumed(self) -> None: ...
    def lost(self) -> None: ...
    def going(self) -> None:
        """The server is being stopped."""


class Outlet(Protocol):
    """The way to a client."""

    @property
    def write(self) -> Callable[[bytes], None]: ...
    def close(self, code: int, last: bytes | None) -> None:
        """Send `last`, close with `code`, and let go."""

    def hold(self) -> None:
        """Read nothing more until `go_on`."""

    def go_on(self) -> None: ...


class WireProtocol(WebSocketsSansIOProtocol):
    """One connection. Before the hand-over all is uvicorn's; after it all is here."""

    _sink: Sink | None = None
    _reader: FrameReader
    _ping: bytes | None = None
    _paused = False

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self.take_over

    def take_over(self, sink: Sink) -> "WireProtocol":
        """From here on `sink` has the socket; to be called in the step after the accepting."""
        self.stop_keepalive()
        self._sink, self._reader = sink, FrameReader(sink.longest)
        # The transport's own method: of two hundred who hear the same, each costs one call.
        self.write: Callable[[bytes], None] = self.transport.write
        # A client waits for the 101 before it speaks (RFC 6455, 4.1).
        early = not self.queue.empty() or bool(self.conn.reader.buffer)
        if self.read_paused:
            self.transport.resume_reading()
        # What the handshake needed is half of a socket's memory.
        for name in ("conn", "request", "response", "scope", "queue", "frames", "writable"):
            self.__dict__.pop(name, None)
        if early:
            self.loop.call_soon(self.close, Violation.PROTOCOL, None)
        return self

    async def run_asgi(self) -> None:
        try:
            await self.app(self.scope, self.receive, self.send)
        except Exception as error:
            # Only its name: an unforeseen error's text could hold what somebody wrote.
            self.logger.error("gateway_failed %s", type(error).__name__)
            if self._sink is None:
                self.send_500_response()
        if self._sink is None and not self.disconnected and self.close_timer is None:
            self.transport.close()

    # From here on: after the hand-over.

    def data_received(self, data: bytes) -> None:
        sink = self._sink
        if sink is None:
            super().data_received(data)
            return
        reader = self._reader
        for opcode, payload in reader.feed(data):
            if opcode <= frames.BINARY:
                if not self.close_sent:
                    sink.received(payload)
            elif opcode == Opcode.CLOSE:
                self._closed_by_client(payload)
            elif opcode == Opcode.PING and not self.close_sent:
                self._answer_ping(payload)
        if reader.violation and not self.close_sent:
            if reader.violation == Violation.TOO_LONG:
                sink.too_long()
            else:
                self.close(reader.violation, None)

    def _answer_ping(self, payload: bytes) -> None:
        # While the client does not read, only its latest ping is answered (RFC 6455, 5.5.3).
        if self._paused:
            self._ping = payload
        else:
            self.write(frames.pong_frame(payload))

    def _closed_by_client(self, payload: bytes) -> None:
        if not self.close_sent:
            self.close(frames.close_status(payload), None)
        self.transport.close()

    def eof_received(self) -> None:
        if self._sink is None:
            super().eof_received()

    def pause_writing(self) -> None:
        if self._sink is None:
            super().pause_writing()
        else:
            self._paused = True
            self._sink.paused()

    def resume_writing(self) -> None:
        if self._sink is None:
            super().resume_writing()
            return
        self._paused = False
        if self._ping is not None:
            ping, self._ping = self._ping, None
            self.write(frames.pong_frame(ping))
        self._sink.resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sink is None:
            super().connection_lost(exc)
            return
        self.connections.discard(self)
        self.disconnected = True
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = None
        self._sink.lost()

    def shutdown(self) -> None:
        if self._sink is None:
            super().shutdown()
        else:
            self._sink.going()

    def close(self, code: int, last: bytes | None) -> None:
        if self.close_sent or self.disconnected:
            return
        self.close_sent = True
        self.transport.write((last or b"") + frames.close_frame(code))
        if self._reader.violation:  # no answer would be understood (RFC 6455, 7.1.7)
            self.transport.write_eof()
        # Frames that are still coming in are read past, until the answer or the end of patience.
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def hold(self) -> None:
        self.transport.pause_reading()

    def go_on(self) -> None:
        if not self.close_sent:
            self.transport.resume_reading()
