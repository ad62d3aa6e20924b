"""Each durable event once, in order, whatever is lost: in virtual time, from a log in memory."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.realtime.client import Client, Position, Refused, Reload, Stopped, Stream
from app.realtime.client.streams import QUEUE, Started
from app.realtime.protocol import Code, Durable, Ephemeral
from tests.realtime.client.virtual import Gateway, Wire, run

SENT = {
    "id": "00000000-0000-4000-8000-000000000001",
    "conversation": "00000000-0000-4000-8000-000000000002",
    "offset": 1,
    "revision": 1,
    "at": "2026-01-01T00:00:00.000000Z",
    "entry": 1,
    "leaf_hash": "00",
}


BEGINNING = Position("e1", 0)


def following(
    gateway: Gateway,
    work: Callable[[Client, Stream], Awaitable[None]],
    position: Position | None = BEGINNING,
) -> None:
    async def both() -> None:
        async with Client("", gateway.ticket, open_=gateway.open) as client:
            await work(client, client.follow("s", position))
        assert not gateway.live

    run(both())


async def texts(stream: Stream, count: int) -> list[str]:
    async with asyncio.timeout(3600):
        found = [await anext(stream) for _ in range(count)]
    assert all(isinstance(event, Durable) for event in found), found
    return [event.d["body"] for event in found if isinstance(event, Durable)]


async def silence(stream: Stream) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            raise AssertionError(await anext(stream))


def test_what_was_missed_comes_first_then_what_happens() -> None:
    gateway = Gateway(log=["one", "two", "three"])

    async def work(client: Client, stream: Stream) -> None:
        assert await texts(stream, 2) == ["two", "three"]
        gateway.happen("four")
        assert await texts(stream, 1) == ["four"]

    following(gateway, work, Position("e1", 1))


def test_without_a_position_it_starts_at_the_top() -> None:
    gateway = Gateway(log=["old"])

    async def work(client: Client, stream: Stream) -> None:
        assert await anext(stream) == Started(Position("e1", 1))
        gateway.happen("new")
        assert await texts(stream, 1) == ["new"]

    following(gateway, work, None)


def test_an_event_that_skips_an_offset_has_the_missing_ones_read() -> None:
    gateway = Gateway()

    async def work(client: Client, stream: Stream) -> None:
        await asyncio.sleep(1)
        gateway.happen("one", told=False)
        gateway.happen("two", told=False)
        gateway.happen("three")
        assert await texts(stream, 3) == ["one", "two", "three"]
        await silence(stream)

    following(gateway, work)


def test_an_event_that_comes_again_is_dropped() -> None:
    gateway = Gateway()

    async def work(client: Client, stream: Stream) -> None:
        await asyncio.sleep(1)
        gateway.happen("one")
        gateway.live[0].push(gateway.event(1))
        gateway.happen("two")
        gateway.live[0].push(gateway.event(1))
        assert await texts(stream, 2) == ["one", "two"]
        await silence(stream)

    following(gateway, work)


@pytest.mark.parametrize("told", ["another epoch", "too long ago", "resync", "refusal"])
def test_what_cannot_be_continued_asks_for_a_reload_once_and_yields_no_part(told: str) -> None:
    gateway = Gateway()

    def refuse(wire: Wire, command: dict[str, Any]) -> bool:
        if command["op"] != "sub":
            return False
        failure = {"code": Code.UNRECOVERABLE, "name": "", "retry": False, "message": ""}
        wire.push({"id": command["id"], "err": failure})
        return True

    async def work(client: Client, stream: Stream) -> None:
        await asyncio.sleep(1)
        match told:
            case "another epoch":
                gateway.epoch, gateway.log = "e2", ["other"]
            case "too long ago":
                gateway.log, gateway.kept = ["missed"] * 20, 10
            case "refusal":
                gateway.rule = refuse
            case "resync":
                gateway.live[0].push({"op": "resync", "d": {"s": "s"}})
        if told != "resync":
            gateway.live[0].cut()
        assert await anext(stream) == Reload()
        gateway.happen("before the reload")
        gateway.live[0].cut()
        await silence(stream)
        gateway.rule = lambda *_: False
        stream.reset(Position(gateway.epoch, len(gateway.log)))
        gateway.happen("after the reload")
        assert await texts(stream, 1) == ["after the reload"]

    following(gateway, work)


def test_a_stream_that_is_not_ours_ends_with_the_refusal() -> None:
    def refuse(wire: Wire, command: dict[str, Any]) -> bool:
        if command["op"] == "sub":
            failure = {"code": Code.NOT_FOUND, "name": "", "retry": False, "message": ""}
            wire.push({"id": command["id"], "err": failure})
        return bool(command["op"] == "sub")

    async def work(client: Client, stream: Stream) -> None:
        with pytest.raises(Refused):
            await anext(stream)

    following(Gateway(rule=refuse), work)


def test_a_server_that_wants_us_slower_is_asked_again() -> None:
    answers = iter([True, True, False])

    def rule(wire: Wire, command: dict[str, Any]) -> bool:
        if command["op"] != "sub" or not next(answers):
            return False
        failure = {"code": Code.RATE, "name": "", "retry": True, "message": ""}
        wire.push({"id": command["id"], "err": failure})
        return True

    async def work(client: Client, stream: Stream) -> None:
        assert await texts(stream, 1) == ["one"]

    following(Gateway(log=["one"], rule=rule), work)


def test_who_reads_slowly_keeps_a_bounded_number_and_still_misses_nothing() -> None:
    gateway = Gateway(kept=10 * QUEUE)
    total = 3 * QUEUE

    async def work(client: Client, stream: Stream) -> None:
        await asyncio.sleep(1)
        for number in range(total):
            gateway.happen(str(number))
        gateway.live[0].push({"s": "s", "t": "typing", "d": {}})
        await asyncio.sleep(1)
        assert len(stream._queue) == QUEUE
        assert await texts(stream, total) == [str(number) for number in range(total)]
        await silence(stream)

    following(gateway, work)


def test_what_is_ephemeral_is_told_while_there_is_room() -> None:
    gateway = Gateway()

    async def work(client: Client, stream: Stream) -> None:
        await asyncio.sleep(1)
        gateway.live[0].push({"s": "s", "t": "typing", "d": {"user": "u"}})
        assert await anext(stream) == Ephemeral("s", "typing", {"user": "u"})

    following(gateway, work)


def test_who_leaves_a_stream_hears_no_more_of_it() -> None:
    gateway = Gateway()

    async def work(client: Client, stream: Stream) -> None:
        await asyncio.sleep(1)
        await client.leave(stream)
        assert gateway.wires[0].ops()[-1] == "unsub"
        gateway.live[0].cut()
        await asyncio.sleep(1)
        assert "sub" not in gateway.live[0].ops()

    following(gateway, work)


def test_a_send_is_repeated_under_its_id_until_it_is_acknowledged() -> None:
    gateway = Gateway()
    fates = iter(["cut", "silence", "rate", "internal", "ack"])
    ids: list[str] = []

    def rule(wire: Wire, command: dict[str, Any]) -> bool:
        if command["op"] != "send":
            return False
        ids.append(command["d"]["id"])
        match next(fates):
            case "cut":
                wire.cut()
            case "rate":
                failure = {"code": Code.RATE, "name": "", "retry": True, "message": ""}
                wire.push({"id": command["id"], "err": failure})
            case "internal":
                failure = {"code": Code.INTERNAL, "name": "", "retry": True, "message": ""}
                wire.push({"id": command["id"], "err": failure})
            case "ack":
                wire.push({"id": command["id"], "ok": SENT})
        return True

    gateway.rule = rule

    async def work(client: Client, stream: Stream) -> None:
        async with asyncio.timeout(600):
            ack = await client.send("c", "text")
        assert ack.entry == 1
        assert len(ids) == 5
        assert len(set(ids)) == 1

    following(gateway, work)


def test_a_closed_client_ends_whoever_waits() -> None:
    gateway = Gateway(down=True)

    async def both() -> None:
        async with Client("", gateway.ticket, open_=gateway.open) as client:
            stream = client.follow("s")
            waiting = [
                asyncio.ensure_future(anext(stream)),
                asyncio.create_task(client.send("c", "text")),
            ]
            await asyncio.sleep(1)
        for one in waiting:
            with pytest.raises(Stopped):
                await one

    run(both())


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_to_sockets_and_hints_everything_comes_once_and_in_order(
    seed: int,
) -> None:
    chance = random.Random(seed)
    gateway = Gateway()
    total = 300

    async def trouble() -> None:
        for number in range(total):
            gateway.happen(str(number), told=chance.random() < 0.8)
            await asyncio.sleep(chance.expovariate(5))
            for wire in gateway.live:
                match chance.random():
                    case luck if luck < 0.05:
                        wire.cut(chance.choice([1006, 4101, 4108]))
                    case luck if luck < 0.10:
                        wire.push({"op": "reconnect", "d": {"after_ms": chance.randint(0, 900)}})
                    case luck if luck < 0.15 and gateway.log:
                        wire.push(gateway.event(chance.randint(1, len(gateway.log))))
        await asyncio.sleep(5)
        gateway.happen("end")

    async def work(client: Client, stream: Stream) -> None:
        troubled = asyncio.create_task(trouble())
        heard = await texts(stream, total + 1)
        assert heard == [*(str(number) for number in range(total)), "end"]
        await troubled

    following(gateway, work)
