"""Time that passes at once where nothing else is to be done, and a gateway in memory."""

import asyncio
import json
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from app.realtime.client.transport import ABNORMAL, Closed
from app.realtime.protocol import VERSION


class _Selector(selectors.DefaultSelector):
    """Instead of waiting, moves the clock on."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and timeout:
            self.now += max(timeout, 1e-6)  # never less than a float can add
        assert found or timeout is not None, "everybody waits for something that cannot come"
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work)


class Wire:
    """One socket to the gateway in memory."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self.opened_at = asyncio.get_running_loop().time()
        self.closed_at: float | None = None
        self.said: list[dict[str, Any]] = []
        self._inbox: asyncio.Queue[str | int] = asyncio.Queue()
        self.push({"op": "hello", "d": {"version": VERSION}})

    @property
    def is_open(self) -> bool:
        return self.closed_at is None

    def ops(self) -> list[str]:
        return [frame["op"] for frame in self.said]

    # The client's side.

    async def send(self, frame: str) -> None:
        if not self.is_open:
            raise Closed(ABNORMAL)
        command = json.loads(frame)
        self.said.append(command)
        self._gateway.answer(self, command)

    async def receive(self) -> str:
        frame = await self._inbox.get()
        if isinstance(frame, int):
            raise Closed(frame)
        return frame

    async def close(self) -> None:
        self.cut(1000)

    # The gateway's side.

    def push(self, frame: dict[str, Any]) -> None:
        self._inbox.put_nowait(json.dumps(frame))

    def cut(self, code: int = ABNORMAL) -> None:
        if self.is_open:
            self.closed_at = asyncio.get_running_loop().time()
            self._inbox.put_nowait(code)


@dataclass
class Gateway:
    """One stream `s` of `epoch` with `log`; `rule` may answer instead: True when it has."""

    epoch: str = "e1"
    log: list[str] = field(default_factory=list)
    kept: int = 1_000
    wires: list[Wire] = field(default_factory=list)
    tickets: int = 0
    down: bool = False
    rule: Callable[[Wire, dict[str, Any]], bool] = lambda *_: False

    async def ticket(self) -> str:
        if self.down:
            raise OSError("down")
        self.tickets += 1
        return f"ticket-{self.tickets}"

    async def open(self) -> Wire:
        self.wires.append(Wire(self))
        return self.wires[-1]

    @property
    def live(self) -> list[Wire]:
        return [wire for wire in self.wires if wire.is_open]

    def event(self, offset: int) -> dict[str, Any]:
        text = self.log[offset - 1]
        return {"s": "s", "e": self.epoch, "o": offset, "t": "message.created", "d": {"body": text}}

    def happen(self, text: str, *, told: bool = True) -> None:
        """Append to the log; every socket that subscribed is told, unless the hint is lost."""
        self.log.append(text)
        for wire in self.live:
            if told and "sub" in wire.ops():
                wire.push(self.event(len(self.log)))

    def answer(self, wire: Wire, command: dict[str, Any]) -> None:
        if self.rule(wire, command):
            return
        match command["op"]:
            case "sub":
                self._subscribe(wire, command)
            case _:
                wire.push({"id": command["id"], "ok": {}})

    def _subscribe(self, wire: Wire, command: dict[str, Any]) -> None:
        want, top = command["d"], len(self.log)
        recovered = want.get("e") == self.epoch and top - want["o"] <= self.kept
        ok = {"s": "s", "e": self.epoch, "o": top, "recovered": recovered}
        wire.push({"id": command["id"], "ok": ok})
        if recovered:
            for offset in range(want["o"] + 1, top + 1):
                wire.push(self.event(offset))
