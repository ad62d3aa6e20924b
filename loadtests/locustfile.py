"""locust's users. Each is a handle: who lives, lives on the engine's loop.

`make loadtest` starts everything; a worker on another machine is `python -m loadtests.worker`.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import gevent
import gevent.monkey
from locust import User, events, runners
from locust.env import Environment
from locust.runners import WorkerRunner
from msgspec import convert

from loadtests import clock
from loadtests.engine import Engine
from loadtests.member import Member
from loadtests.officer import Officer
from loadtests.orders import Order
from loadtests.pair import Kit, Silence
from loadtests.people import Account, Crowd, Kind, Person
from loadtests.post import Outbox
from loadtests.record import WorkerLog
from loadtests.voice import Voice

DRAIN_SECONDS = 0.2
CLOCK_READINGS = 8


class Stage:
    """What the users of this worker share: made when the master has said what is played."""

    def __init__(self, environment: Environment, order: Order) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="parley-load-worker-")
        folder, worker = Path(self._folder.name), f"worker-{order.number + 1}"
        self.environment, self.order = environment, order
        self.log, self._outbox = WorkerLog(folder, worker, began=order.began), Outbox(folder)
        self.engine = Engine(self.log, order.run)
        accounts = convert(order.accounts, list[Account])
        mine = accounts[order.number :: order.workers]
        self.crowd = Crowd(mine, order.web, order.gateways, order.local)
        self._ledger = folder / f"{worker}.ledger.json"
        gevent.spawn(self._drain)

    def _drain(self) -> None:
        """Tell locust what happened; from its own thread, as its tables know no other."""
        while True:
            gevent.sleep(DRAIN_SECONDS)
            while self.engine.outcomes:
                one = self.engine.outcomes.popleft()
                self.environment.events.request.fire(  # type: ignore[no-untyped-call]
                    request_type=one.kind,
                    name=one.name,
                    response_time=one.seconds * 1000,
                    response_length=0,
                    exception=one.error,
                    context={},
                )
            self.log.flush()

    def report(self) -> dict[str, Any]:
        """What the master wants to know each second."""
        self.log.flush()
        sockets, told = self.engine.sockets, self.log.told
        return {"sockets": sockets, "told": told, "pieces": self._outbox.pieces()}

    def finish(self) -> dict[str, Any]:
        """The last word: the rest of the log, and the ledger."""
        page = self.engine.ask(self._page)
        self._ledger.write_bytes(page)
        self.engine.close()
        self.log.close()
        return {"failure": self.engine.failure, "pieces": self._outbox.pieces()}

    def leave(self) -> None:
        """Nothing of this worker stays behind on its machine."""
        self._folder.cleanup()

    async def _page(self) -> bytes:
        return self.engine.ledger.encoded(clock.now())


class Handle(User):
    """A user whose life is elsewhere: begun and ended here."""

    abstract = True
    stage: ClassVar[Stage]
    kind: ClassVar[Kind]

    def on_start(self) -> None:
        self._life = self.stage.engine.begin(self.lives)

    def on_stop(self) -> None:
        self.stage.engine.end(self._life)

    async def lives(self) -> None:
        """Be somebody of the crowd until ended."""
        crowd = self.stage.crowd
        account = crowd.take(self.kind)
        try:
            await self.life(Person(self.stage.engine, crowd, account))
        finally:
            crowd.give_back(account)

    async def life(self, person: Person) -> None:
        raise NotImplementedError

    def wait_for_ever(self) -> None:
        gevent.sleep(3600)

    tasks = [wait_for_ever]


class MemberUser(Handle):
    """What a member does all day; see `loadtests/member.py`."""

    kind = "member"

    async def life(self, person: Person) -> None:
        await Member(person, self.stage.order.mix).live()


class VoiceRoomUser(Handle):
    """Somebody in a voice room; see `loadtests/voice.py`."""

    kind = "voice"

    async def life(self, person: Person) -> None:
        kit: Kit = Silence()
        if self.stage.order.media == "aiortc":
            from loadtests.media import Sound  # noqa: PLC0415 - heavy, and seldom wanted

            kit = Sound()
        await Voice(person, kit).live()


class OfficerUser(Handle):
    """An officer's work beside the others; see `loadtests/officer.py`."""

    kind = "officer"

    async def life(self, person: Person) -> None:
        await Officer(person).live()


USERS: dict[Kind, type[Handle]] = {
    "member": MemberUser,
    "voice": VoiceRoomUser,
    "officer": OfficerUser,
}


def obey(environment: Environment, **_: Any) -> None:
    """Take the master's orders: `orders.py` has their form."""
    if not isinstance(environment.runner, WorkerRunner):
        return
    if gevent.monkey.is_module_patched("threading"):
        sys.exit(
            "A worker is started by `python -m loadtests.worker`, or else with"
            " LOCUST_SKIP_MONKEY_PATCH=1: its users live beside gevent."
        )
    runner = environment.runner
    runners.WORKER_REPORT_INTERVAL = 1.0  # seconds; the master waits for who has arrived

    orders: list[Order] = []
    readings: list[clock.Reading] = []

    def ask_the_time() -> None:
        runner.send_message("clock", {"asked": clock.now()})

    def on_order(msg: Any, **_: Any) -> None:
        orders.append(Order(**msg.data))
        ask_the_time()

    def on_clock(msg: Any, **_: Any) -> None:
        readings.append((msg.data["asked"], msg.data["said"], clock.now()))
        if len(readings) < CLOCK_READINGS:
            ask_the_time()
            return
        clock.advance(clock.difference(readings))
        # locust makes users with nothing but the environment.
        Handle.stage = Stage(environment, orders[0])
        runner.send_message("staged")

    def on_pace(msg: Any, **_: Any) -> None:
        Handle.stage.engine.pace(msg.data)

    def on_report(data: dict[str, Any], **_: Any) -> None:
        if hasattr(Handle, "stage"):
            data |= Handle.stage.report()

    def on_happening(msg: Any, **_: Any) -> None:
        Handle.stage.engine.happens(msg.data["what"], msg.data["seconds"])

    def on_serving(msg: Any, **_: Any) -> None:
        Handle.stage.crowd.go_to(msg.data["gateways"])

    def on_finish(**_: Any) -> None:
        runner.send_message("finished", Handle.stage.finish())

    def on_quitting(**_: Any) -> None:
        if hasattr(Handle, "stage"):
            Handle.stage.leave()

    environment.events.report_to_master.add_listener(on_report)  # type: ignore[no-untyped-call]
    environment.events.quitting.add_listener(on_quitting)  # type: ignore[no-untyped-call]
    runner.register_message("order", on_order)
    runner.register_message("clock", on_clock)
    runner.register_message("pace", on_pace)
    runner.register_message("happening", on_happening)
    runner.register_message("serving", on_serving)
    runner.register_message("finish", on_finish)
    # It had connected before this listener was called: only now it understands an order.
    runner.send_message("ready")


events.init.add_listener(obey)  # type: ignore[no-untyped-call]
