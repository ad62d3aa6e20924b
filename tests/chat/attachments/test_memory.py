"""A file of 100 MB through the process of production: its memory does not grow with the file."""

import hashlib
import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.accounts.models import User
from app.chat.services.attachments import MAX_BYTES
from app.encryption.stream import PART_BYTES
from dev.redis_server import RedisServer
from tests.chat.talk import room
from tests.live import LiveDatabase
from tests.realtime.speaker import bearer
from tests.server import WebServer
from tests.stack import Stack

ROOM = 24 * 1024  # KiB: a few parts, sealed and open; the file has four times as many


class Gunicorn(WebServer):
    """As in production, where pages and REST are answered by threads under WSGI.

    Not Daphne, development's server: what a reader has not taken yet lies in its memory.
    """

    name = "gunicorn"

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "gunicorn", "app.wsgi", "--bind", f"127.0.0.1:{self.port}",
            "--worker-class", "gthread", "--threads", "4", "--no-control-socket",
        ]  # fmt: skip

    @property
    def worker(self) -> int:
        (only,) = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(only)


@pytest.fixture
def gunicorn(live_db: LiveDatabase, redis_server: RedisServer, stack: Stack) -> Iterator[Gunicorn]:
    with Gunicorn.running(live_db, redis_server, stack) as running:
        yield running


class Client:
    def __init__(self, server: WebServer, user: User) -> None:
        self._base, self._token = f"{server.base_url}/api", bearer(user)

    def open(self, method: str, path: str, data: Any = None) -> Any:
        kind = "application/octet-stream" if isinstance(data, bytes) else "application/json"
        request = urllib.request.Request(
            f"{self._base}/{path}",
            method=method,
            data=data if data is None or isinstance(data, bytes) else json.dumps(data).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": kind},
        )
        return urllib.request.urlopen(request, timeout=60)

    def call(self, method: str, path: str, data: Any = None) -> Any:
        with self.open(method, path, data) as response:
            text = response.read()
        return json.loads(text) if text else None


def most_ever(pid: int) -> int:
    """The most memory that the process ever had, in KiB."""
    (line,) = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    return int(line.split()[1])


def part_of(index: int) -> bytes:
    return bytes([index]) * PART_BYTES


def upload(client: Client, conversation: object, parts: int) -> Any:
    id_ = str(uuid4())
    announced = {"id": id_, "name": "film.bin", "size": parts * PART_BYTES}
    client.call("POST", f"conversations/{conversation}/attachments", announced)
    for index in range(parts):
        client.call("PUT", f"attachments/{id_}/parts/{index}", part_of(index))
    return client.call("POST", f"attachments/{id_}/complete")


def download(client: Client, attachment: str) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with client.open("GET", f"attachments/{attachment}") as response:
        while piece := response.read(1 << 18):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


@pytest.mark.timeout(300)
def test_a_hundred_megabytes_up_and_down_take_the_memory_of_a_few_parts(
    gunicorn: Gunicorn, alice: User, bob: User
) -> None:
    ward = room(alice, bob)
    client = Client(gunicorn, alice)
    small = upload(client, ward.pk, 1)
    download(client, small["id"])
    before = most_ever(gunicorn.worker)
    large = upload(client, ward.pk, MAX_BYTES // PART_BYTES)
    assert download(client, large["id"]) == (MAX_BYTES, large["sha256"])
    grown = most_ever(gunicorn.worker) - before
    print(f"most memory: {before} KiB, and {grown} KiB more for {MAX_BYTES >> 20} MiB")
    assert grown < ROOM
