"""Who reads the database, a backup, Redis, the logs or a job's arguments, reads no content.

A canary is sent through every feature, the wrong ways in included, and then looked for.
"""

import base64
import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.utils import timezone

import app.celery  # noqa: F401 - jobs go to the test's Redis, where nobody takes them
from app.accounts.models import Organization, Role, User
from app.accounts.services import add_user
from app.compliance.scope import Scope
from app.compliance.services import approve_export, request_export
from dev.binaries import postgresql_programs
from tests.attacks.canary import CANARY, traces
from tests.cast import PASSWORD
from tests.live import LiveDatabase
from tests.realtime.speaker import Refused, bearer, connected
from tests.server import SealerProcess, WebServer
from tests.stack import Stack


def test_the_search_itself_finds_every_coding() -> None:
    plain = b"before " + CANARY.encode() + b" after"
    assert "plain" in traces(plain)
    assert "hex" in traces(plain.hex().encode())
    for pad in range(3):
        assert any("base64" in name for name in traces(base64.b64encode(b"x" * pad + plain)))


class Member:
    """Sends the canary wherever a person or a program can put a text."""

    def __init__(self, server: WebServer, user: User) -> None:
        self.server, self.user, self.token = server, user, bearer(user)

    def call(self, method: str, path: str, body: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.server.base_url}/api/{path}",
            method=method,
            data=data,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "parley-test",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=15) as response:
                text = response.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code


def write_everywhere(alice: Member, bob: User, ada: Member) -> None:
    alice.call("PATCH", "me", {"display_name": f"{CANARY} Miller"})
    made = alice.call(
        "POST",
        "conversations",
        {"kind": "private", "name": CANARY, "topic": f"on {CANARY}", "members": [str(bob.pk)]},
    )
    path = f"conversations/{made['id']}"
    alice.call("PATCH", path, {"name": f"{CANARY} renamed"})
    sent = alice.call("POST", f"{path}/messages", {"id": str(uuid4()), "body": f"say {CANARY}"})
    alice.call("PATCH", f"messages/{sent['id']}", {"body": f"{CANARY}, edited", "revision": 1})
    alice.call("DELETE", f"messages/{sent['id']}", {})
    invited = {"role": "member", "label": CANARY, "uses": 1, "expires_in_hours": 24}
    assert isinstance(ada.call("POST", "invitations", invited), dict)
    send_a_file(alice, path)
    with connected(alice.server.base_url, alice.user, alice.token) as socket:
        socket.sub(f"conversation:{made['id']}")
        id_ = socket.send(made["id"], f"{CANARY} over the socket")["id"]
        socket.ask("edit", id=id_, body=f"{CANARY} edited over the socket", revision=1)


def send_a_file(alice: Member, path: str) -> None:
    id_, content = str(uuid4()), f"{CANARY} in a file".encode()
    announced = {"id": id_, "name": f"{CANARY}.txt", "size": len(content)}
    alice.call("POST", f"{path}/attachments", announced)
    alice.call("PUT", f"attachments/{id_}/parts/0", content)
    assert alice.call("POST", f"attachments/{id_}/complete", {})["name"] == f"{CANARY}.txt"
    message = {"id": str(uuid4()), "body": CANARY, "attachments": [id_]}
    assert isinstance(alice.call("POST", f"{path}/messages", message), dict)


def act_as_an_officer(olga: Member) -> None:
    why = {"matter": f"Matter {CANARY}", "reason": f"because of {CANARY}"}
    conversation = olga.call("GET", "compliance/conversations", {})["conversations"][0]["id"]
    reading = olga.call("POST", "compliance/readings", why | {"conversation": conversation})
    page = olga.call("GET", f"compliance/readings/{reading['id']}", {})
    assert CANARY in json.dumps(page)
    months = {"conversation": conversation, "last": f"{timezone.now():%Y-%m}-01"}
    erasure = olga.call("POST", "compliance/erasures", months | {"reason": f"asked by {CANARY}"})
    hold = olga.call("POST", "compliance/holds", why | {"conversations": [conversation]})
    release = olga.call("POST", f"compliance/holds/{hold['id']}/ask-release", {"reason": CANARY})
    assert [erasure["state"], release["in_force"]] == ["requested", True]
    assert olga.call("POST", "compliance/readings", why | {"conversation": CANARY}) == 400
    assert olga.call("POST", "compliance/holds", why | {"reason": CANARY * 200}) == 400


def write_wrongly(alice: Member) -> None:
    """Errors are where content escapes: each of these must be refused, and tell nothing."""
    path = f"conversations/{uuid4()}/messages"
    assert alice.call("POST", path, {"id": str(uuid4()), "body": CANARY}) == 404
    assert alice.call("POST", path, {"id": CANARY, "body": [CANARY]}) == 400
    assert alice.call("POST", path, {CANARY: CANARY}) == 400
    assert alice.call("POST", path, b'{"body": "' + CANARY.encode()) == 400
    assert alice.call("POST", path, {"id": str(uuid4()), "body": CANARY * 2000}) == 400
    assert alice.call("POST", f"{path}?{CANARY}=1", {"id": 1}) == 400
    assert alice.call("PATCH", "me", {"display_name": CANARY * 100}) == 400
    path = f"conversations/{uuid4()}/attachments"
    assert alice.call("POST", path, {"id": str(uuid4()), "name": CANARY, "size": 1}) == 404
    assert alice.call("POST", path, {"id": CANARY, "name": CANARY * 20, "size": CANARY}) == 400
    assert alice.call("PUT", f"attachments/{uuid4()}/parts/0", CANARY.encode()) == 404
    assert (
        alice.call("POST", "auth/token", {"email": f"{CANARY}@example.org", "password": CANARY})
        == 401
    )
    with connected(alice.server.base_url, alice.user, alice.token) as socket:
        for op, data in (
            ("send", {"conversation": str(uuid4()), "id": str(uuid4()), "body": CANARY}),
            ("send", {"conversation": CANARY, "id": CANARY, "body": CANARY}),
            (CANARY, {CANARY: CANARY}),
        ):
            with pytest.raises(Refused):
                socket.ask(op, **data)


def test_a_stolen_database_redis_or_log_shows_no_content(
    server: WebServer,
    sealer: SealerProcess,
    live_db: LiveDatabase,
    stack: Stack,
    organization: Organization,
    alice: User,
    bob: User,
    olga: User,
    oscar: User,
    ada: User,
) -> None:
    assert sealer.pid
    add_user(
        organization=organization,
        email=f"{CANARY}@example.org",
        display_name=CANARY,
        role=Role.MEMBER,
        password=PASSWORD,
    )
    member = Member(server, alice)
    write_everywhere(member, bob, Member(server, ada))
    write_wrongly(member)
    # No worker runs: the job stays in Redis, arguments and all.
    export = request_export(officer=olga, scope=Scope(), reason=f"Matter {CANARY}")
    approve_export(officer=oscar, export_id=export.pk)
    act_as_an_officer(Member(server, olga))

    places = {
        "the database": dump(live_db),
        "the web process's log": server.log_text().encode(),
        "the sealer's log": sealer.log_text().encode(),
        "PostgreSQL's log": (stack.folder / "postgresql" / "postgresql.log").read_bytes(),
        "Redis": everything_in_redis(stack.redis.url),
        "the storage of files": everything_in(stack.folder / "attachments"),
    }
    assert b"cf1." in places["the storage of files"], "the file is not there"
    assert b"chat_messageversion" in places["the database"], "the dump is not one"
    assert {name: traces(content) for name, content in places.items() if traces(content)} == {}


def dump(database: LiveDatabase) -> bytes:
    pg_dump: Path = postgresql_programs() / "pg_dump"
    command = [str(pg_dump), "--dbname", database.superuser_url, "--format", "plain"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def everything_in(folder: Path) -> bytes:
    """Names and contents."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"\n".join(str(path).encode() + path.read_bytes() for path in files)


def everything_in_redis(url: str) -> bytes:
    with redis.Redis.from_url(url) as client:
        keys = list(client.scan_iter())
        assert any(b"celery" in key for key in keys), "the job is not in Redis"
        return b"\n".join(content(client, key) for key in keys)


def content(client: Any, key: bytes) -> bytes:
    match client.type(key):
        case b"string":
            return key + bytes(client.get(key))
        case b"list":
            return key + b"".join(client.lrange(key, 0, -1))
        case b"hash":
            return key + b"".join(b"".join(pair) for pair in client.hgetall(key).items())
        case b"set":
            return key + b"".join(client.smembers(key))
        case other:
            raise AssertionError(f"a key of type {other!r} was not searched")
