"""The running product: two officers in their browsers, a worker, the sealer, and an outsider."""

import re
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from app.accounts.models import User
from dev.redis_server import RedisServer
from dev.services import worker_command
from tests.cast import PASSWORD
from tests.compliance.conftest import QuickSealer, Ward
from tests.compliance.outsider import check, outside
from tests.compliance.packages import VERIFY
from tests.live import LiveDatabase
from tests.server import TestedProcess, WebServer
from tests.stack import Stack

PATIENCE = 60.0  # seconds


class Worker(TestedProcess):
    name = "worker"

    def command(self) -> list[str]:
        return worker_command(sys.executable)


@pytest.fixture(autouse=True)
def _packages_of_this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any process starts: they read the environment once."""
    monkeypatch.setenv("EXPORT_DIR", str(tmp_path / "exports"))


@pytest.fixture
def worker(live_db: LiveDatabase, redis_server: RedisServer, stack: Stack) -> Iterator[Worker]:
    with Worker.running(live_db, redis_server, stack) as running:
        yield running


class Browser:
    """A person's browser without scripts: cookies, forms, links."""

    def __init__(self, base: str, person: User) -> None:
        self.base = base
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self.post("/sign-in", email=person.email, password=PASSWORD)

    def get(self, path: str) -> str:
        with self._opener.open(self.base + path, timeout=30) as response:
            self.address: str = response.geturl()
            return str(response.read().decode())

    def post(self, path: str, **fields: str) -> bytes:
        token = re.search(r'name="csrf-token" content="(\w+)"', self.get("/sign-in"))
        assert token
        data = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1], **fields}).encode()
        request = urllib.request.Request(self.base + path, data, {"Referer": self.base + path})
        with self._opener.open(request, timeout=30) as response:
            self.address = response.geturl()
            return bytes(response.read())


def test_two_officers_and_a_worker_make_a_package_that_an_outsider_verifies(
    server: WebServer,
    sealer: QuickSealer,
    worker: Worker,
    ward: Ward,
    olga: User,
    oscar: User,
    tmp_path: Path,
) -> None:
    first, second = Browser(server.base_url, olga), Browser(server.base_url, oscar)
    scope = {"conversations": str(ward.ward.pk), "step": "request", "reason": "Matter 7"}
    first.post("/exports/new", **scope)
    page = urllib.parse.urlsplit(first.address).path
    second.post(f"{page}/approve")
    shown = wait_until_built(second, page)
    key = re.search(r"--key &#x27;([^&]+)&#x27;|--key '([^']+)'", shown)
    assert key
    package = tmp_path / "package.zip"
    package.write_bytes(first.post(f"{page}/download"))
    verdict = check(
        package,
        "--json",
        "--key",
        key[1] or key[2],
        site=outside(tmp_path),
        program=VERIFY,
    )
    assert verdict.status == 0, verdict.text
    assert verdict.document["versions"] == 7
    assert "downloaded an export" in first.get(page)
    for process in (server, worker, sealer):
        assert "Bed 12" not in process.log_text()


def wait_until_built(browser: Browser, page: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        shown = browser.get(page)
        if "The package</h2>" in shown:
            return shown
        assert "could not be built" not in shown, shown
        time.sleep(0.3)
    raise AssertionError("the package was not built in time")
