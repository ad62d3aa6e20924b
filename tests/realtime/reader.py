"""A socket whose client's end is a list, for tests: it reads when the test says so."""

from typing import Any
from uuid import UUID, uuid4

from app.audit.context import Origin
from app.realtime.frames import payload_of, payloads_of
from app.realtime.services import Principal
from app.realtime.socket import Socket


class Reader:
    """The client's end: an outlet that can be written to only while the client is `reading`."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.closed: list[tuple[int, bytes | None]] = []
        self.held = False

    def write(self, frame: bytes) -> None:
        self.got.extend(payloads_of(frame))

    def close(self, code: int, last: bytes | None) -> None:
        self.closed.append((code, payload_of(last) if last else None))

    def hold(self) -> None:
        self.held = True

    def go_on(self) -> None:
        self.held = False


class Nobody:
    """A keeper that is not asked."""

    def received(self, socket: Socket, frame: bytes) -> None:
        raise AssertionError

    def lost(self, socket: Socket) -> None: ...

    def drain(self) -> Any: ...


def a_socket(
    reader: Reader,
    *,
    reading: bool = True,
    user: UUID | None = None,
    organization: UUID | None = None,
) -> Socket:
    socket = Socket(Nobody())
    socket.belongs_to(Principal(user or uuid4(), organization or uuid4(), uuid4(), Origin()))
    socket.opened(reader)
    if not reading:
        socket.paused()
    return socket
