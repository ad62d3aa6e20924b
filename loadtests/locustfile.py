"""locust's users. Each is a handle: who lives, lives on the engine's loop.

`make loadtest` starts everything. A worker on another machine is
`LOCUST_SKIP_MONKEY_PATCH=1 locust -f loadtests/locustfile.py --worker --master-host …`, with the
variables that `loadtests/README.md` names.
"""

import os
from pathlib import Path
from typing import Any, ClassVar

import gevent
from locust import User, events, runners
from locust.env import Environment
from locust.runners import WorkerRunner
from msgspec import convert

from loadtests.engine import Engine
from loadtests.member import Member
from loadtests.officer import Officer
from loadtests.orders import Order
from loadtests.pair import Kit, Silence
from loadtests.people import Account, Crowd, Kind, Person
from loadtests.record import WorkerLog
from loadtests.voice import Voice

DRAIN_SECONDS = 0.2


class Stage:
    """What the users of this worker share: made when the master has said what is played."""

    def __init__(self, environment: Environment, order: Order, number: int) -> None:
        worker, folder = f"worker-{number + 1}", Path(order.folder)
        self.environment, self.order, self.number = environment, order, number
        self.log = WorkerLog(folder, worker, began=order.began)
        self.engine = Engine(self.log, order.run)
        accounts = convert(order.accounts, list[Account])
        self.crowd = Crowd(
            accounts[number :: order.workers], order.web, order.gateways, order.local
        )
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

    def finish(self) -> dict[str, Any]:
        """Put the ledger and the log on the disk."""
        page = self.engine.ask(self._page)
        self._ledger.write_bytes(page)
        self.engine.close()
        self.log.close()
        return {"worker": self.number, "failure": self.engine.failure}

    async def _page(self) -> bytes:
        return self.engine.ledger.encoded()


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
    runner = environment.runner
    runners.WORKER_REPORT_INTERVAL = 1.0  # seconds; the master waits for who has arrived
    number = int(os.environ["LOADTEST_WORKER"])

    def on_order(msg: Any, **_: Any) -> None:
        # locust makes users with nothing but the environment.
        Handle.stage = Stage(environment, Order(**msg.data), number)
        runner.send_message("staged", {"worker": number})

    def on_pace(msg: Any, **_: Any) -> None:
        Handle.stage.engine.pace(msg.data)

    def on_report(data: dict[str, Any], **_: Any) -> None:
        if hasattr(Handle, "stage"):
            data["sockets"] = Handle.stage.engine.sockets

    def on_happening(msg: Any, **_: Any) -> None:
        Handle.stage.engine.happens(msg.data["what"], msg.data["seconds"])

    def on_finish(**_: Any) -> None:
        runner.send_message("finished", Handle.stage.finish())

    environment.events.report_to_master.add_listener(on_report)  # type: ignore[no-untyped-call]
    runner.register_message("order", on_order)
    runner.register_message("pace", on_pace)
    runner.register_message("happening", on_happening)
    runner.register_message("finish", on_finish)
    # It had connected before this listener was called: only now it understands an order.
    runner.send_message("ready", {"worker": number})


events.init.add_listener(obey)  # type: ignore[no-untyped-call]
