"""The processes of the image, as Cloud Run starts, asks and ends them."""

import json
import os
import socket
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from redis import Redis

from app.accounts.models import User
from app.audit.models import Checkpoint, Entry
from app.celery import application
from app.realtime.protocol import Close
from app.realtime.services import conversation_stream
from dev.redis_server import RedisServer
from tests.chat.talk import room
from tests.cloudrun.balancer import HOST, TOLD
from tests.cloudrun.conftest import Starts
from tests.cloudrun.image import USER, Instance, dockerfile
from tests.cloudrun.rendered import container
from tests.cloudrun.speaking import socket_of
from tests.live import LiveDatabase

pytestmark = pytest.mark.xdist_group("image")


def get(instance: Instance, path: str, **headers: str) -> "tuple[int, dict[str, str], bytes]":
    asked = urllib.request.Request(instance.url + path, headers=TOLD | headers)
    with urllib.request.urlopen(asked, timeout=10) as response:
        return response.status, dict(response.headers), response.read()


def test_the_web_service_is_ready_by_its_probe_and_serves_what_the_image_collected(
    starts: Starts, image: Path
) -> None:
    web = starts("web")
    web.wait_until_ready()
    assert web.answers(container(web.template)["livenessProbe"]["httpGet"]["path"])
    manifest = json.loads((image / "static/staticfiles.json").read_text())
    path = next(path for path in manifest["paths"].values() if path.endswith(".css"))
    status, headers, body = get(web, f"/static/{path}", **{"Accept-Encoding": "br"})
    assert (status, headers["Content-Encoding"]) == (200, "br")
    assert "immutable" in headers["Cache-Control"]
    assert body == (image / f"static/{path}.br").read_bytes()
    status, headers, _ = get(web, "/sign-in")
    assert status == 200
    assert "max-age=31536000" in headers["Strict-Transport-Security"]


def test_a_request_in_flight_ends_before_the_instance_does(starts: Starts) -> None:
    web = starts("web")
    web.wait_until_ready()
    body = b'{"email": "nobody@acme.example", "password": "wrong"}'
    with socket.create_connection(("127.0.0.1", web.port), timeout=10) as client:
        head = (
            f"POST /api/auth/token HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-Proto: https\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        client.sendall(head.encode() + body[:10])
        time.sleep(0.5)  # it has a thread now
        web.terminate()
        time.sleep(1)
        assert web.process.poll() is None
        client.sendall(body[10:])
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:100]
    assert web.ends() == 0
    assert "Traceback" not in web.said()


def test_a_socket_is_told_to_go_elsewhere_and_what_it_sent_is_there(
    starts: Starts, alice: User, bob: User
) -> None:
    talk = room(alice, bob)
    stream = conversation_stream(talk.pk)
    first, second = starts("gateway"), starts("gateway")
    first.wait_until_ready()
    second.wait_until_ready()
    with socket_of(alice, first) as alices:
        before = alices.sub(stream)
        number = alices.post("send", conversation=str(talk.pk), id=str(uuid4()), body="on")
        first.terminate()
        assert alices.reply(number)["offset"] == before["o"] + 1
        assert alices.push("reconnect")["d"]["after_ms"] >= 0
        assert alices.close_code() == Close.DRAIN
    assert first.ends() == 0
    with socket_of(alice, second) as alices:
        resumed = alices.sub(stream, before["e"], before["o"])
        assert resumed["recovered"]
        assert alices.push("message.created")["d"]["body"] == "on"


def test_the_sealer_seals_with_no_key_that_opens_anything_and_ends_after_what_is_under_way(
    starts: Starts, alice: User, live_db: LiveDatabase
) -> None:
    assert Entry.objects.exists()
    with closing(psycopg2.connect(live_db.owner_url)) as holder:
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE audit_leaf IN EXCLUSIVE MODE")
        sealer = starts("sealer", DATABASE_URL=live_db.sealer_url)
        sealer.until(lambda: _blocked(live_db, "audit_leaf"))
        assert "FIELD_ENCRYPTION_KEY" not in sealer.environment()
        sealer.terminate()
        holder.rollback()
    assert sealer.ends() == 0, sealer.said()
    assert Checkpoint.objects.exists()


def test_a_worker_gives_its_job_back_and_another_does_it(
    starts: Starts, live_db: LiveDatabase, redis_server: RedisServer
) -> None:
    with (
        closing(psycopg2.connect(live_db.owner_url)) as holder,
        closing(Redis.from_url(redis_server.url)) as queue,
    ):
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE realtime_streamevent IN ACCESS EXCLUSIVE MODE")
        with application.connection_for_write(redis_server.url) as broker:
            application.send_task("realtime.prune", connection=broker)
        worker = starts("worker")
        worker.until(lambda: _blocked(live_db, "realtime_streamevent"))
        worker.is_ended()
        assert queue.llen("celery") == 1, "the job is in the queue again"
        holder.rollback()
        another = starts("worker")
        another.until(lambda: queue.llen("celery") == 0 and queue.hlen("unacked") == 0)


def _blocked(database: LiveDatabase, table: str) -> bool:
    with (
        closing(psycopg2.connect(database.superuser_url)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass", [table]
        )
        return cursor.fetchone() != (0,)


def test_the_migration_runs_as_the_owner_and_ends(starts: Starts) -> None:
    migration = starts("migrate")
    assert migration.process.wait(90) == 0, migration.said()
    assert "No migrations to apply" in migration.said()


def test_nothing_in_the_image_can_be_written_and_nobody_is_root(
    starts: Starts, image: Path
) -> None:
    web = starts("web")
    web.wait_until_ready()
    status = Path(f"/proc/{web.process.pid}/status").read_text()
    if os.geteuid() == 0:
        assert f"Uid:\t{USER}\t{USER}" in status
    assert not [path for path in [image, *image.rglob("*")] if path.stat().st_mode & 0o222]
    arguments = Path(f"/proc/{web.process.pid}/cmdline").read_text()
    for name, value in web.environment().items():
        if "SECRET" in name or name.endswith(("_KEY", "_URL")):
            assert value not in arguments


def test_a_missing_variable_stops_the_start_with_its_name(starts: Starts) -> None:
    web = starts("web", CHECKPOINT_ORIGIN="", DATABASE_URL="mysql://x")
    assert web.process.wait(60) != 0
    assert "CHECKPOINT_ORIGIN is missing" in web.said()
    assert "DATABASE_URL is malformed" in web.said()
    assert "mysql" not in web.said()


def test_the_dockerfile_leaves_no_secret_and_ends_as_nobody() -> None:
    stages = dockerfile()
    assert [*stages] == ["packages", "files", ""]
    assert "USER 10001" in stages[""]
    assert stages[""].index("USER 10001") > max(
        at for at, line in enumerate(stages[""]) if line.startswith(("COPY", "RUN"))
    )
    whole = " ".join(line for stage in stages.values() for line in stage)
    assert "--require-hashes" in whole
    assert not [word for word in ("SECRET_KEY", "SIGNING_KEY", "ENCRYPTION_KEY") if word in whole]
