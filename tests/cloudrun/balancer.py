"""What stands before instances on Google: the balancer's headers, and Cloud Run's own rules.

A request waits until an instance is ready by its template's startup probe, and is cut at the
service's time limit: with 504 if nothing was answered yet, in the middle otherwise. A socket is a
request (https://cloud.google.com/run/docs: /configuring/request-timeout, /triggering/websockets).
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from dev.ports import LOOPBACK
from tests.cloudrun.image import Instance
from tests.cloudrun.rendered import container

HOST = "chat.example.org"
TOLD = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7, 192.0.2.1"}
LATE = b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Balancer:
    """Made by `Balancer.running()`. Each connection to it is one request, or one socket.

    `limit`: seconds that a request may take. `most`: so much of an answer has passed when the
    limit comes, in bytes; None: all there is. `cut`, `waited`: how many requests were cut, and had
    to wait for an instance. `statuses`: how they were answered by instances, and 502: not at all.
    """

    is_running = True

    def __init__(self) -> None:
        self.limit = 3600.0
        self.most: int | None = None
        self.cut = self.waited = 0
        self.statuses: Counter[int] = Counter()
        self._serving: list[Instance] = []
        self._turn = 0
        self._ready: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["Balancer"]:
        balancer, begun, ending = cls(), threading.Event(), asyncio.Event()
        thread = threading.Thread(target=lambda: asyncio.run(balancer._live(begun, ending)))
        thread.start()
        assert begun.wait(30)
        try:
            yield balancer
        finally:
            balancer._loop.call_soon_threadsafe(ending.set)
            thread.join(30)

    @property
    def base_url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"

    def sends_to(self, *instances: Instance) -> None:
        """From now on what is new goes to these, to each once it is ready; until then it waits."""

        async def change() -> None:
            self._serving.clear()
            self._ready.clear()
            for instance in instances:
                self._begin(self._probe(instance))

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(10)

    # On the loop.

    async def _live(self, begun: threading.Event, ending: asyncio.Event) -> None:
        self._loop, self._ready = asyncio.get_running_loop(), asyncio.Event()
        self._server = await asyncio.start_server(
            lambda *ends: self._begin(self._carry(*ends)), LOOPBACK
        )
        begun.set()
        await ending.wait()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _probe(self, instance: Instance) -> None:
        path = container(instance.template)["startupProbe"]["httpGet"]["path"]
        while not await asyncio.to_thread(instance.answers, path):
            await asyncio.sleep(0.1)
        self._serving.append(instance)
        self._ready.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.waited += not self._ready.is_set()
            await self._ready.wait()
            self._turn += 1
            instance = self._serving[self._turn % len(self._serving)]
            await self._carried(as_told(head), instance, reader, writer)
        except asyncio.IncompleteReadError:
            pass
        except OSError:
            self.statuses[502] += 1
        finally:
            writer.close()

    async def _carried(
        self,
        head: bytes,
        instance: Instance,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        answer, to_it = await asyncio.open_connection(LOOPBACK, instance.port)
        to_it.write(head)
        asking, passed = asyncio.create_task(pump(reader, to_it)), 0
        try:
            async with asyncio.timeout(self.limit):
                while data := await answer.read(65536):
                    if not passed:
                        self.statuses[int(data.split(maxsplit=2)[1])] += 1
                    if self.most is not None and passed + len(data) > self.most:
                        writer.write(data[: self.most - passed])
                        passed = self.most
                        raise TimeoutError
                    passed += len(data)
                    writer.write(data)
                    await writer.drain()
        except TimeoutError:
            self.cut += 1
            if not passed:
                writer.write(LATE)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            to_it.transport.abort()


def as_told(head: bytes) -> bytes:
    """The beginning of a request with what the balancer says of it; one request a connection."""
    first, *lines = head[:-4].split(b"\r\n")
    told = [f"{name}: {value}".encode() for name, value in TOLD.items()]
    own = ("host:", "x-forwarded-", *([] if b"websocket" in head.lower() else ["connection:"]))
    kept = [line for line in lines if not line.decode("latin-1").lower().startswith(own)]
    ends = [] if len(own) == 2 else [b"Connection: close"]
    return b"\r\n".join([first, *told, *ends, *kept, b"", b""])


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass on what comes, until it ends."""
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
