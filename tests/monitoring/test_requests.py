"""What is counted, told and logged of a request: its route, its outcome, never what was in it."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from app import metrics, urls
from app.accounts.models import User
from app.accounts.origin import trace_of
from app.audit.context import Origin
from app.realtime import commands
from app.realtime.services import Principal
from app.settings.logs import configure
from tests.attacks.canary import CANARY, traces
from tests.cast import api_client

TRACE, SPAN = "105445aa7843bc8bf206b12000100000", "000000000000007b"
Lines = Callable[[], list[dict[str, Any]]]


def breaks(request: HttpRequest, word: str) -> HttpResponse:
    logging.getLogger("app.of.a.test").warning("here", extra={"error": "Mine", "word": word})
    raise ValueError(f"{word} {request.body!r}")


urlpatterns = [
    path("api/broken/<str:word>", breaks),
    path("broken/<str:word>", breaks),
    *urls.urlpatterns,
]
handler404, handler500 = urls.handler404, urls.handler500
HERE = override_settings(ROOT_URLCONF="tests.monitoring.test_requests", TRUSTED_PROXY_COUNT=1)


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The lines of the log so far, as production writes them."""
    config = configure(as_json=True, with_messages=False, project="parley-1")
    made = dict(config["formatters"]["lines"])
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(made.pop("()")(**made))
    logging.getLogger().addHandler(handler)
    try:
        yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    finally:
        logging.getLogger().removeHandler(handler)


@HERE
@pytest.mark.django_db
@pytest.mark.parametrize("prefix", ["/api", ""])
def test_a_request_that_fails_is_found_by_its_id_and_shows_no_content(
    lines: Lines, alice: User, prefix: str
) -> None:
    client = api_client(alice)
    client.raise_request_exception = False
    answer = client.post(
        f"{prefix}/broken/{CANARY}?q={CANARY}",
        data=CANARY,
        content_type="text/plain",
        headers={
            "User-Agent": CANARY, "X-Request-ID": CANARY, "Cookie": f"word={CANARY}",
            "X-Cloud-Trace-Context": f"{TRACE}/123;o=1",
        },
    )  # fmt: skip
    number = answer["X-Request-ID"]
    assert answer.status_code == 500
    # A person can tell the operator, a program can log it.
    assert number in answer.content.decode()
    found = lines()
    assert {line["request_id"] for line in found} == {number}
    assert {line["logging.googleapis.com/trace"] for line in found} == {
        f"projects/parley-1/traces/{TRACE}"
    }
    assert {line["logging.googleapis.com/spanId"] for line in found} == {SPAN}
    ours = next(line for line in found if line["message"] == "here")
    assert (ours["severity"], ours["error"], ours["logger"]) == ("WARNING", "Mine", "app.of.a.test")
    place = ours["logging.googleapis.com/sourceLocation"]
    assert (place["file"], place["function"]) == (__file__, "breaks")
    assert int(place["line"]) > 0
    last = next(line for line in found if line["message"] == "request_failed")
    assert last["severity"] == "ERROR"
    assert last["httpRequest"].pop("latency").endswith("s")
    assert last["httpRequest"] == {
        "requestMethod": "POST", "requestUrl": f"{prefix}/broken/<str:word>", "status": 500,
    }  # fmt: skip
    assert not traces(json.dumps(found).encode())


@HERE
@pytest.mark.django_db
def test_requests_are_counted_by_route_and_never_by_path(alice: User) -> None:
    client = api_client(alice)

    def counted(route: str, status: str) -> float:
        return metrics.REQUESTS.values.get((route, status), 0)

    missing, there = counted("(none)", "4xx"), counted("/c/<uuid:conversation_id>", "3xx")
    api = sum(metrics.REQUEST_SECONDS.of("api").counts)
    assert client.get(f"/{CANARY}").status_code == 404
    assert client.get("/c/00000000-0000-0000-0000-000000000000").status_code == 302
    assert client.get("/api/conversations").status_code == 200
    assert counted("(none)", "4xx") == missing + 1
    assert counted("/c/<uuid:conversation_id>", "3xx") == there + 1
    assert sum(metrics.REQUEST_SECONDS.of("api").counts) == api + 1
    assert not traces(metrics.written().encode())


@pytest.mark.django_db
def test_each_request_has_an_id_of_its_own_that_no_client_chooses() -> None:
    chosen = {"X-Request-ID": "mine"}
    found = {Client().get("/sign-in", headers=chosen)["X-Request-ID"] for _ in range(3)}
    assert len(found) == 3
    assert all(len(number) == 32 for number in found)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"HTTP_X_CLOUD_TRACE_CONTEXT": f"{TRACE}/123;o=1"}, f"{TRACE}/{SPAN}"),
        ({"HTTP_X_CLOUD_TRACE_CONTEXT": TRACE}, TRACE),
        ({"HTTP_TRACEPARENT": f"00-{TRACE}-{SPAN}-01"}, f"{TRACE}/{SPAN}"),
        ({"HTTP_TRACEPARENT": f"00-{TRACE}-{SPAN}-01\n"}, ""),
        ({"HTTP_TRACEPARENT": f'00-{TRACE}-{SPAN}-01", "severity": "x'}, ""),
        ({"HTTP_X_CLOUD_TRACE_CONTEXT": "x" * 5000}, ""),
        ({}, ""),
    ],
)
def test_a_trace_is_believed_in_its_own_form_alone(headers: dict[str, str], found: str) -> None:
    with override_settings(TRUSTED_PROXY_COUNT=1):
        assert trace_of(headers) == found
    with override_settings(TRUSTED_PROXY_COUNT=0):
        assert trace_of(headers) == ""


def test_a_socket_whose_command_breaks_is_found_by_its_id_and_shows_no_content(
    lines: Lines,
) -> None:
    someone = Principal(uuid4(), uuid4(), uuid4(), Origin(request_id="socket-1"))
    told = list[bytes]()
    socket = SimpleNamespace(principal=someone, offer=told.append)
    commands._refuse(socket, 7, ValueError(CANARY))  # type: ignore[arg-type]
    (line,) = lines()
    assert (line["request_id"], line["message"], line["error"]) == (
        "socket-1", "command_failed", "ValueError",
    )  # fmt: skip
    assert not traces(json.dumps(line).encode() + b"".join(told))
