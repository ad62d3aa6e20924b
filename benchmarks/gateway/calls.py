"""Seats in calls: members join, keep their leases, and signal as a browser does."""

import asyncio
import base64
import secrets
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, TypeVar
from uuid import UUID, uuid4

from app.accounts.models import User
from app.realtime.protocol import RENEW_SECONDS
from benchmarks.gateway.connection import Member, command
from benchmarks.gateway.pairs import Side
from benchmarks.gateway.sizes import sized

ROOM = 6


class Seat(Member):
    """A member's socket with a place in the call of `conversation`."""

    def __init__(self, person: User, conversation: UUID) -> None:
        super().__init__()
        self.person, self.conversation = person, conversation
        self.device = str(uuid4())
        self.pid, self.gen = "", 1
        self.place: dict[str, Any] = {}

    async def join(self) -> dict[str, Any]:
        """Take a new place in the call; returns the answer's data."""
        self.pid, self.gen = str(uuid4()), 1
        self.place = await self.ask(
            "voice.join",
            conversation=str(self.conversation),
            pid=self.pid,
            device=self.device,
            key=_base64url(65),
            **_identity(),
        )
        return self.place

    async def resume(self) -> None:
        """Take up the place from this socket."""
        self.gen += 1
        self.place = await self.ask("voice.resume", pid=self.pid, gen=self.gen, **_identity())

    async def renew(self) -> None:
        await self.ask("voice.renew", pid=self.pid, gen=self.gen)

    async def leave(self) -> None:
        await self.ask("voice.leave", pid=self.pid, gen=self.gen)

    def offer_to(self, pid: str, gen: int) -> Callable[[str], bytes]:
        """Return what makes an offer to that participant, as the negotiation `neg`.

        Its frame has the number 0, so it is answered only when it is refused.
        """

        def offer(neg: str) -> bytes:
            return sized(
                lambda filling: command(
                    0,
                    "voice.signal",
                    to=pid,
                    gen=gen,
                    neg=neg,
                    description={"type": "offer", "sdp": filling},
                )
            )

        return offer


def _identity() -> dict[str, str]:
    """As the server sees them: it checks their form alone, peers check the rest."""
    octets = secrets.token_hex(32).upper()
    fingerprint = ":".join(octets[at : at + 2] for at in range(0, 64, 2))
    return {"fingerprint": fingerprint, "signature": _base64url(64)}


def _base64url(size: int) -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(size)).rstrip(b"=").decode()


SomeSeat = TypeVar("SomeSeat", bound=Seat)
Room = tuple[UUID, Sequence[tuple[User, str]]]
"""A conversation, and each of its people with a ticket."""


async def seated(
    rooms: Sequence[Room], ports: Sequence[int], kind: type[SomeSeat]
) -> list[list[SomeSeat]]:
    """Seat everyone in the call of their room, in turns at the gateways of these ports."""
    at_once, there = asyncio.Semaphore(8), list[SomeSeat]()

    async def fill(room: Room) -> list[SomeSeat]:
        conversation, people = room
        seats = []
        async with at_once:
            for (person, ticket), port in zip(people, cycle(ports), strict=False):
                seat = kind(person, conversation)
                await seat.enter(port, ticket)
                await seat.join()
                seats.append(seat)
                there.append(seat)
        return seats

    async def keep() -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await renewed(there)

    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(keep())
        calls = await asyncio.gather(*map(fill, rooms))
        keeping.cancel()
    return calls


async def renewed(seats: Sequence[Seat]) -> None:
    """Renew all leases, as clients do every five seconds."""
    await asyncio.gather(*(seat.renew() for seat in seats))


def paired(calls: Sequence[Sequence[Seat]]) -> list[Side]:
    """Of each call, the first signals with the second, the third with the fourth, and so on."""
    return [
        Side(one, one.offer_to(other.pid, other.gen))
        for seats in calls
        for two in zip(seats[::2], seats[1::2], strict=True)
        for one, other in (two, two[::-1])
    ]
