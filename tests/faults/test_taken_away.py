"""PostgreSQL, Redis, the storage of files and Cloud KMS, each away for a while under load.

Ten members write to each other through a real server all the while. What is away is missed as
docs/operations.md says and no more; then it is given back, and without anybody's doing all is
well again, with everything that was acknowledged there once and in order (`Town.check`).
"""

import json
import time
import urllib.error
import urllib.request
from asyncio import run_coroutine_threadsafe
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import override_settings

from app.accounts.services import found_organization
from app.chat.models import Attachment, Conversation, Message
from app.encryption import apart, cloud_kms
from tests.cast import join
from tests.chat.talk import room
from tests.fakes import kms as fake
from tests.fakes.faults import Fault
from tests.fakes.kms import KmsServer
from tests.fakes.s3 import S3Server
from tests.faults.town import PATIENCE, Instances, Town, living_in
from tests.live import LiveDatabase
from tests.realtime.speaker import bearer
from tests.server import GatewayServer
from tests.shared_server import live_db
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)

__all__ = ["live_db"]
MEMBERS = 10
KEY = "projects/acme/locations/europe/keyRings/parley/cryptoKeys/main"
FOR_EVER = 10**9
WELL = dict.fromkeys(("database", "redis", "keys", "sealer", "storage"), "ok")


class ServerElsewhere(GatewayServer):
    """As on Cloud Run: its keys are in Cloud KMS, its files in a bucket."""

    settings: dict[str, str]

    def environment(self) -> dict[str, str]:
        return super().environment() | self.settings


@dataclass
class Place:
    """What can be taken away, and who misses it."""

    town: Town
    stack: Stack
    kms: KmsServer
    s3: S3Server
    quiet: Conversation
    silent: Conversation
    """Nobody has spoken there: the server does not hold its key."""
    token: str

    def until_ready_says(self, status: int, **failed: str) -> None:
        def says() -> bool:
            answer = self.ask("GET", "/readyz")
            checks = json.loads(answer.body)["checks"]
            # No sealer runs here.
            return (answer.status, checks | {"sealer": "ok"}) == (status, WELL | failed)

        self.town.until(says, f"/readyz says {status} {failed}")

    def until_acknowledged(self, more: int = MEMBERS) -> None:
        acked = len(self.town.acked)
        self.town.until(lambda: len(self.town.acked) >= acked + more, "sends are acknowledged")

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> "Answer":
        request = urllib.request.Request(
            f"{self.town.instances.servers[0].base_url}{path}",
            method=method,
            data=body,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                **headers,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return Answer(response.status, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read())

    def insist(self, method: str, path: str, body: bytes | None = None) -> "Answer":
        """As the page does: what may pass is tried again."""
        deadline = time.monotonic() + PATIENCE
        while (answer := self.ask(method, path, body)).status >= 500:
            assert time.monotonic() < deadline, answer
            time.sleep(0.25)
        return answer

    def send(self, conversation: Conversation, body: str, *files: str) -> "Answer":
        asked = {"id": str(uuid4()), "body": body, "attachments": files}
        path = f"/api/conversations/{conversation.pk}/messages"
        return self.ask("POST", path, json.dumps(asked).encode())


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        return dict(json.loads(self.body)["error"])


@contextmanager
def elsewhere(kms: KmsServer, s3: S3Server) -> Iterator[dict[str, str]]:
    """This process and the server have keys and files there; the server's environment."""
    client = s3.client()
    client.create_bucket(Bucket="files-taken-away")
    client.close()
    kms.make_key(KEY)
    storage = f"s3://files-taken-away?endpoint={s3.url}&region=us-east-1"
    try:
        with override_settings(
            KEY_PROVIDER="cloud-kms",
            KMS_KEY=KEY,
            KEY_ENCRYPTION_KEY_FILE=None,
            KMS_INSECURE_LOOPBACK_ENDPOINT=kms.address,
        ):
            yield {
                "KEY_PROVIDER": "cloud-kms",
                "KMS_KEY": KEY,
                "KMS_INSECURE_LOOPBACK_ENDPOINT": kms.address,
                "ATTACHMENT_STORAGE": storage,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
            }
    finally:
        cloud_kms._connected.cache_clear()


@pytest.fixture(scope="module")
def place(live_db: LiveDatabase, stack: Stack) -> Iterator[Place]:
    stack.empty_redis()
    with KmsServer.running() as kms, S3Server.running() as s3, elsewhere(kms, s3) as environment:
        organization = found_organization(slug="taken", name="Taken")
        users = [join(organization, f"member{number}") for number in range(MEMBERS)]
        square = room(*users, name="square")
        quiet, silent = (room(*users[:2], name=name) for name in ("quiet", "silent"))
        server = ServerElsewhere(live_db, stack.redis, stack)
        server.settings = environment
        server.start()
        try:
            with living_in(Instances((server,)), square, users) as town:
                yield Place(town, stack, kms, s3, quiet, silent, bearer(users[0]))
        finally:
            server.terminate()


@pytest.fixture(autouse=True)
def _busy_and_whole(place: Place) -> Iterator[None]:
    place.until_acknowledged()
    place.until_ready_says(200)
    yield
    # Whatever a failing test left away is there for the next one.
    place.kms.faults = []
    place.s3.faults.clear()


def test_postgresql_away_refuses_in_words_and_nothing_acknowledged_is_lost(place: Place) -> None:
    town = place.town
    began = time.monotonic()
    connection.close()
    apart.disconnect()
    with place.stack.postgresql_away():
        place.until_ready_says(503, database="failed")
        refused = place.send(town.square, "while nothing can be written")
        assert refused.status == 503
        assert "try again" in refused.error["message"]
        page = place.ask("GET", "/", Cookie=f"{settings.SESSION_COOKIE_NAME}={'x' * 32}")
        assert (page.status, b"Try again in a moment" in page.body) == (503, True)
        assert place.ask("GET", "/healthz").status == 200
    town.until_the_database_answers()
    place.until_acknowledged()
    place.until_ready_says(200)
    assert not [member for member in town.members if member.lost_since(began)]
    town.check()


def test_redis_away_keeps_nobody_from_sending_and_hearing(place: Place) -> None:
    town = place.town
    place.stack.redis.stop()
    try:
        place.until_ready_says(200, redis="failed")
        place.until_acknowledged()
        acked = len(town.acked)
        town.until(
            lambda: all(len(member.heard) >= acked for member in town.members),
            "they are heard without Redis",
        )
    finally:
        place.stack.redis.start()
    place.until_ready_says(200)
    town.check()


def test_a_storage_away_holds_files_back_and_no_message(place: Place) -> None:
    town, file, content = place.town, str(uuid4()), b"x-ray" * 1000
    asked = {"id": file, "name": "x-ray.bin", "size": len(content)}
    path = f"/api/conversations/{place.quiet.pk}/attachments"
    assert place.ask("POST", path, json.dumps(asked).encode()).status == 201
    part = f"/api/attachments/{file}/parts/0"

    place.s3.faults.plan(Fault(cut="before", times=FOR_EVER))
    refused = place.ask("PUT", part, content)
    assert (refused.status, refused.error["code"]) == (503, "unavailable")
    assert "Messages still go through" in refused.error["message"]
    tried = len(place.s3.faults.requests)
    assert place.ask("PUT", part, content).status == 503
    assert len(place.s3.faults.requests) == tried, "it was away a moment ago, and was asked"
    place.until_ready_says(200, storage="failed")
    place.until_acknowledged()
    assert place.send(place.quiet, "without a file").status == 201

    place.s3.faults.clear()
    assert place.insist("PUT", part, content).status == 204
    assert place.insist("POST", f"/api/attachments/{file}/complete").status == 200
    assert place.send(place.quiet, "with a file", file).status == 201
    assert place.ask("GET", f"/api/attachments/{file}").body == content
    assert Attachment.objects.get(pk=file).message_id is not None
    place.until_ready_says(200)
    town.check()


def test_keys_away_are_missed_only_where_they_are_not_held(place: Place) -> None:
    town = place.town
    place.kms.faults = [fake.Fault(status=grpc.StatusCode.UNAVAILABLE)] * 10_000
    refused = place.send(place.silent, "not now")
    assert (refused.status, refused.error["code"]) == (503, "unavailable")
    assert "try again" in refused.error["message"]
    place.until_ready_says(200, keys="failed")
    place.until_acknowledged()  # whose key is held

    id_, member = str(uuid4()), town.members[0]
    sending = member.client.send(str(place.silent.pk), "kept until the keys are back", id_=id_)
    kept = run_coroutine_threadsafe(sending, town._loop)
    place.until_acknowledged()
    assert not kept.done()
    place.kms.faults = []
    assert kept.result(PATIENCE).id == id_
    assert Message.objects.filter(pk=id_).count() == 1
    place.until_ready_says(200)
    town.check()
