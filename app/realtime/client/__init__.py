"""A client of `rt.v1` in Python: needs msgspec and websockets, and nothing of the server.

    async with Client("wss://parley.example.org/ws", ticket) as client:
        stream = client.follow("conversation:…", Position(epoch, offset))
        ack = await client.send("…", "Good morning")
        async for happening in stream: ...

The load tests and the fault tests speak through it. The same in another language:
docs/protocol.md, "Writing a client".
"""

from app.realtime.client.client import Client
from app.realtime.client.errors import ConnectionLost, Refused, Stopped
from app.realtime.client.identity import Device
from app.realtime.client.streams import Position, Reload, Stream
from app.realtime.client.ticket import ticket_from
from app.realtime.client.voice import Place, Roster

__all__ = [
    "Client",
    "ConnectionLost",
    "Device",
    "Place",
    "Position",
    "Refused",
    "Reload",
    "Roster",
    "Stopped",
    "Stream",
    "ticket_from",
]
