"""A stream that somebody at this process listens to, and how its events go out to them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from app.realtime import rooms
from app.realtime.log import Event
from app.realtime.rooms import Room
from app.realtime.services import Principal

RUN_BYTES = 32 * 1024
"""Written to a socket at once: less than a slow reader is to have under way."""


class Subscriber(rooms.Listener, Protocol):
    """What the hub needs of a socket."""

    user: str
    principal: Principal
    streams: set[str]
    closing: bool

    @property
    def hand(self) -> Callable[[bytes], None]: ...
    def hint(self, frame: bytes) -> bool: ...
    def has_room(self) -> bool: ...
    def when_drained(self, tell: "Callable[[Subscriber], None]") -> None: ...
    def detached(self, stream: str) -> None: ...


@dataclass(slots=True)
class Channel:
    """`offset` is that of the last event handed out to `sockets`."""

    epoch: str
    offset: int
    sockets: set[Subscriber] = field(default_factory=set)
    behind: dict[Subscriber, int] = field(default_factory=dict)
    """Who still reads what was missed, and up to where it was handed to them."""
    room: Room | None = None

    def everybody(self) -> list[Subscriber]:
        return [*self.sockets, *self.behind]

    def drop(self, socket: Subscriber) -> None:
        """Hand nothing more to `socket`."""
        self.sockets.discard(socket)
        self.behind.pop(socket, None)
        if self.room is not None:
            self.room.stand_up(socket)


def runs(events: Iterable[Event], *, apart: bool = False) -> Iterator[list[Event]]:
    """Cut into what is written in one piece: an event that changes who listens ends a run, so do
    RUN_BYTES, and in a voice room (`apart`) every event is one."""
    run: list[Event] = []
    length = 0
    for event in events:
        run.append(event)
        length += len(event.frame())
        if apart or event.type == "member.left" or length >= RUN_BYTES:
            yield run
            run, length = [], 0
    if run:
        yield run


def joined(run: list[Event]) -> bytes:
    """What is written of a run: its events' frames, which are made once for all sockets."""
    return run[0].frame() if len(run) == 1 else b"".join([event.frame() for event in run])


def covers(position: int, top: int, events: Iterable[Event]) -> bool:
    """Tell whether `events` holds each offset from after `position` up to `top`."""
    later = [event.offset for event in events if event.offset > position]
    return later == list(range(position + 1, top + 1))
