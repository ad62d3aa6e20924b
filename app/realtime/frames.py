"""WebSocket frames (RFC 6455, 5), for a server: read from a client, made for clients. Pure.

A frame to clients is made once and the same bytes go to all of them; extensions are never
negotiated, so that every reserved bit is a violation.
"""

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum

from websockets.frames import Close as CloseFrame
from websockets.speedups import apply_mask


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Violation(IntEnum):
    """Why a connection is failed: the status of RFC 6455, 7.4.1."""

    NONE = 0
    PROTOCOL = 1002
    NOT_UTF8 = 1007
    TOO_LONG = 1009


TEXT, BINARY = int(Opcode.TEXT), int(Opcode.BINARY)
"""As numbers: a member of an enumeration takes longer to look up and to compare."""

_FIN = 0x80
_WHOLE_TEXT = _FIN | TEXT
_HEAD = struct.Struct("!BBH")
_RESERVED = 0x70
_LONGEST_CONTROL = 125


def text_frame(payload: bytes) -> bytes:
    """Return the frame of a whole text message, as it goes to any client."""
    length = len(payload)
    if 125 < length < 1 << 16:
        return _HEAD.pack(_WHOLE_TEXT, 126, length) + payload
    return _frame(Opcode.TEXT, payload)


def pong_frame(payload: bytes) -> bytes:
    return _frame(Opcode.PONG, payload)


def close_frame(code: int) -> bytes:
    return _frame(Opcode.CLOSE, code.to_bytes(2, "big"))


def payload_of(frame: bytes) -> bytes:
    """Return the payload of a frame made here."""
    length = frame[1]
    return frame[2 if length < 126 else 4 if length == 126 else 10 :]


def payloads_of(frames: bytes) -> Iterator[bytes]:
    """Return the payloads of frames made here, which stand one after the other."""
    at = 0
    while at < len(frames):
        length, start = frames[at + 1], at + 2
        if length > 125:
            start += 2 if length == 126 else 8
            length = int.from_bytes(frames[at + 2 : start], "big")
        yield frames[start : start + length]
        at = start + length


def _frame(opcode: Opcode, payload: bytes) -> bytes:
    length = len(payload)
    first = _FIN | opcode
    if length < 126:
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return bytes((first, 126)) + length.to_bytes(2, "big") + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload


def close_status(payload: bytes) -> int:
    """Return the status that answers a client's close frame: its own, or that it was none."""
    try:
        close = CloseFrame.parse(payload)
        if payload:
            close.check()
    except UnicodeDecodeError:
        return Violation.NOT_UTF8
    except Exception:  # the library's errors of a malformed close frame
        return Violation.PROTOCOL
    return close.code if payload else 1000


class FrameReader:
    """Cuts a client's bytes into messages and control frames; holds `longest` bytes at most.

    After a `violation` it reads nothing more.
    """

    __slots__ = ("_buffer", "_longest", "_need", "_part", "_part_opcode", "violation")

    def __init__(self, longest: int) -> None:
        self.violation = Violation.NONE
        self._longest = longest
        self._buffer: bytes | bytearray = b""
        self._need = 0
        self._part: bytearray | None = None
        self._part_opcode = 0

    def feed(self, data: bytes) -> Sequence[tuple[int, bytes]]:
        """Return (opcode, payload) of all that is complete now, in order."""
        if self.violation:
            return ()
        if self._buffer:
            # Growing in place: many small pieces of a long frame cost no copy of all before.
            if not isinstance(self._buffer, bytearray):
                self._buffer = bytearray(self._buffer)
            self._buffer += data
            if len(self._buffer) < self._need:
                return ()
            data = bytes(self._buffer)
        found: list[tuple[int, bytes]] = []
        at = self._cut(data, found)
        self._buffer = data[at:]
        return found

    def _cut(self, data: bytes, found: list[tuple[int, bytes]]) -> int:
        """Add the complete frames of `data` to `found`; returns where the next one begins."""
        at, end = 0, len(data)
        while end - at >= 2:
            length, start = data[at + 1], at + 6
            if length < 0x80:  # not masked
                return self._fail(Violation.PROTOCOL, end)
            if length < 0xFE:
                length -= 0x80
            else:
                start += 2 if length == 0xFE else 8
                if end < start:
                    self._need = start - at
                    return at
                length = int.from_bytes(data[at + 2 : start - 4])
            if length > self._longest:
                return self._fail(Violation.TOO_LONG, end)
            stop = start + length
            if end < stop:
                self._need = stop - at
                return at
            payload = apply_mask(data[start:stop], data[start - 4 : start])
            # Nearly all of them: a command, whole in one frame.
            if data[at] == _WHOLE_TEXT and self._part is None and payload.isascii():
                found.append((TEXT, payload))
            elif not self._take(data[at], payload, found):
                return end
            at = stop
        self._need = 6
        return at

    def _take(self, first: int, payload: bytes, found: list[tuple[int, bytes]]) -> bool:
        opcode = first & 0x0F
        if first & _RESERVED:
            self.violation = Violation.PROTOCOL
        elif opcode >= Opcode.CLOSE:
            if first & _FIN and opcode <= Opcode.PONG and len(payload) <= _LONGEST_CONTROL:
                found.append((opcode, payload))
            else:
                self.violation = Violation.PROTOCOL
        elif (opcode == Opcode.CONTINUATION) != (self._part is not None) or opcode > Opcode.BINARY:
            self.violation = Violation.PROTOCOL
        elif first & _FIN and self._part is None:
            self._complete(opcode, payload, found)
        else:
            self._add_part(first, opcode, payload, found)
        return not self.violation

    def _add_part(
        self, first: int, opcode: int, payload: bytes, found: list[tuple[int, bytes]]
    ) -> None:
        if self._part is None:
            self._part, self._part_opcode = bytearray(), opcode
        self._part += payload
        if len(self._part) > self._longest:
            self.violation = Violation.TOO_LONG
        elif first & _FIN:
            whole, self._part = bytes(self._part), None
            self._complete(self._part_opcode, whole, found)

    def _complete(self, opcode: int, payload: bytes, found: list[tuple[int, bytes]]) -> None:
        if opcode == Opcode.TEXT and not payload.isascii():
            try:
                payload.decode()
            except UnicodeDecodeError:
                self.violation = Violation.NOT_UTF8
                return
        found.append((opcode, payload))

    def _fail(self, violation: Violation, end: int) -> int:
        self.violation = violation
        return end
