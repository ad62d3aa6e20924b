"""`python -m benchmarks.load_hosts`: what it costs to have asyncio's client beside locust's hub.

The same 200 clients ask a small echo of a server 5 times a second each, at intended times, in
processes that differ only in where they live. Per message: processor time of the generator
itself; how late it was against its own schedule. docs/decisions/ says what was chosen.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

CLIENTS, RATE, SECONDS = 200, 5.0, 8.0
HOSTS = ("alone", "thread", "patched thread", "patched greenlet", "greenlets")


async def _echo(port: int) -> None:
    """Answer every request at once, as rt.v1 does."""
    from websockets.asyncio.server import ServerConnection, serve  # noqa: PLC0415

    async def answer(socket: ServerConnection) -> None:
        async for frame in socket:
            await socket.send(json.dumps({"id": json.loads(frame)["id"], "ok": {}}))

    async with serve(answer, "127.0.0.1", port, compression=None, ping_interval=None):
        await asyncio.get_running_loop().create_future()


class Figures:
    """`report` is called for each message; it is locust's event where there is a locust."""

    def __init__(self, report: Callable[[float], None] = lambda _: None) -> None:
        self.lags: list[float] = []
        self.report = report
        self.used = 0.0

    def told(self) -> str:
        lags = sorted(self.lags)
        return json.dumps(
            {
                "messages": len(lags),
                "cpu_us": round(self.used / max(1, len(lags)) * 1e6, 1),
                "lag_p50_ms": round(lags[len(lags) // 2] * 1e3, 2) if lags else None,
                "lag_p99_ms": round(lags[int(len(lags) * 0.99)] * 1e3, 2) if lags else None,
            }
        )


async def _members(port: int, figures: Figures) -> None:
    """All clients on this loop, through the project's own library."""
    from app.realtime.client.link import Link  # noqa: PLC0415
    from app.realtime.client.transport import WebSocket  # noqa: PLC0415

    async def member(number: int) -> None:
        link = Link(await WebSocket.open(f"ws://127.0.0.1:{port}"), lambda *_: None)
        at, chance = began, Random(number)  # noqa: S311 - the same for each host
        while (at := at + chance.expovariate(RATE)) < began + SECONDS:
            await asyncio.sleep(at - time.monotonic())
            figures.lags.append(time.monotonic() - at)
            await link.request("ping", {})
            figures.report(time.monotonic() - at)
        await link.close()

    began, before = time.monotonic() + 2, time.process_time()
    await asyncio.gather(*(member(number) for number in range(CLIENTS)))
    figures.used = time.process_time() - before


def _in_greenlets(port: int, figures: Figures) -> None:
    """What locust's users do by themselves: a greenlet and a blocking socket each."""
    import gevent  # noqa: PLC0415
    import websocket  # noqa: PLC0415

    def member(number: int) -> None:
        socket = websocket.create_connection(f"ws://127.0.0.1:{port}")
        at, chance = began, Random(number)  # noqa: S311 - the same for each host
        while (at := at + chance.expovariate(RATE)) < began + SECONDS:
            gevent.sleep(max(0, at - time.monotonic()))
            figures.lags.append(time.monotonic() - at)
            socket.send(json.dumps({"id": 1, "op": "ping", "d": {}}))
            json.loads(socket.recv())
            figures.report(time.monotonic() - at)
        socket.close()

    began, before = time.monotonic() + 2, time.process_time()
    gevent.joinall([gevent.spawn(member, number) for number in range(CLIENTS)])
    figures.used = time.process_time() - before


def _live(host: str, port: int) -> str:
    """Be the generator, in the way that is named."""
    if host == "alone":
        import uvloop  # noqa: PLC0415

        figures = Figures()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_members(port, figures))
        return figures.told()
    import gevent  # noqa: PLC0415
    from locust.env import Environment  # noqa: PLC0415

    environment: Any = Environment()
    outcomes: list[float] = []
    figures = Figures(outcomes.append)

    def tell() -> None:
        while True:
            gevent.sleep(0.2)
            while outcomes:
                environment.events.request.fire(
                    request_type="socket", name="ping", response_time=outcomes.pop() * 1e3,
                    response_length=0, exception=None, context={},
                )  # fmt: skip

    environment.create_local_runner()
    gevent.spawn(tell)
    if host == "greenlets":
        _in_greenlets(port, figures)
    elif host == "patched greenlet":
        asyncio.run(_members(port, figures))
    else:
        import uvloop  # noqa: PLC0415

        def loop() -> None:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_members(port, figures))

        # A patched `threading` has greenlets for threads: take a real one.
        if host == "thread":
            threading.Thread(target=loop).start()
        else:
            gevent.get_hub().threadpool.spawn(loop)
        end = time.monotonic() + SECONDS + 15
        while not figures.used and time.monotonic() < end:
            gevent.sleep(0.1)
    return figures.told()


def main() -> None:
    """Run each kind of host three times in turns, and print what it cost."""
    from dev.ports import free_port  # noqa: PLC0415

    port = free_port()
    me = [sys.executable, "-m", "benchmarks.load_hosts"]
    server = subprocess.Popen([*me, "echo", str(port)])
    try:
        time.sleep(2)
        for turn in range(3):
            for host in HOSTS:
                patched = host in {"patched thread", "patched greenlet", "greenlets"}
                skip = {} if patched else {"LOCUST_SKIP_MONKEY_PATCH": "1"}
                done = subprocess.run(
                    [*me, host, str(port)], env=os.environ | skip, timeout=90,
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
                said = done.stdout.strip() or done.stderr.strip().splitlines()[-1]
                print(f"{turn + 1}  {host:18} {said}", flush=True)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["echo", port]:
            asyncio.run(_echo(int(port)))
        case [host, port]:
            print(_live(host, int(port)), flush=True)
            os._exit(0)  # hubs and threads of a measurement need no good order
