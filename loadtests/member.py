"""A member at a screen: reads what comes, looks around, writes, each at its intended time."""

import asyncio
import hashlib
from typing import Any
from uuid import uuid4

from app.realtime.client import Client, Position, Reload, Stream
from app.realtime.protocol import Ack, Durable
from loadtests.actor import Actor
from loadtests.clock import now
from loadtests.ledger import Ear
from loadtests.payload import WORDS, Payload
from loadtests.people import Person

BODY_CHARACTERS = 300
FILE_BYTES = 20_000
EMOJI = ("👍", "👀", "🎉", "✅")
MIXES: dict[str, dict[str, int]] = {
    # Of a hundred things that people do, so many are …
    "people": {
        "send": 30, "read": 22, "switch": 12, "scroll": 10, "typing": 10,
        "react": 8, "edit": 4, "search": 3, "upload": 1,
    },
    "send": {"send": 1},
}  # fmt: skip


class Member(Actor):
    """`live` until cancelled."""

    def __init__(self, person: Person, mix: str) -> None:
        super().__init__(person, MIXES[mix])
        self._conversations: list[str] = []
        self._here = ""
        self._tops: dict[str, int] = {}  # the last offset that was heard
        self._heard = ""  # somebody's last message
        self._mine: Ack | None = None
        self._client: Client

    async def live(self) -> None:
        """Load what a page loads, listen, and take turns."""
        try:
            listed = (await self.person.rest("GET", "/api/conversations"))["conversations"]
            self._conversations = [one["id"] for one in listed if one["member"]]
            self._here = self._conversations[0]
            async with self.connected() as self._client:
                await self._live()
        finally:
            self.person.close()

    async def _live(self) -> None:
        async with asyncio.TaskGroup() as group:
            for conversation in self._conversations:
                position = await self._load(conversation)
                stream = self._client.follow(f"conversation:{conversation}", position)
                group.create_task(self._listen(conversation, position.offset, stream))
            await self.take_turns()

    def possible(self, action: str) -> str:
        if action == "edit" and not self._mine:
            return "send"
        return "read" if action == "react" and not self._heard else action

    async def do(self, action: str, at: float) -> None:
        match action:
            case "send":
                await self._send(at)
            case "edit" if self._mine:
                await self._edit(at, self._mine)
            case "react":
                await self._react(at)
            case "read":
                await self._read(at)
            case "typing":
                with self.engine.timed("typing", at):
                    await self._client.request("typing", conversation=self._here)
            case "upload":
                await self._upload(at)
            case "switch":
                self._here = self.engine.chance.choice(self._conversations)
                path = f"/api/conversations/{self._here}/messages"
                await self.person.ask("switch", at, "GET", path)
            case "scroll":
                before = self.engine.chance.randint(1, max(1, self._tops[self._here]))
                path = f"/api/conversations/{self._here}/messages?before={before}"
                await self.person.ask("scroll", at, "GET", path)
            case "search":
                query = {"query": self.engine.chance.choice(WORDS)}
                await self.person.ask("search", at, "POST", "/api/search", body=query)

    # Listening.

    async def _load(self, conversation: str) -> Position:
        page = await self.person.rest("GET", f"/api/conversations/{conversation}/messages")
        self._tops[conversation] = page["position"]["offset"]
        return Position(page["position"]["epoch"], page["position"]["offset"])

    async def _listen(self, conversation: str, since: int, stream: Stream) -> None:
        ear = self.engine.ledger.listen(self.person.name, conversation, since)
        try:
            async for happening in stream:
                if isinstance(happening, Durable):
                    self._tops[conversation] = happening.o
                    self._take(ear, happening)
                elif isinstance(happening, Reload):
                    # What came meanwhile is in the page, not in the stream: another ear.
                    ear.until = self._tops[conversation]
                    position = await self._load(conversation)
                    ear = self.engine.ledger.listen(self.person.name, conversation, position.offset)
                    stream.reset(position)
        finally:
            ear.until = self._tops[conversation]

    def _take(self, ear: Ear, event: Durable) -> None:
        if event.t not in {"message.created", "message.edited"}:
            return
        written = Payload.read(event.d["body"])
        if written is None or written.run != self.engine.run:
            return
        ear.hear(written.sender, written.number)
        self.engine.log.done("delivery", now() - written.intended)
        if written.sender != self.person.name:
            self._heard = event.d["id"]

    # Writing.

    async def _send(self, at: float, **more: Any) -> None:
        payload = self._payload(self._here, at)
        with self.engine.timed("send", at):
            ack = await self._client.send(self._here, payload.text(BODY_CHARACTERS), **more)
            self._mine = ack
            self._note(ack.conversation, payload, ack.offset)

    async def _edit(self, at: float, mine: Ack) -> None:
        payload = self._payload(mine.conversation, at)
        d = {"id": mine.id, "body": payload.text(BODY_CHARACTERS), "revision": mine.revision}
        with self.engine.timed("edit", at):
            answer = await self._client.insist("edit", d)
            mine.revision = answer["revision"]
            # Its acknowledgement has the message's offset; its event has a higher one.
            self._note(mine.conversation, payload, -mine.offset)

    def _payload(self, conversation: str, at: float) -> Payload:
        number = self.engine.ledger.number(conversation, self.person.name)
        return Payload(self.engine.run, self.person.name, number, at)

    def _note(self, conversation: str, payload: Payload, offset: int) -> None:
        self.engine.ledger.acknowledged(conversation, payload.sender, payload.number, offset)

    async def _upload(self, at: float) -> None:
        """A file in one part, and the message that carries it."""
        id_ = str(uuid4())
        content = hashlib.sha256(id_.encode()).digest() * (FILE_BYTES // 32)
        with self.engine.timed("upload", at, "http"):
            announced = {"id": id_, "name": "results.bin", "size": len(content)}
            path = f"/api/conversations/{self._here}/attachments"
            await self.person.rest("POST", path, body=announced)
            await self.person.rest("PUT", f"/api/attachments/{id_}/parts/0", data=content)
            await self.person.rest("POST", f"/api/attachments/{id_}/complete")
            self.engine.log.intended("send")
            await self._send(now(), attachments=[id_])

    # Looking.

    async def _read(self, at: float) -> None:
        d = {"conversation": self._here, "offset": self._tops[self._here]}
        with self.engine.timed("read", at):
            await self._client.insist("read", d)

    async def _react(self, at: float) -> None:
        d = {"id": self._heard, "emoji": self.engine.chance.choice(EMOJI), "on": True}
        with self.engine.timed("react", at):
            await self._client.insist("react", d)
