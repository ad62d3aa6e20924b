"""Coming back, renewing, and stopping: in virtual time, against a gateway in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.realtime.client import ConnectionLost, Refused, Stopped
from app.realtime.client.connection import Connection
from app.realtime.client.link import Link
from app.realtime.protocol import Close, Code
from tests.realtime.client.virtual import Gateway, Wire, run


class Kept:
    """A connection that is running, and what it told."""

    def __init__(self, gateway: Gateway, chance: Callable[[float, float], float]) -> None:
        self.links: list[Link] = []
        self.bounds: list[tuple[float, float]] = []
        self.pushed: list[dict[str, Any]] = []

        def noted(low: float, high: float) -> float:
            self.bounds.append((low, high))
            return chance(low, high)

        self.connection = Connection(
            open_=gateway.open,
            ticket=gateway.ticket,
            name="test/1",
            pushed=self.pushed.append,
            ready=self.links.append,
            changed=lambda: None,
            chance=noted,
        )


def keeping(
    gateway: Gateway,
    work: Callable[[Kept], Awaitable[None]],
    *,
    chance: Callable[[float, float], float] = max,
    ends_with: int | None = None,
) -> None:
    """Run `work` beside a connection; `ends_with` is the code that it must stop with."""

    async def both() -> None:
        kept = Kept(gateway, chance)
        running = asyncio.create_task(kept.connection.run())
        await asyncio.sleep(0.1)
        await work(kept)
        if ends_with is None:
            assert not running.done(), "it has stopped"
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        else:
            with pytest.raises(Stopped) as stopped:
                await running
            assert stopped.value.code == ends_with
            assert kept.connection.state == "stopped"
        assert not gateway.live, "a socket was left open"

    run(both())


def silent_on(op: str) -> Callable[[Wire, dict[str, Any]], bool]:
    """A gateway's rule: it never answers that."""
    return lambda _, command: bool(command["op"] == op)


def test_it_connects_with_a_ticket() -> None:
    gateway = Gateway()

    async def work(kept: Kept) -> None:
        assert kept.connection.state == "ready"
        connect = gateway.wires[0].said[0]
        assert connect["op"] == "connect"
        assert connect["d"] == {"ticket": "ticket-1", "client": "test/1"}

    keeping(gateway, work)


def test_it_comes_back_with_full_jitter_below_a_bound_that_doubles_from_half_a_second_to_20() -> (
    None
):
    gateway = Gateway()

    async def work(kept: Kept) -> None:
        gateway.down = True
        gateway.wires[0].cut()
        await asyncio.sleep(200)
        assert kept.connection.link is None
        tried = [bound for bound in kept.bounds if bound[1] < 60]
        assert tried[:8] == [(0, b) for b in (0.5, 0.5, 1, 2, 4, 8, 16, 20)]
        gateway.down = False
        await asyncio.sleep(21)
        assert kept.connection.state == "ready"
        gateway.wires[-1].cut()
        await asyncio.sleep(0.1)
        assert kept.bounds[-1] == (0, 0.5), "after a connection it begins anew"

    keeping(gateway, work)


def test_pauses_are_never_nothing_at_all() -> None:
    gateway = Gateway(down=True)

    async def work(kept: Kept) -> None:
        await asyncio.sleep(10)
        assert len(kept.bounds) <= 210

    keeping(gateway, work, chance=min)


@pytest.mark.parametrize("code", [Close.DRAIN, Close.SLOW, Close.GAP, Close.NO_PONG, 1001, 1006])
def test_it_comes_back_after_these_close_codes(code: int) -> None:
    gateway = Gateway()

    async def work(kept: Kept) -> None:
        gateway.wires[0].cut(code)
        await asyncio.sleep(1)
        assert kept.connection.state == "ready"
        assert len(gateway.wires) == 2
        assert gateway.tickets == 2, "a ticket is good once"

    keeping(gateway, work)


@pytest.mark.parametrize(
    "code", [Close.REVOKED, Close.UNAUTHENTICATED, Close.KICKED, Close.VERSION, Close.TOO_MANY]
)
def test_it_stops_after_these_close_codes(code: int) -> None:
    gateway = Gateway()

    async def work(kept: Kept) -> None:
        gateway.wires[0].cut(code)
        await asyncio.sleep(100)
        assert len(gateway.wires) == 1

    keeping(gateway, work, ends_with=code)


def test_it_stops_when_put_out_while_it_connects() -> None:
    def rule(wire: Wire, command: dict[str, Any]) -> bool:
        wire.cut(Close.TOO_MANY)
        return True

    async def work(kept: Kept) -> None:
        await asyncio.sleep(100)

    keeping(Gateway(rule=rule), work, ends_with=Close.TOO_MANY)


def test_a_ticket_that_is_not_taken_is_followed_by_another_one() -> None:
    def rule(wire: Wire, command: dict[str, Any]) -> bool:
        if command["d"].get("ticket") != "ticket-1":
            return False
        failure = {"code": Code.TICKET_EXPIRED, "name": "", "retry": False, "message": ""}
        wire.push({"id": command["id"], "err": failure})
        wire.cut(Close.UNAUTHENTICATED)
        return True

    async def work(kept: Kept) -> None:
        await asyncio.sleep(1)
        assert kept.connection.state == "ready"

    keeping(Gateway(rule=rule), work)


def test_it_pings_when_it_was_silent_and_leaves_a_socket_that_does_not_answer() -> None:
    gateway = Gateway()

    async def work(kept: Kept) -> None:
        await asyncio.sleep(24)
        assert "ping" not in gateway.wires[0].ops()
        await kept.links[0].request("typing", {})
        await asyncio.sleep(24)
        assert "ping" not in gateway.wires[0].ops(), "what was sent counts as well"
        await asyncio.sleep(2)
        assert gateway.wires[0].ops()[-1] == "ping"
        gateway.rule = silent_on("ping")
        await asyncio.sleep(34)
        assert gateway.wires[0].is_open
        await asyncio.sleep(2)
        assert not gateway.wires[0].is_open
        assert kept.connection.state == "ready", "by another socket"

    keeping(gateway, work)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_reactivetradercloud_1954_the_next_socket_is_there_before_the_hour_cuts_the_old_one(
    share: float,
) -> None:
    gateway = Gateway()

    async def work(kept: Kept) -> None:
        assert kept.bounds[0] == (50 * 60, 57 * 60)
        await asyncio.sleep(57 * 60 + 5)
        first, second = gateway.wires
        assert 50 * 60 <= second.opened_at <= 57 * 60 + 1
        assert first.closed_at is not None
        assert first.closed_at > second.opened_at, "no gap between them"
        assert kept.connection.state == "ready"

    keeping(gateway, work, chance=lambda low, high: low + (high - low) * share)


def test_what_was_asked_on_the_old_socket_gets_its_reply_there_during_a_renewal() -> None:
    gateway = Gateway()
    held: list[tuple[Wire, int]] = []

    def rule(wire: Wire, command: dict[str, Any]) -> bool:
        if command["op"] != "send":
            return False
        held.append((wire, command["id"]))
        return True

    gateway.rule = rule

    async def work(kept: Kept) -> None:
        asked = asyncio.create_task(kept.links[0].request("send", {}))
        await asyncio.sleep(0)
        gateway.wires[0].push({"op": "reconnect", "d": {"after_ms": 0}})
        await asyncio.sleep(1)
        assert len(gateway.live) == 2
        wire, number = held[0]
        wire.push({"id": number, "ok": {"late": True}})
        assert await asked == {"late": True}
        await asyncio.sleep(2)
        assert gateway.live == [gateway.wires[1]]

    keeping(gateway, work)


def test_it_moves_when_the_instance_says_so_and_not_before() -> None:
    gateway = Gateway()

    async def work(kept: Kept) -> None:
        gateway.wires[0].push({"op": "reconnect", "d": {"after_ms": 7_000}})
        await asyncio.sleep(6.9)
        assert len(gateway.wires) == 1
        await asyncio.sleep(0.2)
        assert len(gateway.wires) == 2
        assert kept.connection.state == "ready"
        await asyncio.sleep(3)
        assert not gateway.wires[0].is_open
        await asyncio.sleep(60)
        assert len(gateway.wires) == 2, "once"

    keeping(gateway, work)


def test_a_renewal_that_fails_is_tried_again_while_the_old_socket_serves() -> None:
    gateway = Gateway()

    async def work(kept: Kept) -> None:
        gateway.down = True
        await asyncio.sleep(57 * 60)
        assert kept.connection.state == "ready"
        assert gateway.wires[0].is_open
        gateway.down = False
        await asyncio.sleep(30)
        assert len(gateway.wires) == 2
        assert gateway.live == [gateway.wires[1]]

    keeping(gateway, work)


def test_a_request_ends_with_its_socket_and_a_refusal_is_told() -> None:
    gateway = Gateway(rule=silent_on("send"))

    async def work(kept: Kept) -> None:
        asked = asyncio.create_task(kept.links[0].request("send", {}))
        await asyncio.sleep(0)
        gateway.wires[0].cut()
        with pytest.raises(ConnectionLost):
            await asked
        with pytest.raises(ConnectionLost):
            await kept.links[0].request("typing", {})
        await asyncio.sleep(1)
        failure = {"code": Code.DENIED, "name": "denied", "retry": False, "message": "No."}
        asked = asyncio.create_task(kept.links[-1].request("send", {}))
        await asyncio.sleep(0)
        gateway.wires[-1].push({"id": gateway.wires[-1].said[-1]["id"], "err": failure})
        with pytest.raises(Refused) as refused:
            await asked
        assert (refused.value.code, refused.value.retry) == (Code.DENIED, False)

    keeping(gateway, work)
