"""Cloud Run cuts a request when its time is over: nothing is lost by it, and nothing done twice."""

import hashlib
import http.client
import json
import os
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from django.utils import timezone

import app.celery  # noqa: F401 - jobs go to the test's Redis, where nobody takes them
from app.accounts.models import User
from app.audit.models import Entry
from app.chat.models import Message
from app.compliance.models import ExportRequest, State
from app.compliance.scope import Scope
from app.compliance.services import approve_export, request_export
from tests.chat.talk import room
from tests.cloudrun.balancer import Balancer
from tests.cloudrun.conftest import Starts
from tests.faults.town import Instances, living_in
from tests.live import LiveDatabase
from tests.realtime.speaker import bearer

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("image")]


def test_sockets_that_are_cut_again_and_again_lose_and_double_nothing(
    starts: Starts, balancer: Balancer, alice: User, bob: User, mallory: User
) -> None:
    people = [alice, bob, mallory]
    square = room(*people)
    balancer.limit = 2.5  # an hour, where it is Cloud Run
    gateway = starts("gateway")
    balancer.sends_to(gateway)
    behind = Instances(cast(Any, (balancer,)))
    with living_in(behind, square, people) as town:
        town.until(
            lambda: balancer.cut >= 9 and len(town.acked) >= 6, "each is cut some times, and writes"
        )
        balancer.limit = 3600.0
        town.check()
    assert balancer.statuses.keys() == {101, 201}, balancer.statuses


def test_a_send_that_was_cut_is_done_once_however_often_it_is_tried(
    starts: Starts, balancer: Balancer, alice: User, bob: User
) -> None:
    talk = room(alice, bob)
    web = starts("web")
    balancer.sends_to(web)
    message = json.dumps({"id": str(uuid4()), "body": "once"}).encode()
    token = bearer(alice)

    def send() -> "tuple[int, dict[str, Any]]":
        asked = urllib.request.Request(
            f"{balancer.base_url}/api/conversations/{talk.pk}/messages",
            message,
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {}

    balancer.most = 0  # its time is over just when it is done
    assert [send()[0] for _ in range(2)] == [504, 504]
    assert balancer.statuses == {201: 2}
    balancer.most = None
    (status, ack), (_, same) = send(), send()
    assert status == 201
    assert ack == same
    assert [str(one.pk) for one in Message.objects.filter(conversation=talk)] == [ack["id"]]
    assert Entry.objects.filter(target_id=ack["id"]).count() == 1


@pytest.fixture
def finished(olga: User, oscar: User, there: dict[str, str]) -> ExportRequest:
    """An export whose package is too large for one request."""
    asked = request_export(olga, scope=Scope(), reason="A complaint of 3 November.")
    approve_export(oscar, asked.pk)
    package = os.urandom(1 << 21)
    folder = Path(there["STATE_DIR"]) / "exports"
    folder.mkdir()
    (folder / f"{asked.pk}.zip").write_bytes(package)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    ExportRequest.objects.filter(pk=asked.pk).update(
        state=State.READY,
        expires_at=timezone.now() + timedelta(days=1),
        size=len(package),
        sha256=hashlib.sha256(package).hexdigest(),
    )
    return ExportRequest.objects.get(pk=asked.pk)


def test_a_download_that_was_cut_goes_on_as_one_download(
    starts: Starts, balancer: Balancer, live_db: LiveDatabase, finished: ExportRequest, olga: User
) -> None:
    sealer = starts("sealer", DATABASE_URL=live_db.sealer_url)
    balancer.sends_to(starts("web"))
    balancer.most = (1 << 20) - 1000
    token, got, parts = bearer(olga), b"", 0
    assert finished.size
    while len(got) < finished.size and parts < 10:
        asked = urllib.request.Request(
            f"{balancer.base_url}/api/compliance/exports/{finished.pk}/download",
            headers={"Authorization": f"Bearer {token}", "If-Range": f'"{finished.sha256}"'}
            | ({"Range": f"bytes={len(got)}-"} if got else {}),
        )
        parts += 1
        with urllib.request.urlopen(asked, timeout=60) as response:
            assert response.status == (206 if got else 200), sealer.said()
            got += all_there_is(response)
    assert hashlib.sha256(got).hexdigest() == finished.sha256
    assert parts >= 3
    assert Entry.objects.filter(action_name="export:downloaded").count() == 1


def all_there_is(response: http.client.HTTPResponse) -> bytes:
    """What came before the connection was gone."""
    got = b""
    try:
        while part := response.read1(65536):
            got += part
    except (OSError, http.client.HTTPException):
        pass
    return got
