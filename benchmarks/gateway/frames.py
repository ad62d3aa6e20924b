"""WebSocket frames (RFC 6455, 5.2) of the load generator: built once, counted one by one."""

from secrets import token_bytes

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


class Fragmented(ValueError):
    """A frame that is not whole: none of the servers measured here sends such."""


def masked(payload: bytes, opcode: int = TEXT, key: bytes = b"") -> bytes:
    """Return a client's frame around `payload`, of at most 65,535 bytes, under a random key."""
    key = key or token_bytes(4)
    size = len(payload)
    head = bytes([0x80 | opcode])
    head += bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    stream = (key * (size // 4 + 1))[:size]
    covered = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
    return head + key + covered.to_bytes(size, "big")


def split(data: bytes) -> tuple[list[bytes], list[tuple[int, bytes]], bytes]:
    """Split what a server sent: payloads of texts, (opcode, payload) of others, and the rest.

    The rest is a frame's beginning: put it before what arrives next.
    """
    texts: list[bytes] = []
    others: list[tuple[int, bytes]] = []
    at, end = 0, len(data)
    while end - at >= 2:
        size, start = data[at + 1], at + 2
        if size == 126:
            size, start = (data[at + 2] << 8 | data[at + 3]) if end - at >= 4 else end, at + 4
        elif size == 127:
            size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if start + size > end:
            break
        if data[at] == 0x81:
            texts.append(data[start : start + size])
        elif data[at] & 0x80 and data[at] & 0x0F:
            others.append((data[at] & 0x0F, data[start : start + size]))
        else:
            raise Fragmented(f"first byte {data[at]:#x}")
        at = start + size
    return texts, others, data[at:]
