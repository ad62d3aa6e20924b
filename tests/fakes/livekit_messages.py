"""The messages of LiveKit's signalling that the fake understands, in protobuf's wire format.

Numbers of fields from livekit/protocol `livekit_rtc.proto` and `livekit_models.proto` (1.52), the
format from https://protobuf.dev/programming-guides/encoding/. A message is a dict; of what is
unknown nothing is kept, as a server of another version would do.
"""

import struct
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]

# Name of a field → number and type: a scalar, or another message's name; [] around what repeats.
_SCHEMA: dict[str, dict[str, tuple[int, str]]] = {
    "SignalRequest": {
        "offer": (1, "SessionDescription"),
        "answer": (2, "SessionDescription"),
        "trickle": (3, "TrickleRequest"),
        "add_track": (4, "AddTrackRequest"),
        "mute": (5, "MuteTrackRequest"),
        "leave": (8, "LeaveRequest"),
        "ping_req": (16, "Ping"),
    },
    "SignalResponse": {
        "join": (1, "JoinResponse"),
        "answer": (2, "SessionDescription"),
        "offer": (3, "SessionDescription"),
        "trickle": (4, "TrickleRequest"),
        "update": (5, "ParticipantUpdate"),
        "track_published": (6, "TrackPublishedResponse"),
        "leave": (8, "LeaveRequest"),
        "mute": (9, "MuteTrackRequest"),
        "speakers_changed": (10, "SpeakersChanged"),
        "refresh_token": (16, "string"),
        "pong_resp": (20, "Pong"),
    },
    "JoinResponse": {
        "room": (1, "Room"),
        "participant": (2, "ParticipantInfo"),
        "other_participants": (3, "[ParticipantInfo]"),
        "server_version": (4, "string"),
        "subscriber_primary": (6, "int"),
        "ping_timeout": (10, "int"),
        "ping_interval": (11, "int"),
        "server_info": (12, "ServerInfo"),
    },
    "ServerInfo": {"version": (2, "string"), "protocol": (3, "int")},
    "Room": {"sid": (1, "string"), "name": (2, "string")},
    "ParticipantUpdate": {"participants": (1, "[ParticipantInfo]")},
    "ParticipantInfo": {
        "sid": (1, "string"),
        "identity": (2, "string"),
        "state": (3, "int"),
        "tracks": (4, "[TrackInfo]"),
        "joined_at": (6, "int"),
        "version": (10, "int"),
        "permission": (11, "ParticipantPermission"),
        "is_publisher": (13, "int"),
    },
    "ParticipantPermission": {
        "can_subscribe": (1, "int"),
        "can_publish": (2, "int"),
        "can_publish_data": (3, "int"),
    },
    "TrackInfo": {
        "sid": (1, "string"),
        "type": (2, "int"),
        "name": (3, "string"),
        "muted": (4, "int"),
        "width": (5, "int"),
        "height": (6, "int"),
        "source": (9, "int"),
        "mime_type": (11, "string"),
        "mid": (12, "string"),
    },
    "AddTrackRequest": {
        "cid": (1, "string"),
        "name": (2, "string"),
        "type": (3, "int"),
        "width": (4, "int"),
        "height": (5, "int"),
        "muted": (6, "int"),
        "source": (8, "int"),
    },
    "SpeakersChanged": {"speakers": (1, "[SpeakerInfo]")},
    "SpeakerInfo": {"sid": (1, "string"), "level": (2, "float"), "active": (3, "int")},
    "TrackPublishedResponse": {"cid": (1, "string"), "track": (2, "TrackInfo")},
    "MuteTrackRequest": {"sid": (1, "string"), "muted": (2, "int")},
    "SessionDescription": {"type": (1, "string"), "sdp": (2, "string"), "id": (3, "int")},
    "TrickleRequest": {"candidate": (1, "string"), "target": (2, "int")},
    "LeaveRequest": {"can_reconnect": (1, "int"), "reason": (2, "int"), "action": (3, "int")},
    "Ping": {"timestamp": (1, "int"), "rtt": (2, "int")},
    "Pong": {"last_ping_timestamp": (1, "int"), "timestamp": (2, "int")},
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def encode(kind: str, message: Message) -> bytes:
    """The message of type `kind` on the wire."""
    return b"".join(
        _field(*_SCHEMA[kind][name], one)
        for name, value in message.items()
        for one in (value if isinstance(value, list) else [value])
    )


def decode(kind: str, data: bytes) -> Message:
    """The fields that are known. Raises ValueError where it is no protobuf."""
    names = {number: (name, of) for name, (number, of) in _SCHEMA[kind].items()}
    found: Message = {}
    for number, value in _fields(data):
        name, of = names.get(number, ("", ""))
        if not name:
            continue
        read: Any = value
        if isinstance(value, bytes):
            inner = of.strip("[]")
            read = value.decode() if inner == "string" else decode(inner, value)
        found[name] = [*found.get(name, []), read] if of.startswith("[") else read
    return found


def _field(number: int, of: str, value: Any) -> bytes:
    if of == "int":
        return _varint(number << 3 | _VARINT) + _varint(int(value))
    if of == "float":
        return _varint(number << 3 | _FIXED32) + struct.pack("<f", value)
    data = value.encode() if of == "string" else encode(of.strip("[]"), value)
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(data):
                raise ValueError("it ends within a number")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        number, wire = divmod(varint(), 8)
        if wire == _VARINT:
            yield number, varint()
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire) or (varint() if wire == _BYTES else -1)
        if size < 0 or at + size > len(data):
            raise ValueError("no field of protobuf")
        yield number, data[at : at + size]
        at += size
