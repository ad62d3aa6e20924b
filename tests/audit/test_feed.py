"""The log handed to a SIEM: whole, in order, from where it was, recorded, and without content."""

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from app.audit import body as bodies
from app.audit import catalogue, feed, ocsf
from app.audit.actions import DISCLOSURES, Action
from app.audit.collector import Collector, CollectorFailed
from app.audit.feed import Gap, cursor
from app.audit.services import Entry
from app.audit.tasks import feed_siem
from tests.attacks.canary import CANARY, traces
from tests.audit.trail import ACME, ALICE, BOB, OTHER, TALK, a_sealer, write
from tests.live import LiveDatabase

# What OCSF 1.8.0 requires of an event, of its class, and of the objects in it; and in which of
# some attributes at least one must be. Written from https://schema.ocsf.io/1.8.0.
OF_ALL = {
    "activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid",
}  # fmt: skip
OF_CLASS: dict[int, set[str]] = {
    1008: set(),
    3001: {"user"},
    3002: {"user"},
    3004: {"entity"},
    3005: {"user", "privileges"},
    3006: {"group"},
    6003: {"actor", "api", "src_endpoint"},
}
ONE_OF_CLASS = {3002: {"service", "dst_endpoint"}, 1008: {"log_name", "log_provider", "log_file"}}
ACTIVITIES: dict[int, set[int]] = {
    1008: {*range(1, 11)},
    3001: {*range(1, 13)},
    3002: {*range(1, 8)},
    3004: {*range(1, 14)},
    3005: {1, 2},
    3006: {*range(1, 9)},
    6003: {1, 2, 3, 4},
}
OF_OBJECT: dict[str, tuple[set[str], set[str]]] = {
    "metadata": ({"product", "version"}, set()),
    "product": (set(), {"name", "uid"}),
    "actor": (set(), {"user", "session", "app_name", "app_uid", "process", "invoked_by"}),
    "user": (set(), {"name", "uid"}),
    "group": (set(), {"name", "uid"}),
    "entity": (set(), {"name", "uid"}),
    "service": (set(), {"name", "uid"}),
    "src_endpoint": (set(), {"ip", "name", "uid", "hostname"}),
    "api": ({"operation"}, set()),
    "raw_data_hash": ({"algorithm_id", "value"}, set()),
}


def faults(event: dict[str, Any]) -> list[str]:
    """What OCSF would not accept in it."""
    of_class = event["class_uid"]
    found = [f"{name} is missing" for name in (OF_ALL | OF_CLASS[of_class]) - event.keys()]
    if of_class in ONE_OF_CLASS and not ONE_OF_CLASS[of_class] & event.keys():
        found.append("none of what one is required of")
    if event["activity_id"] not in ACTIVITIES[of_class] | {99}:
        found.append("an activity that the class does not have")
    if event["activity_id"] == 99 and not event.get("activity_name"):
        found.append("another activity without its name")
    if event["type_uid"] != of_class * 100 + event["activity_id"]:
        found.append("type_uid is not class and activity")
    if event["category_uid"] != of_class // 1000:
        found.append("the category is not the class's")
    return found + _object_faults(event)


def _object_faults(holder: dict[str, Any]) -> list[str]:
    found = []
    for name, value in holder.items():
        if isinstance(value, dict) and name != "unmapped":
            required, one_of = OF_OBJECT.get(name, (set(), set()))
            found += [f"{name}.{part} is missing" for part in required - value.keys()]
            if one_of and not any(value.get(part) for part in one_of):
                found.append(f"{name} has none of {one_of}")
            found += _object_faults(value)
    return found


def a_body(action: Action, *, kind: str = "user", address: str = "192.0.2.7") -> bodies.Body:
    someone = str(ALICE.id) if kind == "user" else None
    return bodies.Body(
        v=1, id="00000000-0000-4000-8000-000000000001", time="2026-11-21T10:00:00.123456Z",
        organization=str(ACME), action=action.value, outcome="success",
        actor=bodies.BodyActor(kind, someone, "member"),  # type: ignore[arg-type]
        origin=bodies.BodyOrigin("r1", "s1" if someone else "", address, "agent/1", "jwt"),
        target=bodies.BodyTarget("thing", "t1", "p1"), scope=str(TALK),
        parameters={"reason": CANARY}, before={"name": CANARY}, after={"name": CANARY},
    )  # fmt: skip


@pytest.mark.parametrize("action", Action)
def test_every_action_is_an_event_that_ocsf_accepts_and_shows_no_content(action: Action) -> None:
    for kind, address in [("user", "192.0.2.7"), ("system", ""), ("anonymous", "")]:
        body = a_body(action, kind=kind, address=address)
        event = ocsf.event(body, b"raw", b"leaf", 7, log="parley.test/log/acme")
        assert faults(event) == []
        assert traces(json.dumps(event).encode()) == []
        assert event["metadata"]["uid"] == body.id
        assert event["metadata"]["sequence"] == 7
        assert event["time"] == 1795255200123
        assert event["message"] == catalogue.meaning(action)
        assert event["severity_id"] >= (3 if action in DISCLOSURES else 1)


def test_what_the_check_above_finds() -> None:
    """It can fail: each mistake alone is named."""
    good = ocsf.event(a_body(Action.SESSION_STARTED), b"", b"", 0, log="x")
    assert faults(good) == []
    for name, value in [
        ("user", {}), ("service", {"uid": ""}), ("activity_id", 8), ("type_uid", 1),
        ("category_uid", 6), ("metadata", {"version": "1.8.0"}), ("actor", {}),
        ("src_endpoint", {"ip": ""}), ("activity_id", 99),
    ]:  # fmt: skip
        assert faults(good | {name: value}), name
    for name in ("user", "service", "severity_id", "time"):
        assert faults({key: value for key, value in good.items() if key != name}), name


@pytest.mark.parametrize(
    ("action", "outcome", "expected"),
    [
        (Action.SESSION_STARTED, "success", (300201, 1, 1)),
        (Action.SESSION_REFUSED, "failure", (300201, 3, 2)),
        (Action.SESSION_ENDED, "success", (300202, 1, 1)),
        (Action.TOKEN_REUSED, "failure", (300299, 4, 2)),
        (Action.USER_DISABLED, "success", (300105, 1, 1)),
        (Action.USER_ROLE_CHANGED, "success", (300501, 2, 1)),
        (Action.MEMBER_REMOVED, "success", (300604, 1, 1)),
        (Action.EXPORT_DOWNLOADED, "success", (300402, 3, 1)),
        (Action.DATA_KEY_DESTROYED, "success", (300404, 2, 1)),
        (Action.MESSAGE_SENT, "success", (600301, 1, 1)),
        (Action.MESSAGE_DISCLOSED, "success", (600302, 3, 1)),
        (Action.ACCESS_DENIED, "failure", (600399, 3, 2)),
        (Action.LOG_VERIFICATION_FAILED, "failure", (100899, 5, 2)),
    ],
)
def test_what_a_siem_watches_for_has_its_class_severity_and_status(
    action: Action, outcome: str, expected: tuple[int, int, int]
) -> None:
    body = a_body(action)
    told = bodies.Body(
        **{f: getattr(body, f) for f in body.__struct_fields__} | {"outcome": outcome}
    )
    event = ocsf.event(told, b"", b"", 0, log="x")
    assert (event["type_uid"], event["severity_id"], event["status_id"]) == expected


class Siem:
    """A receiver that keeps what it took, and refuses when told to."""

    def __init__(self) -> None:
        self.took: list[dict[str, Any]] = []
        self.refuses = False

    def __call__(self, events: Sequence[dict[str, Any]]) -> None:
        if self.refuses:
            raise CollectorFailed("no")
        self.took += json.loads(json.dumps(events))

    def indexes(self) -> list[int]:
        return [event["metadata"]["sequence"] for event in self.took]


def seal(live_db: LiveDatabase) -> None:
    with live_db.acting_as("sealer"):
        a_sealer().seal()


def fed() -> int:
    return Entry.objects.filter(action_name=Action.TRAIL_FED).count()


def test_all_that_is_sealed_is_handed_over_once_in_order_and_what_is_not_sealed_waits(
    live_db: LiveDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAGE", 4)
    siem = Siem()
    entries = [*write(6), *write(3, OTHER, BOB)]
    assert feed.feed("a", ACME, siem) == 0  # nothing has a place yet
    seal(live_db)
    assert feed.feed("a", ACME, siem) == 6
    assert siem.indexes() == [0, 1, 2, 3, 4, 5]
    bodies_of_acme = {entry.document["id"]: entry for entry in entries[:6]}
    assert {event["metadata"]["uid"] for event in siem.took} == set(bodies_of_acme)
    for event in siem.took:
        entry = bodies_of_acme[event["metadata"]["uid"]]
        assert event["raw_data_hash"]["value"] == bytes(entry.body_hash).hex()
        assert event["unmapped"]["leaf_hash"] == entry.leaf_hash.hex()
        assert event["metadata"]["tenant_uid"] == str(ACME)
    assert fed() == 2  # an entry a page
    # Its own entries are handed over too, and end there: they are not recorded again.
    for _ in range(3):
        seal(live_db)
        feed.feed("a", ACME, siem)
    assert siem.indexes() == [*range(8)]
    assert fed() == 2
    assert cursor("a", ACME) == 8
    assert cursor("a", OTHER) == 0


def test_what_the_receiver_did_not_take_comes_again_under_the_same_id(
    live_db: LiveDatabase,
) -> None:
    siem = Siem()
    write(3)
    seal(live_db)
    siem.refuses = True
    with pytest.raises(CollectorFailed):
        feed.feed("a", ACME, siem)
    assert cursor("a", ACME) == 0
    siem.refuses = False
    feed.feed("a", ACME, siem)
    again = Siem()
    feed.feed("a", ACME, again, start=1)
    assert [e["metadata"]["uid"] for e in again.took[:2]] == [
        e["metadata"]["uid"] for e in siem.took[1:3]
    ]
    assert cursor("a", ACME) == 3


@pytest.mark.parametrize("table", ["audit_leaf", "audit_entry"])
def test_a_log_that_lacks_an_entry_stops_the_feed_before_it(
    live_db: LiveDatabase, table: str
) -> None:
    entries, siem = write(5), Siem()
    seal(live_db)
    column = "entry_id" if table == "audit_leaf" else "id"
    with live_db.acting_as("superuser"), connection.cursor() as cursor_:
        cursor_.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        cursor_.execute(f"DELETE FROM {table} WHERE {column} = %s", [entries[2].pk])
    with pytest.raises(Gap, match="entry 2"):
        feed.feed("a", ACME, siem)
    assert siem.took == []
    with pytest.raises(CommandError, match="lacks entry 2"):
        call_command("siem_feed", "--organization", str(ACME), stderr=StringIO())


def test_the_command_appends_lines_and_goes_on_where_it_was(
    live_db: LiveDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log.jsonl"
    write(2)
    write(1, OTHER, BOB)
    seal(live_db)
    call_command("siem_feed", "--file", str(file), stderr=StringIO())
    call_command("siem_feed", "--file", str(file), stderr=StringIO())
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert [faults(event) for event in told if faults(event)] == []
    assert sorted((e["metadata"]["tenant_uid"], e["metadata"]["sequence"]) for e in told) == [
        (str(ACME), 0), (str(ACME), 1), (str(OTHER), 0),
    ]  # fmt: skip
    call_command("siem_feed", "--organization", str(ACME), "--after", "0", stderr=StringIO())
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["metadata"]["sequence"] == 1
    with pytest.raises(CommandError, match="--organization"):
        call_command("siem_feed", "--after", "0")


class Taking(BaseHTTPRequestHandler):
    """A collector that answers as it is told to, then takes."""

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        server: Any = self.server
        server.asked.append((self.headers["Authorization"], self.rfile.read(size)))
        self.send_response(server.answers.pop(0) if server.answers else 200)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quietly."""


@pytest.fixture
def taking() -> Iterator[Any]:
    with HTTPServer(("127.0.0.1", 0), Taking) as server:
        server.asked, server.answers = [], []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_collector_that_fails_for_a_moment_gets_the_page_again(taking: Any) -> None:
    taking.answers = [503, 429]
    Collector(f"http://127.0.0.1:{taking.server_port}/x", "Splunk secret", pause=0.01)([{"a": 1}])
    assert taking.asked == [("Splunk secret", b'{"a":1}\n')] * 3


@pytest.mark.parametrize("status", [302, 400, 401, 403, 413])
def test_a_refusal_is_no_matter_of_patience_and_names_no_credential(
    taking: Any, status: int
) -> None:
    taking.answers = [status] * 9
    with pytest.raises(CollectorFailed) as failed:
        Collector(f"http://127.0.0.1:{taking.server_port}/x", "Splunk secret", pause=0.01)([{}])
    assert len(taking.asked) == 1
    assert str(failed.value) == f"it answered {status}"


def test_the_job_feeds_every_log_and_loses_nothing_while_the_collector_is_away(
    live_db: LiveDatabase, taking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.audit.collector._TRIES", 1)
    write(2)
    write(1, OTHER, BOB)
    seal(live_db)
    feed_siem()  # no collector is set up
    with override_settings(SIEM_URL="http://127.0.0.1:1/away", SIEM_AUTHORIZATION=""):
        feed_siem()
    with override_settings(
        SIEM_URL=f"http://127.0.0.1:{taking.server_port}/x", SIEM_AUTHORIZATION="Bearer b"
    ):
        feed_siem()
    lines = [json.loads(line) for _, body in taking.asked for line in body.splitlines()]
    found = {(UUID(e["metadata"]["tenant_uid"]), e["metadata"]["sequence"]) for e in lines}
    assert found == {(ACME, 0), (ACME, 1), (OTHER, 0)}
