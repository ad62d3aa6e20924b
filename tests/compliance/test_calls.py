"""Officers see who talked with whom; every look is an entry; exports prove it complete."""

import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Literal
from uuid import UUID

import pytest
import redis
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from app.accounts.models import User
from app.audit.models import Entry
from app.compliance import services, verify
from app.compliance.access.calls import CallFilter
from app.compliance.models import ExportRequest
from app.compliance.scope import Scope
from app.errors import Denied, NotFound
from app.realtime.protocol import VoicePlace
from app.voice import services as services_of_voice
from app.voice.lifetimes import LEASE_MS
from app.voice.models import Call, Participant
from tests.chat.talk import room
from tests.compliance.conftest import QuickSealer, Ward
from tests.compliance.tamperings import rehash
from tests.compliance.test_building import built, key_of, package_of, rows
from tests.live import LiveDatabase
from tests.voice.history import talked
from tests.voice.room import Device
from tests.voice.test_leases import earlier

Ask = Callable[[Scope], ExportRequest]
Api = Callable[[User], Client]


@pytest.mark.django_db
def test_an_officer_sees_who_talked_with_whom_how_well_and_who_was_put_out_by_whom(
    ward: Ward, alice: User, bob: User, olga: User, api: Api
) -> None:
    past = talked(ward.ward, alice, bob)
    answer = api(olga).get("/api/compliance/calls").json()
    (call,) = answer["calls"]
    assert (call["id"], call["conversation"]) == (str(past.id), str(ward.ward.pk))
    assert call["started_at"] < call["ended_at"]
    first, second = call["participants"]
    assert (first["user"], first["reason"], first["by"]) == (str(alice.pk), "left", None)
    assert (second["user"], second["reason"], second["by"]) == (
        str(bob.pk),
        "kicked",
        str(alice.pk),
    )
    assert (second["muted"], second["muted_by"]) == (True, str(alice.pk))
    assert first["connections"] == []
    assert second["connections"] == [
        {
            "peer": past.alice.pid,
            "candidate": "relay",
            "reports": 2,
            "loss_ppm": {"last": 0, "worst": 20_000, "mean": 10_000},
            "jitter_us": {"last": 4_500, "worst": 4_500, "mean": 4_000},
            "rtt_us": {"last": 40_250, "worst": 40_250, "mean": 30_250},
        }
    ]


@pytest.mark.django_db
def test_one_call_shows_what_happened_in_it_and_nothing_of_another(
    ward: Ward, alice: User, bob: User, olga: User, api: Api
) -> None:
    past, other = talked(ward.ward, alice, bob), talked(ward.ward, alice, bob)
    answer = api(olga).get(f"/api/compliance/calls/{past.id}").json()
    told = [(event["action"], event["actor"], event["pid"]) for event in answer["events"]]
    alice_, bob_ = str(alice.pk), str(bob.pk)
    assert told == [
        ("call:started", alice_, None),
        ("call:joined", alice_, past.alice.pid),
        ("call:joined", bob_, past.bob.pid),
        ("call:muted", alice_, past.bob.pid),
        ("call:kicked", alice_, past.bob.pid),
        ("call:left", alice_, past.bob.pid),
        ("call:left", alice_, past.alice.pid),
        ("call:ended", alice_, None),
    ]
    assert other.alice.pid not in json.dumps(answer)


@pytest.mark.django_db
def test_the_filter_that_ran_is_in_the_entry_of_the_look(
    ward: Ward, alice: User, bob: User, mallory: User, olga: User
) -> None:
    past = talked(ward.ward, alice, bob)
    pharmacy = Device(alice).join(ward.pharmacy)
    now = timezone.now()
    cases: list[tuple[CallFilter, set[object]]] = [
        (CallFilter(), {past.id, pharmacy.call}),
        (CallFilter(conversation=ward.ward.pk), {past.id}),
        (CallFilter(person=bob.pk), {past.id}),
        (CallFilter(person=mallory.pk), set()),
        (CallFilter(since=now), set()),
        (CallFilter(until=now - timedelta(hours=1)), set()),
        (CallFilter(since=now - timedelta(hours=1), until=now), {past.id, pharmacy.call}),
    ]
    for wanted, expected in cases:
        found = services.look_at_calls(olga, wanted).calls
        assert {str(call.pk) for call in found} == {str(one) for one in expected}
        look = Entry.objects.latest("id")
        assert (look.action_name, look.actor_id) == ("trail:read", olga.pk)
        assert look.document["parameters"] == {"calls": wanted.document()}
        assert look.scope_id == wanted.conversation


@pytest.mark.django_db
def test_paging_gives_every_call_once_also_those_that_began_together(
    ward: Ward, alice: User, bob: User, olga: User, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        talked(ward.ward, alice, bob)
    clock = SimpleNamespace(now=timezone.now)
    monkeypatch.setattr("app.voice.services.taking.timezone", clock)
    moment = timezone.now()
    clock.now = lambda: moment
    for number in range(4):
        Device(alice).join(room(alice, bob, name=f"room-{number}"))
    client, seen, before = api(olga), [], ""
    while True:
        page = client.get(f"/api/compliance/calls?limit=2{before}").json()
        seen += [call["id"] for call in page["calls"]]
        if not page["more"]:
            break
        before = f"&before={seen[-1]}"
    assert len(seen) == len(set(seen)) == 9
    assert Call.objects.filter(started_at=moment).count() == 4
    begun = [Call.objects.get(pk=one).started_at for one in seen]
    assert begun == sorted(begun, reverse=True)


@pytest.mark.django_db
def test_nobody_else_sees_records_of_calls(
    ward: Ward, alice: User, bob: User, ada: User, eve: User, api: Api
) -> None:
    past = talked(ward.ward, alice, bob)
    for person in (alice, ada):
        with pytest.raises(Denied):
            services.look_at_calls(person, CallFilter())
        assert api(person).get(f"/api/compliance/calls/{past.id}").status_code == 403
    eve.role = "officer"
    eve.save()
    assert services.look_at_calls(eve, CallFilter()).calls == []
    with pytest.raises(NotFound):
        services.look_at_call(eve, past.id)
    with pytest.raises(NotFound):
        services.look_at_calls(eve, CallFilter(), before=past.id)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", ["person=x", "before=1", "limit=0", "limit=201", "since=then", "who=me"]
)
def test_a_filter_that_does_not_exist_is_refused_and_nothing_is_looked_up(
    query: str, olga: User, api: Api
) -> None:
    client = api(olga)
    before = Entry.objects.latest("id").pk
    assert client.get(f"/api/compliance/calls?{query}").status_code == 400
    assert not Entry.objects.filter(pk__gt=before).exists()


def test_an_export_has_every_event_of_calls_and_an_outsider_can_tell(
    ward: Ward, approved: Ask, sealer: QuickSealer, alice: User, bob: User, export_dir: Path
) -> None:
    past = talked(ward.ward, alice, bob)
    elsewhere = talked(ward.pharmacy, bob, alice)
    asked = built(approved(Scope(conversations=(ward.ward.pk,))))
    assert verify.verify(str(package_of(asked)), key_of(asked)).problems == []
    found = rows(asked, "calls.jsonl")
    assert [str(row["action"]).partition(":")[2] for row in found] == [
        *("started", "joined", "joined", "muted", "kicked", "left", "left", "ended"),
    ]
    assert [row["person_name"] for row in found] == [
        *(None, "Alice", "Bob", "Bob", "Bob", "Bob", "Alice", None),
    ]
    (kicked,) = [row for row in found if row["action"] == "call:kicked"]
    assert (kicked["actor_email"], kicked["conversation_name"]) == ("alice@example.org", "ward-4")
    left = json.loads(json.dumps(found[5]))["parameters"]
    assert (left["reason"], left["by"]) == ("kicked", str(alice.pk))
    assert left["connections"][0]["rtt_us"]["worst"] == 40_250
    assert elsewhere.alice.pid not in json.dumps(found)
    assert past.alice.pid in json.dumps(found)
    assert asked.counts["calls"] == 8
    with zipfile.ZipFile(package_of(asked)) as package:
        table = package.read("calls.csv").decode("utf-8-sig").splitlines()
    assert len(table) == 9
    assert sum(past.bob.pid in line for line in table) == 4


def _of_one_person(folder: Path, stays: list[VoicePlace]) -> list[tuple[str, str | None]]:
    """What calls.jsonl tells of these stays, and who did it."""
    pids = {stay.pid for stay in stays}
    found = map(json.loads, (folder / "calls.jsonl").read_text().splitlines())
    return [(one["action"], one["actor_name"]) for one in found if one["target"]["id"] in pids]


@pytest.fixture
def bobs(
    ward: Ward, approved: Ask, sealer: QuickSealer, alice: User, bob: User, export_dir: Path
) -> tuple[ExportRequest, list[VoicePlace]]:
    """An export of Bob alone, who was put out three times, by others and by nobody."""
    desk = Device(bob)
    kicked = talked(ward.ward, alice, bob).bob
    timed_out = desk.join(ward.ward)
    expire(timed_out)
    services_of_voice.kick(by=alice, pid=UUID((moved := desk.join(ward.ward)).pid))
    still = desk.join(ward.ward)
    asked = built(approved(Scope(people=(bob.pk,))))
    return asked, [kicked, timed_out, moved, still]


def expire(place: VoicePlace) -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        earlier(client, LEASE_MS)
    services_of_voice.expire(UUID(place.pid), place.gen)


def test_an_export_of_one_person_holds_the_whole_of_their_stays(
    bobs: tuple[ExportRequest, list[VoicePlace]], bob: User, tmp_path: Path
) -> None:
    asked, stays = bobs
    report = verify.verify(str(package_of(asked)), key_of(asked))
    assert report.problems == []
    with zipfile.ZipFile(package_of(asked)) as package:
        package.extractall(tmp_path / "one")
    assert _of_one_person(tmp_path / "one", stays) == [
        ("call:joined", "Bob"),
        ("call:left", "Alice"),
        ("call:joined", "Bob"),
        ("call:left", None),
        ("call:joined", "Bob"),
        ("call:left", "Alice"),
        ("call:joined", "Bob"),
    ]
    told = [json.loads(json.dumps(row))["target"] for row in rows(asked, "calls.jsonl")]
    places = {target["id"] for target in told if target["type"] == "participant"}
    assert places == {stay.pid for stay in stays}, "nobody else's"
    (open_,) = [line for line in report.lines if "has no end here" in line]
    assert str(bob.pk) in open_
    names = {row["name"] for row in rows(asked, "people.jsonl")}
    assert {"Alice", "Bob"} <= names


def _without_the_end(folder: Path, stay: VoicePlace) -> None:
    """As a forger would leave it out."""
    for name in ("bodies.jsonl", "calls.jsonl"):
        lines = (folder / name).read_text().splitlines(keepends=True)
        kept = [line for line in lines if not ('"call:left"' in line and stay.pid in line)]
        assert len(kept) == len(lines) - 1
        (folder / name).write_text("".join(kept))
    rehash(folder)


def test_an_end_that_others_caused_cannot_be_left_out(
    bobs: tuple[ExportRequest, list[VoicePlace]], tmp_path: Path
) -> None:
    asked, (_, timed_out, moved, _) = bobs
    for stay in (timed_out, moved):
        folder = tmp_path / stay.pid
        with zipfile.ZipFile(package_of(asked)) as package:
            package.extractall(folder)
        began = [
            row["leaf"]
            for row in rows(asked, "calls.jsonl")
            if row["action"] == "call:joined" and stay.pid in str(row["target"])
        ]
        _without_the_end(folder, stay)
        problems = verify.verify(str(folder), key_of(asked)).problems
        assert [item.leaf for item in problems if item.code == "stay-end-missing"] == began


def test_only_the_ends_that_were_asked_for_may_stand_beside_the_rest() -> None:
    asked = verify.Wanted(scopes={"": "ward"}, actors={"": "bob"}, since="2026-02", until="2026-03")
    calls = verify.Calls(asked, verify.Report())
    end = {
        "action": "call:left",
        "scope": "ward",
        "time": "2026-02-14",
        "parameters": {"user": "bob"},
    }
    assert calls.is_end(end)
    for other in (
        {"action": "call:kicked"},
        {"scope": "pharmacy"},
        {"time": "2026-01-31"},
        {"time": "2026-03"},
        {"parameters": {"user": "alice"}},
    ):
        assert not calls.is_end(end | other), other
    everybody = verify.Calls(asked._replace(actors={}), verify.Report())
    assert not everybody.is_end(end), "then it is demanded anyway"


def test_an_end_that_comes_before_its_beginning_counts() -> None:
    """Of two transactions that overlap the log may have the later one first."""
    report = verify.Report()
    calls = verify.Calls(verify.Wanted({}, {"": "bob"}, "", ""), report)
    told = {"user": "bob", "device": "desk"}
    for index, (action, pid) in enumerate(
        [("left", "1"), ("joined", "1"), ("joined", "2"), ("joined", "3"), ("left", "2")]
    ):
        body = {"action": f"call:{action}", "target": {"id": pid}, "parameters": told}
        calls.happened(body, index)
    calls.end()
    assert report.problems == []
    assert len(report.lines) == 1
    assert "leaf 3" in report.lines[0]


def _left_out(folder: Path) -> None:
    lines = (folder / "calls.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if '"call:kicked"' not in line]
    (folder / "calls.jsonl").write_text("".join(kept))


def _somebody_else(folder: Path) -> None:
    text = (folder / "calls.jsonl").read_text()
    (folder / "calls.jsonl").write_text(text.replace('"reason":"kicked"', '"reason":"left"'))


def _table_alone(folder: Path) -> None:
    text = (folder / "calls.csv").read_bytes()
    (folder / "calls.csv").write_bytes(text.replace(b'"kicked"', b'"left"'))


def _table_longer(folder: Path) -> None:
    with (folder / "calls.csv").open("ab") as file:
        file.write((folder / "calls.csv").read_bytes().splitlines(keepends=True)[-1])


def test_a_changed_record_of_a_call_is_named(
    ward: Ward,
    approved: Ask,
    sealer: QuickSealer,
    alice: User,
    bob: User,
    export_dir: Path,
    tmp_path: Path,
) -> None:
    talked(ward.ward, alice, bob)
    asked = built(approved(Scope(conversations=(ward.ward.pk,))))
    for harm, named in [
        (_left_out, ("row-missing", "calls.jsonl")),
        (_somebody_else, ("row-differs", "calls.jsonl")),
        (_table_alone, ("csv", "calls.csv")),
        (_table_longer, ("csv", "calls.csv")),
    ]:
        folder = tmp_path / harm.__name__
        with zipfile.ZipFile(package_of(asked)) as package:
            package.extractall(folder)
        harm(folder)
        rehash(folder)
        problems = verify.verify(str(folder), key_of(asked)).problems
        assert named in {(item.code, item.file) for item in problems}, harm.__name__


def test_nobody_deletes_or_changes_a_record_of_a_call_held_or_not(
    live_db: LiveDatabase, ward: Ward, alice: User, bob: User, olga: User
) -> None:
    past = talked(ward.ward, alice, bob)
    services.place_hold(olga, conversations=[ward.ward.pk], matter="7", reason="A dispute.")
    statements = [
        "DELETE FROM voice_connection",
        "DELETE FROM voice_participant",
        "DELETE FROM voice_call",
        "UPDATE voice_participant SET reason = 'left'",
        "UPDATE voice_call SET ended_at = NULL",
        "UPDATE voice_connection SET loss_worst = 0",
        "TRUNCATE voice_connection",
    ]
    roles: tuple[Literal["app", "owner"], ...] = ("app", "owner")
    for role in roles:
        with live_db.acting_as(role):
            for statement in statements:
                with (
                    pytest.raises(DatabaseError),
                    transaction.atomic(),
                    connection.cursor() as cursor,
                ):
                    cursor.execute(statement)
    assert Participant.objects.get(pid=past.bob.pid).reason == "kicked"
