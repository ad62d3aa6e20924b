"""Signals on their way to another process, and those that come from one.

A signal goes to the process at which its receiver last signalled somebody here, with all that the
same step of the loop has for that process; where that is not known, to all that listen to the room.
"""

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import Struct

from app.realtime.follower import Follower
from app.realtime.rooms import Room

MAX_TOGETHER = 64
"""Signals that go to another process in one publication."""


class _Bundle(Struct, array_like=True, gc=False):
    """Signals from the process at `address`: each with its room's stream, as it is handed out."""

    address: str
    signals: list[tuple[str, bytes]]


_encode = msgspec.msgpack.encode
_bundles = msgspec.msgpack.Decoder(_Bundle)


def is_bundle(payload: bytes) -> bool:
    """Tell whether a publication holds signals: MessagePack, an array of two; no JSON begins so."""
    return payload.startswith(b"\x92")


class SignalPost:
    """`room` finds the room of a stream that is listened to here; `missed` has its log read."""

    def __init__(
        self,
        follower: Follower,
        room: Callable[[str], Room | None],
        *,
        missed: Callable[[str], None],
    ) -> None:
        self._follower, self._room, self._missed = follower, room, missed
        self._leaving: dict[str, list[tuple[str, bytes]]] = {}

    def send(self, address: str, stream: str, message: bytes) -> bool:
        """Hand a signal to the process at `address`, or to all; False while Redis is away."""
        if not self._follower.connected:
            return False
        if not address:
            return self._publish(self._follower.address, stream, message)
        if not self._leaving:
            asyncio.get_running_loop().call_soon(self._post)
        together = self._leaving.setdefault(address, [])
        together.append((stream, message))
        if len(together) >= MAX_TOGETHER:
            self._post()
        return True

    def hear(self, payload: bytes, *, sent_here: bool) -> None:
        """Pass a bundle on to who sits here; `sent_here`: it was for this process alone.

        Raises msgspec.DecodeError, a ValueError.
        """
        bundle = _bundles.decode(payload)
        if bundle.address == self._follower.address:
            return
        for stream, message in bundle.signals:
            room = self._room(stream)
            if sent_here and (room is None or not room.has(message)):
                # They sit elsewhere by now: those who know hear it from the room's channel.
                self._publish(bundle.address, stream, message)
            elif room is not None and not room.pass_on(message, bundle.address):
                self._missed(stream)

    def _publish(self, address: str, stream: str, message: bytes) -> bool:
        return self._follower.publish(stream, _encode(_Bundle(address, [(stream, message)])))

    def _post(self) -> None:
        leaving, self._leaving = self._leaving, {}
        for address, together in leaving.items():
            self._follower.post(address, _encode(_Bundle(self._follower.address, together)))
