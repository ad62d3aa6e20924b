"""What leaves for Sentry: the real SDK in a process that breaks, and a wire of our own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sentry_sdk.envelope import Envelope

from tests.attacks.canary import traces

PROJECT = Path(__file__).resolve().parents[2]


@dataclass
class Told:
    """What left when a request broke: the request's id, the bytes, and the events in them."""

    request_id: str
    sent: list[str]

    @property
    def events(self) -> list[dict[str, Any]]:
        items = [item for one in self.sent for item in Envelope.deserialize(one.encode()).items]
        return [item.payload.json for item in items if item.payload.json]

    @property
    def broken(self) -> dict[str, Any]:
        (found,) = (event for event in self.events if "exception" in event)
        return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "app.settings.test",
        "STATE_DIR": str(tmp_path_factory.mktemp("state")),
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.settings.reporting"],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    return {how: Told(*one) for how, one in json.loads(done.stdout.splitlines()[-1]).items()}


def test_a_report_says_where_it_broke_and_nothing_of_what_was_said(told: dict[str, Told]) -> None:
    ours = told["ours"]
    assert [traces(one.encode()) for one in ours.sent if traces(one.encode())] == []
    cause, error = ours.broken["exception"]["values"]
    assert (cause["type"], error["type"]) == ("LookupError", "ValueError")
    frame = error["stacktrace"]["frames"][-1]
    assert frame["function"] == "breaks"
    assert frame["filename"].endswith("reporting.py")
    assert ours.broken["tags"] == {"request_id": ours.request_id, "route": "/broken/{word}"}
    assert ours.broken["release"] == "r1"
    said = {event["logentry"]["message"] for event in ours.events if "logentry" in event}
    assert said == {"it_broke", "it_waits", "request_failed", ""}


def test_without_the_scrubbing_the_sdk_would_tell(told: dict[str, Told]) -> None:
    """What the test above finds missing is what the SDK collects by itself."""
    broken = told["raw"].broken
    for part in ("request", "user", "breadcrumbs", "extra", "contexts", "tags"):
        assert traces(json.dumps(broken[part]).encode()), part
    frame = broken["exception"]["values"][-1]["stacktrace"]["frames"][-1]
    assert traces(json.dumps(frame["vars"]).encode())
